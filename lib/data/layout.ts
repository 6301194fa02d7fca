import { offsets as readOffsets } from '../check/arrays.js';
import type { Fields } from '../check/fields.js';
import { InvalidInputError } from '../errors.js';
import type { TurnsArgs } from '../ops.js';
import { type Column, isOnDevice, lengthOf } from '../tensor/column.js';
import type { TensorDevice } from '../tensor/tensor.js';
import { readTurns } from './read_turns.js';
import { readMaskOf } from './turn_source.js';
import type { Turns } from './turns.js';

/** Where the tokens of a batch are: its turns, and which tokens count. */
export interface Layout {
  turns: Turns;
  /** Whether the caller gave turns (or each trajectory was taken as one). */
  explicitTurns: boolean;
  /** [M+1], where given. */
  trajectoryOffsets: Column<'int32'> | null;
  /** [N] as given, checked against the turns where it can be looked at; null = every token of a turn counts. */
  actionMask: Column<'u8'> | null;
}

interface Given {
  /** Where the batch is. Default 'cpu'. */
  at?: TensorDevice;
  /** Trajectories may be left out too: then all tokens are one. */
  whole?: boolean;
}

/**
 * Reads `turns`, `trajectoryOffsets` and `actionMask` of a batch and holds them against each other. Without turns each trajectory
 * is one turn.
 */
export function readLayout(
  fields: Fields,
  tokens: number | undefined,
  { at = 'cpu', whole = false }: Given = {},
): Layout {
  const rawTurns = fields.take('turns');
  const rawOffsets = fields.take('trajectoryOffsets');
  const rawMask = fields.take('actionMask');
  const explicitTurns = rawTurns !== undefined;
  const actionMask = rawMask === undefined ? null : readMaskOf(rawMask, at, tokens);
  const count = tokens ?? (actionMask ? lengthOf(actionMask) : undefined);
  const trajectoryOffsets = rawOffsets === undefined ? null : readHostOffsets(rawOffsets, count);
  if (!explicitTurns) {
    const offsets = trajectoryOffsets ?? (whole && count !== undefined ? Int32Array.of(0, count) : null);
    if (offsets === null) {
      const expected = 'turns (from segmentTurns), or trajectoryOffsets to take each trajectory as one turn';
      throw new InvalidInputError({ code: 'ERR_MISSING', path: 'turns', expected, received: 'undefined' });
    }
    const turns = trajectoriesAsTurns(offsets, actionMask);
    return { turns, explicitTurns, trajectoryOffsets, actionMask };
  }
  const turns = readTurns(rawTurns, 'turns', {
    ...(count === undefined ? {} : { tokens: count }),
    ...(trajectoryOffsets === null ? {} : { trajectories: trajectoryOffsets.length - 1 }),
  });
  if (trajectoryOffsets) checkInsideTrajectories(turns, trajectoryOffsets);
  if (actionMask) checkMask(turns, actionMask);
  return { turns, explicitTurns, trajectoryOffsets, actionMask };
}

/** Offsets that turns are held against, or made of. */
export function readHostOffsets(value: unknown, tokens: number | undefined): Int32Array {
  if (!isOnDevice(value)) return readOffsets(value, 'trajectoryOffsets', tokens);
  const expected = 'host memory [M+1]: turns are held against it, or made of it';
  throw new InvalidInputError({
    code: 'ERR_DEVICE',
    path: 'trajectoryOffsets',
    expected,
    received: 'a tensor on cuda',
  });
}

/** The op record of turns. */
export function turnsArgs({ starts, ends, tokens, trajectory, index }: Turns): TurnsArgs {
  return { starts, ends, tokens, trajectory, index };
}

/** For estimators that trajectories taken as turns cannot serve. */
export function requireTurns({ explicitTurns }: Layout, estimatorName: string): void {
  if (explicitTurns) return;
  const expected = `turns: the estimator "${estimatorName}" works on turns`;
  throw new InvalidInputError({ code: 'ERR_MISSING', path: 'turns', expected, received: 'undefined' });
}

/** [N] 1 = the token lies in a turn and counts in the loss: what ops call actionMask. */
export function effectiveMask({ turns, actionMask }: Layout, tokens: number): Column<'u8'> {
  if (actionMask) return actionMask;
  const mask = new Uint8Array(tokens);
  for (let k = 0; k < turns.count; k++) {
    const span = turns.ends[k] - turns.starts[k];
    if (turns.tokens[k] !== span) {
      throw new InvalidInputError({
        code: 'ERR_MISSING',
        path: 'actionMask',
        expected: `the actionMask that turns were made with (turn ${k} has ${turns.tokens[k]} loss tokens in a span of ${span})`,
        received: 'undefined',
      });
    }
    mask.fill(1, turns.starts[k], turns.ends[k]);
  }
  return mask;
}

function trajectoriesAsTurns(offsets: Int32Array, actionMask: Uint8Array | null): Turns {
  const count = offsets.length - 1;
  const starts = offsets.slice(0, count);
  const ends = offsets.slice(1);
  const tokens = starts.map((start, m) => (actionMask ? ones(actionMask, start, ends[m]) : ends[m] - start));
  return { count, starts, ends, tokens, trajectory: starts.map((_, m) => m), index: new Int32Array(count) };
}

function ones(mask: Uint8Array, begin: number, end: number): number {
  let count = 0;
  for (let n = begin; n < end; n++) count += mask[n];
  return count;
}

function checkInsideTrajectories(turns: Turns, offsets: Int32Array): void {
  for (let k = 0; k < turns.count; k++) {
    const m = turns.trajectory[k];
    if (turns.starts[k] >= offsets[m] && turns.ends[k] <= offsets[m + 1]) continue;
    throw new InvalidInputError({
      code: 'ERR_TURNS',
      path: `turns.starts[${k}]`,
      expected: `a span inside trajectory ${m}, tokens [${offsets[m]}, ${offsets[m + 1]})`,
      received: `[${turns.starts[k]}, ${turns.ends[k]})`,
    });
  }
}

/** The mask must be the one that the turns were made with: same counts, nothing outside. */
export function checkMask(turns: Turns, mask: Uint8Array): void {
  let outside = 0;
  for (let k = 0; k <= turns.count; k++) {
    const start = k < turns.count ? turns.starts[k] : mask.length;
    for (let n = outside; n < start; n++) {
      if (mask[n] === 0) continue;
      const expected = '0 outside every turn';
      throw new InvalidInputError({ code: 'ERR_TURNS', path: `actionMask[${n}]`, expected, received: '1 in no turn' });
    }
    if (k === turns.count) return;
    const found = ones(mask, start, turns.ends[k]);
    if (found !== turns.tokens[k]) {
      const expected = `${found} (the ones of actionMask in its span)`;
      const received = String(turns.tokens[k]);
      throw new InvalidInputError({ code: 'ERR_TURNS', path: `turns.tokens[${k}]`, expected, received });
    }
    outside = turns.ends[k];
  }
}
