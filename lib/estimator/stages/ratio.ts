import type { Fields } from '../../check/fields.js';
import type { Level, RatioArgs, RatioForm } from '../../ops.js';

/** Bounds of the log-ratio (of its mean, at turn and sequence level); null = none. Beyond them the gradient is 0, counted in the metrics. */
export interface LogRatioClamp {
  low: number | null;
  high: number | null;
}

/**
 * S9, the importance ratio exp(x).
 *
 * - token: x_t = logProbs_t - oldLogProbs_t.
 * - turn, sequence: x = mean of the token log-ratios over the turn or trajectory. `form: 'true'` differentiates that mean (GSPO,
 *   Turn-PPO); 'straight-through' keeps its value and lets each token's own log-prob carry the gradient (GSPO-token, ATPO, A²TGPO).
 */
export type Ratio =
  | { level: 'token'; clamp: LogRatioClamp }
  | { level: Exclude<Level, 'token'>; form: RatioForm; clamp: LogRatioClamp };

export type RatioInput =
  | { level: 'token'; clamp?: LogRatioClamp }
  | { level: Exclude<Level, 'token'>; form: RatioForm; clamp?: LogRatioClamp };

/** exp(20) is finite in float32; the releases clamp token log-ratios there (verl), and mean log-ratios at 10 from above (GSPO in verl, A²TGPO). */
const TOKEN_CLAMP: LogRatioClamp = { low: -20, high: 20 };
const SEGMENT_CLAMP: LogRatioClamp = { low: null, high: 10 };

export function readRatio(fields: Fields): Ratio {
  const level = fields.oneOf('level', ['token', 'turn', 'sequence']);
  const fallback = level === 'token' ? TOKEN_CLAMP : SEGMENT_CLAMP;
  const clamp = fields.has('clamp')
    ? fields.object('clamp', (f) => ({
        low: f.numberOrNull('low', { max: 0 }, fallback.low),
        high: f.numberOrNull('high', { min: 0 }, fallback.high),
      }))
    : { ...fallback };
  return level === 'token'
    ? { level, clamp }
    : { level, form: fields.oneOf('form', ['straight-through', 'true']), clamp };
}

export function ratioArgs(ratio: Ratio): RatioArgs {
  return {
    level: ratio.level,
    form: ratio.level === 'token' ? 'straight-through' : ratio.form,
    clampLow: ratio.clamp.low ?? -Infinity,
    clampHigh: ratio.clamp.high ?? Infinity,
  };
}
