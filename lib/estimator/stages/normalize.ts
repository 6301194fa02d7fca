import type { Fields } from '../../check/fields.js';
import type { Level, Members, Singleton } from '../../ops.js';

/**
 * S3, who is compared with whom, and what a group of one gets: 0, its raw value, or an error.
 *
 * - batch: everybody. prompt: the trajectories (or all their turns, tokens) of a prompt. prompt-turn: the turns of a prompt with the same index.
 * - prompt-key: those of a prompt with the same `keys[key]` (an anchor state, a stratum). parent: siblings in a tree of `nodes`.
 *
 * `members: 'first'`: the statistics are over the first unit of each trajectory alone, and applied to all.
 */
export type Group =
  | { kind: 'batch' | 'prompt' | 'prompt-turn' | 'parent'; members?: Members; singleton: Singleton }
  | { kind: 'prompt-key'; key: string; members?: Members; singleton: Singleton };

export type GroupInput =
  | { kind: 'batch' | 'prompt' | 'prompt-turn' | 'parent'; members?: Members; singleton?: Singleton }
  | { kind: 'prompt-key'; key: string; members?: Members; singleton?: Singleton };

/**
 * S4, what is taken off: nothing; the mean; the mean of the others (RLOO); the median; the mean weighed by loss tokens (OPO); or `baseline`, one value
 * per unit, from the caller (ReMax).
 */
export type Center = { kind: 'none' | 'mean' | 'leave-one-out' | 'median' | 'length-weighted' | 'given' };

/**
 * S4, what is divided by: sqrt(variance + varianceFloor) + eps, of the group ('std') or of the whole batch ('batch-std'); ddof 0 = population,
 * 1 = sample. A standard deviation below `leastStd` counts as 1.
 */
export type Scale =
  | { kind: 'none' }
  | { kind: 'std' | 'batch-std'; ddof: 0 | 1; eps: number; varianceFloor: number; leastStd: number };

export type ScaleInput =
  | { kind: 'none' }
  | { kind: 'std' | 'batch-std'; ddof: 0 | 1; eps: number; varianceFloor?: number; leastStd?: number };

const GROUPS = ['batch', 'prompt', 'prompt-turn', 'prompt-key', 'parent'] as const;
const GROUPS_OF: Readonly<Record<Level, readonly (typeof GROUPS)[number][]>> = {
  sequence: ['batch', 'prompt', 'prompt-key'],
  turn: GROUPS,
  token: ['batch', 'prompt', 'prompt-turn', 'prompt-key'],
};

/** @param alone what a group of one gets where the estimator does not say. */
export function readGroup(fields: Fields, level: Level, alone: Singleton): Group {
  const kind = fields.oneOf('kind', GROUPS_OF[level]);
  const members: { members?: Members } =
    level === 'sequence' || !fields.has('members') ? {} : { members: fields.oneOf('members', ['all', 'first']) };
  const singleton = fields.oneOf('singleton', ['zero', 'raw', 'throw'], alone);
  return kind === 'prompt-key'
    ? { kind, key: fields.string('key'), ...members, singleton }
    : { kind, ...members, singleton };
}

export function readCenter(fields: Fields): Center {
  return { kind: fields.oneOf('kind', ['none', 'mean', 'leave-one-out', 'median', 'length-weighted', 'given']) };
}

export function readScale(fields: Fields): Scale {
  const kind = fields.oneOf('kind', ['none', 'std', 'batch-std']);
  if (kind === 'none') return { kind };
  const varianceFloor = fields.number('varianceFloor', { min: 0 }, 0);
  return {
    kind,
    ddof: fields.number('ddof', { integer: true, min: 0, max: 1 }) as 0 | 1,
    // One of the two keeps the quotient of nearly equal values finite.
    eps: fields.number('eps', varianceFloor > 0 ? { min: 0 } : { above: 0 }),
    varianceFloor,
    leastStd: fields.number('leastStd', { min: 0 }, 0),
  };
}

export function scaleArgs(scale: Scale) {
  const { kind, ...rest } = scale.kind === 'none' ? { kind: scale.kind, ...OFF } : scale;
  return { scale: kind, ...rest };
}

const OFF = { ddof: 0, eps: 0, varianceFloor: 0, leastStd: 0 } as const;
