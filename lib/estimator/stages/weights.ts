import { describe } from '../../check/describe.js';
import { Fields } from '../../check/fields.js';
import { InvalidInputError } from '../../errors.js';
import type { KlEstimator, Level, Reduce, WeightArgs, WeightMode } from '../../ops.js';

/**
 * S11, a factor of each token's surrogate (not of its KL term) that is never differentiated; r = oldLogProbs - rolloutLogProbs.
 *
 * - importance: u = exp(y), y = mean or sum of r over the level, |y| <= logClamp. 'truncate': min(max(u, low), high) (TIS, and the decoupled
 *   proximal ratio with high null); 'mask': u inside [low, high], else 0 (IcePop, masked importance sampling).
 * - reject: 1 where low <= statistic <= high, else 0; statistic = mean, sum or max over the level of k1 = -r, k2 = r² / 2, k3 = e^r - 1 - r or |r|.
 * - given: the caller's `tokenWeights` [N].
 * - off-policy-mask: 0 where A < 0 and the trajectory's mean of (oldLogProbs - logProbs) exceeds the threshold (DeepSeek-V3.2, arXiv 2512.02556).
 *
 * Denominators do not change: a rejected token still counts in the mean.
 */
export type Weight =
  | {
      kind: 'importance';
      level: Level;
      reduce?: Exclude<Reduce, 'max'>;
      mode: WeightMode;
      low: number;
      high: number | null;
      logClamp: number;
    }
  | { kind: 'reject'; level: Level; reduce?: Reduce; divergence: KlEstimator; low: number | null; high: number | null }
  | { kind: 'given' }
  | { kind: 'off-policy-mask'; threshold: number };

export type WeightInput =
  | {
      kind: 'importance';
      level: Level;
      reduce?: Exclude<Reduce, 'max'>;
      mode: WeightMode;
      low?: number;
      high?: number | null;
      logClamp?: number;
    }
  | {
      kind: 'reject';
      level: Level;
      reduce?: Reduce;
      divergence: KlEstimator;
      low?: number | null;
      high?: number | null;
    }
  | { kind: 'given' }
  | { kind: 'off-policy-mask'; threshold: number };

/** Native code holds them inline (WeightList in native/ops.h). */
const MAX_WEIGHTS = 4;
const LEVELS = ['token', 'turn', 'sequence'] as const;

export function readWeights(fields: Fields): Weight[] {
  const value = fields.take('weights') ?? [];
  const path = fields.at('weights');
  if (!Array.isArray(value) || value.length > MAX_WEIGHTS) {
    const expected = `an array of at most ${MAX_WEIGHTS} weights`;
    throw new InvalidInputError({ code: 'ERR_TYPE', path, expected, received: describe(value) });
  }
  return value.map((weight, i) => {
    const own = new Fields(weight, `${path}[${i}]`);
    const read = readWeight(own);
    own.end();
    return read;
  });
}

function readWeight(fields: Fields): Weight {
  const kind = fields.oneOf('kind', ['importance', 'reject', 'given', 'off-policy-mask']);
  switch (kind) {
    case 'given':
      return { kind };
    case 'off-policy-mask':
      return { kind, threshold: fields.number('threshold', {}) };
    case 'importance': {
      const level = fields.oneOf('level', LEVELS);
      const reduce = level === 'token' ? {} : { reduce: fields.oneOf('reduce', ['mean', 'sum']) };
      const low = fields.number('low', { min: 0 }, 0);
      const high = fields.numberOrNull('high', { above: low }, null);
      const mode = fields.oneOf('mode', ['truncate', 'mask']);
      if (mode === 'mask' && low === 0 && high === null) throw withoutBounds(fields);
      return {
        kind,
        level,
        ...reduce,
        mode,
        low,
        high,
        logClamp: fields.number('logClamp', { above: 0 }, 20),
      };
    }
    case 'reject': {
      const level = fields.oneOf('level', LEVELS);
      const reduce = level === 'token' ? {} : { reduce: fields.oneOf('reduce', ['mean', 'sum', 'max']) };
      const divergence = fields.oneOf('divergence', ['k1', 'k2', 'k3', 'abs']);
      const low = fields.numberOrNull('low', {}, null);
      const high = fields.numberOrNull('high', low === null ? {} : { min: low }, null);
      if (low === null && high === null) throw withoutBounds(fields);
      return { kind, level, ...reduce, divergence, low, high };
    }
  }
}

function withoutBounds(fields: Fields): InvalidInputError {
  const [path, expected, received] = [fields.at('high'), 'a bound (low or high)', 'neither'];
  return new InvalidInputError({ code: 'ERR_MISSING', path, expected, received });
}

/** Whether the weight compares the start of the update with what the sampler reported. */
export function readsRollout(weight: Weight): boolean {
  return weight.kind === 'importance' || weight.kind === 'reject';
}

const OFF: Omit<WeightArgs, 'kind'> = {
  level: 'token',
  reduce: 'mean',
  mode: 'truncate',
  divergence: 'k1',
  low: -Infinity,
  high: Infinity,
  logClamp: 20,
};

/** The flat record of native/ops.h. */
export function weightArgs(weight: Weight): WeightArgs {
  switch (weight.kind) {
    case 'given':
      return { ...OFF, kind: weight.kind };
    case 'off-policy-mask':
      return { ...OFF, kind: weight.kind, high: weight.threshold };
    case 'importance':
      return { ...OFF, ...weight, high: weight.high ?? Infinity };
    case 'reject':
      return { ...OFF, ...weight, low: weight.low ?? -Infinity, high: weight.high ?? Infinity };
  }
}
