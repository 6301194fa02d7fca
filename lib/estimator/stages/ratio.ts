import type { Fields } from '../../check/fields.js';
import type { Level, RatioArgs, RatioForm } from '../../ops.js';

/** Bounds of the log-ratio (of the mean or sum, at turn and sequence level); null = none. Beyond them the gradient is 0, counted in the metrics. */
export interface LogRatioClamp {
  low: number | null;
  high: number | null;
}

/** Epsilons of log-ratios: a token of A < 0 is cut from below at -low, one of A > 0 from above at high, before the mean (GMPO, arXiv 2507.20673). */
export interface TokenClip {
  low: number;
  high: number;
}

/** What the policy is compared with: the start of the update, or what the sampler reported (`rolloutLogProbs`). */
export type Denominator = 'old' | 'rollout';

/**
 * S9, the importance ratio exp(x).
 *
 * - token: x_t = logProbs_t - oldLogProbs_t.
 * - turn, sequence: x = mean (or sum) of the token log-ratios over the turn or trajectory. `form: 'true'` differentiates it (GSPO,
 *   Turn-PPO); 'straight-through' keeps its value and lets each token's own log-prob carry the gradient (GSPO-token, ATPO, A²TGPO).
 */
export type Ratio =
  | { level: 'token'; denominator: Denominator; clamp: LogRatioClamp }
  | {
      level: Exclude<Level, 'token'>;
      form: RatioForm;
      reduce: 'mean' | 'sum';
      denominator: Denominator;
      clamp: LogRatioClamp;
      /** Bound of |log-ratio| of each token; null = none. */
      tokenClamp: number | null;
      tokenClip: TokenClip | null;
    };

export type RatioInput =
  | { level: 'token'; denominator?: Denominator; clamp?: LogRatioClamp }
  | {
      level: Exclude<Level, 'token'>;
      form: RatioForm;
      reduce?: 'mean' | 'sum';
      denominator?: Denominator;
      clamp?: LogRatioClamp;
      tokenClamp?: number | null;
      tokenClip?: TokenClip | null;
    };

/** exp(20) is finite in float32; the releases clamp token log-ratios there (verl), and mean log-ratios at 10 from above (GSPO in verl, A²TGPO). */
const TOKEN_CLAMP: LogRatioClamp = { low: -20, high: 20 };
const MEAN_CLAMP: LogRatioClamp = { low: null, high: 10 };

export function readRatio(fields: Fields): Ratio {
  const level = fields.oneOf('level', ['token', 'turn', 'sequence']);
  const denominator = fields.oneOf('denominator', ['old', 'rollout'], 'old');
  if (level === 'token') return { level, denominator, clamp: readClamp(fields, TOKEN_CLAMP) };
  const form = fields.oneOf('form', ['straight-through', 'true']);
  const reduce = fields.oneOf('reduce', ['mean', 'sum'], 'mean');
  const clamp = readClamp(fields, reduce === 'mean' ? MEAN_CLAMP : TOKEN_CLAMP);
  const tokenClamp = fields.numberOrNull('tokenClamp', { above: 0 }, null);
  const clip = (f: Fields) => ({ low: f.number('low', { min: 0 }), high: f.number('high', { min: 0 }) });
  const tokenClip = (fields.take('tokenClip') ?? null) === null ? null : fields.object('tokenClip', clip);
  return { level, form, reduce, denominator, clamp, tokenClamp, tokenClip };
}

function readClamp(fields: Fields, fallback: LogRatioClamp): LogRatioClamp {
  if (!fields.has('clamp')) return { ...fallback };
  return fields.object('clamp', (f) => ({
    low: f.numberOrNull('low', { max: 0 }, fallback.low),
    high: f.numberOrNull('high', { min: 0 }, fallback.high),
  }));
}

export function ratioArgs(ratio: Ratio): RatioArgs {
  const segment = ratio.level === 'token' ? null : ratio;
  return {
    level: ratio.level,
    form: segment?.form ?? 'straight-through',
    reduce: segment?.reduce ?? 'mean',
    clampLow: ratio.clamp.low ?? -Infinity,
    clampHigh: ratio.clamp.high ?? Infinity,
    tokenClamp: segment?.tokenClamp ?? Infinity,
    clipLow: segment?.tokenClip?.low ?? Infinity,
    clipHigh: segment?.tokenClip?.high ?? Infinity,
  };
}
