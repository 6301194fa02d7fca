/** A source of turns, checked but for what the op finds when it reads it. */
import { int32, mask as readMask, offsets as readOffsets } from '../check/arrays.js';
import type { Fields } from '../check/fields.js';
import { InvalidInputError } from '../errors.js';
import type { SegmentBy, SegmentTurnsArgs, Unclosed } from '../ops.js';
import { type Column, isOnDevice, lengthOf, onHost, operand, operandOrNull, readColumn } from '../tensor/column.js';
import type { TensorDevice } from '../tensor/tensor.js';

export interface TurnSource {
  by: SegmentBy;
  /** [M+1] */
  trajectoryOffsets: Column<'int32'>;
  /** [N], where given. */
  actionMask: Column<'u8'> | null;
  /** [N] */
  turnIds: Column<'int32'> | null;
  tokenIds: Column<'int32'> | null;
  delimiters: { open: number; close: number; unclosed: Unclosed };
  /** [K] */
  spanStarts: Column<'int32'> | null;
  spanEnds: Column<'int32'> | null;
}

export const SOURCES = ['turnIds', 'tokens', 'spans'] as const;

const BY = { turnIds: 'turn-ids', tokens: 'delimiters', spans: 'spans' } as const;

/** @param tokens N, where something else tells it */
export function readTurnSource(fields: Fields, at: TensorDevice, tokens?: number): TurnSource {
  const sources = SOURCES.filter((name) => fields.has(name));
  if (sources.length > 1) {
    throw new InvalidInputError({
      code: 'ERR_NO_EFFECT',
      path: sources[1],
      expected: `one source of turns (${sources[0]} is given)`,
      received: sources.join(' and '),
    });
  }
  const source = sources[0];
  const rawMask = fields.take('actionMask');
  if (source === undefined && rawMask === undefined) {
    throw new InvalidInputError({
      code: 'ERR_MISSING',
      path: 'turnIds',
      expected: 'a source of turns: turnIds, actionMask, tokens with delimiters, or spans',
      received: 'none of them',
    });
  }
  const integers = (value: unknown, path: string, shape: string, length?: number) =>
    readColumn(value, path, { dtype: 'int32', shape, length, at }, () => int32(value, path, shape, length));
  const perToken = (name: 'turnIds' | 'tokens') =>
    source === name ? integers(fields.take(name), name, '[N]', tokens) : null;

  const turnIds = perToken('turnIds');
  const tokenIds = perToken('tokens');
  const read = turnIds ?? tokenIds;
  const actionMask =
    rawMask === undefined ? null : readMaskOf(rawMask, at, tokens ?? (read ? lengthOf(read) : undefined));
  const known = read ?? actionMask;
  const tokenCount = tokens ?? (known ? lengthOf(known) : undefined);
  const rawOffsets = fields.required('trajectoryOffsets', 'an Int32Array [M+1]');
  const trajectoryOffsets = readColumn(rawOffsets, 'trajectoryOffsets', { dtype: 'int32', shape: '[M+1]', at }, () =>
    readOffsets(rawOffsets, 'trajectoryOffsets', tokenCount),
  );

  const spans =
    source === 'spans'
      ? fields.object('spans', (f) => {
          const starts = integers(f.take('starts'), 'spans.starts', '[K]');
          return { starts, ends: integers(f.take('ends'), 'spans.ends', '[K]', lengthOf(starts)) };
        })
      : null;
  return {
    by: source === undefined ? 'action-mask' : BY[source],
    trajectoryOffsets,
    actionMask,
    turnIds,
    tokenIds,
    delimiters: tokenIds === null ? { open: 0, close: 0, unclosed: 'throw' } : readDelimiters(fields),
    spanStarts: spans?.starts ?? null,
    spanEnds: spans?.ends ?? null,
  };
}

/**
 * A mask on a device is fetched: it is a byte a token, and what contradicts the turns, or is neither 0 nor 1, must be an error before
 * anything is computed.
 */
export function readMaskOf(value: unknown, at: TensorDevice, tokens: number | undefined): Uint8Array {
  const column = readColumn(value, 'actionMask', { dtype: 'u8', shape: '[N]', length: tokens, at }, () =>
    readMask(value, 'actionMask', tokens),
  );
  return isOnDevice(value) ? readMask(onHost(column), 'actionMask', tokens) : (column as Uint8Array);
}

function readDelimiters(fields: Fields): TurnSource['delimiters'] {
  const range = { integer: true, min: -(2 ** 31), max: 2 ** 31 - 1 };
  const delimiters = fields.object('delimiters', (d) => ({
    open: d.number('open', range),
    close: d.number('close', range),
    unclosed: d.oneOf('unclosed', ['throw', 'end'], 'throw'),
  }));
  if (delimiters.open !== delimiters.close) return delimiters;
  const expected = `another token than delimiters.open (${delimiters.open})`;
  const received = String(delimiters.close);
  throw new InvalidInputError({ code: 'ERR_RANGE', path: 'delimiters.close', expected, received });
}

/** The most turns that there can be. */
export function capacityOf({ turnIds, tokenIds, actionMask, spanStarts }: TurnSource): number {
  const decisive = spanStarts ?? turnIds ?? tokenIds ?? actionMask;
  return decisive ? lengthOf(decisive) : 0;
}

/** The op's record, with room for `capacity` turns. */
export function segmentTurnsArgs(
  source: TurnSource,
  capacity: number,
  effectiveMask: Column<'u8'> | null,
): SegmentTurnsArgs {
  return {
    by: source.by,
    trajectoryOffsets: operand(source.trajectoryOffsets),
    actionMask: operandOrNull(source.actionMask),
    turnIds: operandOrNull(source.turnIds),
    tokenIds: operandOrNull(source.tokenIds),
    openToken: source.delimiters.open,
    closeToken: source.delimiters.close,
    unclosed: source.delimiters.unclosed,
    spanStarts: operandOrNull(source.spanStarts),
    spanEnds: operandOrNull(source.spanEnds),
    starts: new Int32Array(capacity),
    ends: new Int32Array(capacity),
    tokens: new Int32Array(capacity),
    trajectory: new Int32Array(capacity),
    index: new Int32Array(capacity),
    count: new Int32Array(1),
    effectiveMask: operandOrNull(effectiveMask),
  };
}
