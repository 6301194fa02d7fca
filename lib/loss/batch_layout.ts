/** Where the tokens of a batch are: its turns, or the source that the op finds them in. */

import type { Fields } from '../check/fields.js';
import { effectiveMask, type Layout, readLayout, requireTurns } from '../data/layout.js';
import { readTurnSource, SOURCES, segmentTurnsArgs, type TurnSource } from '../data/turn_source.js';
import { InvalidInputError } from '../errors.js';
import { creditInputs, worksOnTurns } from '../estimator/inputs.js';
import type { Weight } from '../estimator/stages/weights.js';
import type { Estimator } from '../estimator/types.js';
import type { Level, SegmentTurnsArgs } from '../ops.js';
import { type Column, isOnDevice, isOnHost } from '../tensor/column.js';
import type { TensorDevice } from '../tensor/tensor.js';
import type { Workspace } from '../tensor/workspace.js';
import type { Source } from './batch_credit.js';
import { keepAll } from './logits.js';

export interface BatchLayout extends Layout {
  /** What the op finds the turns by, first of all: `turns` and `effectiveMask` are its results. Null: they are known. */
  search: TurnSearch | null;
  /** [N] 1 = in a turn and in the loss. */
  effectiveMask: Column<'u8'>;
  /** The same where it can be looked at before the op runs: what it leaves out is not checked. */
  knownMask: Uint8Array | null;
}

export interface TurnSearch {
  source: TurnSource;
  args: SegmentTurnsArgs;
  /** The array of the batch whose length says how many turns there are. */
  countedBy: string;
}

interface LayoutCall {
  estimator: Estimator;
  /** Where credit comes from. */
  source: Source;
  at: TensorDevice;
  memory: Workspace;
  asynchronous: boolean;
}

export function readBatchLayout(fields: Fields, tokens: number, call: LayoutCall): BatchLayout {
  const { estimator, source, at } = call;
  const given = SOURCES.find((name) => fields.has(name));
  if (fields.has('turns')) {
    if (given === undefined) return knownTurns(fields, tokens, call);
    const expected = 'either turns, or a source to find them by';
    throw new InvalidInputError({ code: 'ERR_NO_EFFECT', path: given, expected, received: `turns and ${given}` });
  }
  const needsTurns = needsLevel(estimator) === 'turn' || (source === 'groups' && worksOnTurns(estimator));
  if (given !== undefined || (needsTurns && fields.has('actionMask') && fields.has('trajectoryOffsets'))) {
    return search(readTurnSource(fields, at, tokens), countTurns(fields, tokens, call), tokens, call);
  }
  return knownTurns(fields, tokens, call);
}

function knownTurns(fields: Fields, tokens: number, { estimator, at, asynchronous }: LayoutCall): BatchLayout {
  const layout = readLayout(fields, tokens, { at, whole: needsLevel(estimator) === 'token' });
  if (needsLevel(estimator) === 'turn') requireTurns(layout, estimator.name);
  const mask = effectiveMask(layout, tokens);
  const turns = keepAll(layout.turns, asynchronous);
  return { ...layout, turns, search: null, effectiveMask: mask, knownMask: isOnHost(mask) ? mask : null };
}

function search(
  given: TurnSource,
  { count, countedBy }: { count: number; countedBy: string },
  tokens: number,
  { memory, asynchronous }: LayoutCall,
): BatchLayout {
  const source = keepAll(given, asynchronous);
  const mask = memory.scratch('u8', tokens);
  const args = segmentTurnsArgs(source, count, mask);
  const { starts, ends, tokens: lossTokens, trajectory, index } = args;
  const { trajectoryOffsets, actionMask } = source;
  return {
    turns: { count, starts, ends, tokens: lossTokens, trajectory, index },
    explicitTurns: true,
    trajectoryOffsets,
    actionMask: mask,
    search: { source, args, countedBy },
    effectiveMask: mask,
    // A token of the mask outside every turn is an error, so there is nothing else in the loss.
    knownMask: actionMask && isOnHost(actionMask) ? actionMask : null,
  };
}

/** K, from what there is one of per turn. */
function countTurns(fields: Fields, tokens: number, { estimator, source }: LayoutCall) {
  const counted = (path: string, value: unknown) => ({ count: sizeOf(value), countedBy: path });
  const spans = fields.take('spans') as { starts?: unknown } | null | undefined;
  if (spans?.starts !== undefined && source !== 'credit') return counted('spans.starts', spans.starts);
  if (source === 'advantages') {
    const advantages = fields.take('advantages');
    const level = fields.take('advantageLevel') ?? (sizeOf(advantages) === tokens ? 'token' : 'turn');
    if (level === 'turn') return counted('advantages', advantages);
  }
  const perTurn = source === 'groups' ? [...creditInputs(estimator)].filter(([, { level }]) => level === 'turn') : [];
  for (const [path] of perTurn) {
    const dot = path.indexOf('.');
    const value = fields.take(dot < 0 ? path : path.slice(0, dot));
    const array = dot < 0 ? value : (value as Record<string, unknown> | null | undefined)?.[path.slice(dot + 1)];
    if (array !== undefined) return counted(path, array);
  }
  throw new InvalidInputError({
    code: 'ERR_MISSING',
    path: 'turns',
    expected:
      source === 'credit'
        ? 'turns (from segmentTurns): credit is held against them'
        : 'turns (from segmentTurns): nothing in the batch is per turn, so that their number is not known',
    received: 'undefined',
  });
}

function sizeOf(value: unknown): number {
  if (isOnDevice(value)) return value.size;
  const length = (value as { length?: unknown } | null | undefined)?.length;
  return typeof length === 'number' && Number.isSafeInteger(length) && length >= 0 ? length : 0;
}

/**
 * What the loss must know of a token's place: nothing ('token'), its trajectory ('sequence'; a trajectory may stand for a turn), or its turn, for which
 * trajectories cannot stand in.
 */
function needsLevel({ ratio, weights, aggregate }: Estimator): Level {
  const levels: Level[] = [ratio.level, ...weights.map(levelOfWeight)];
  if (aggregate === 'turn-mean-token-mean') levels.push('turn');
  else if (aggregate !== 'token-mean' && aggregate !== 'token-sum') levels.push('sequence');
  return levels.includes('turn') ? 'turn' : levels.includes('sequence') ? 'sequence' : 'token';
}

function levelOfWeight(weight: Weight): Level {
  if (weight.kind === 'given') return 'token';
  return weight.kind === 'off-policy-mask' ? 'sequence' : weight.level;
}
