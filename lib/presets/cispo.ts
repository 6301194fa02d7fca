import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import {
  type Compat,
  type Defaults,
  GROUP_DEFAULTS,
  type GroupDefaults,
  type GroupOptions,
  type LossOptions,
  readCompat,
  readGroupAdvantage,
  readLoss,
} from './common.js';

export type CispoOptions = LossOptions &
  GroupOptions & {
    compat?: Compat | undefined;
    /** Epsilon of the lower bound 1 - low; null = none (default; verl 0.2). */
    low?: number | null | undefined;
    /** Epsilon of the upper bound 1 + high; null = none. Required without `compat` (verl 0.2, TRL 4). */
    high?: number | null | undefined;
  };

const DEFAULTS: Defaults<GroupDefaults & { low: number | null; high: number | null | undefined }> = {
  // The paper says that it tuned the upper bound, not to what.
  paper: { ...GROUP_DEFAULTS.paper, low: null, high: undefined },
  verl: { ...GROUP_DEFAULTS.verl, low: 0.2, high: 0.2 },
  trl: { ...GROUP_DEFAULTS.trl, high: 4 },
};

/**
 * CISPO, Clipped IS-weight Policy Optimization (MiniMax-M1, 2025, arXiv 2506.13585).
 *
 *   f = -sg(min(ratio, 1 + high)) A logProb, per token, token-mean;   A = (R - mean_prompt) / (std_prompt + eps)
 *
 * No token loses its gradient. The paper does not clip from below and does not publish its upper bound: `high` is required, unless `compat` says it.
 * verl (compute_policy_loss_cispo): both sides, [1 - 0.2, 1 + 0.2] by configuration (its script takes a low of 10, which is none); a group of one keeps
 * its raw reward (verl divides it by 1 + eps). TRL (loss_type "cispo"): the upper side alone, epsilon_high is the bound itself and 5 in its recipe, so
 * high 4; eps 1e-4, log-ratios not clamped.
 */
export function cispo(options: CispoOptions): Estimator {
  const fields = new Fields(options, '');
  const { ratio, ...defaults } = readCompat(fields, DEFAULTS);
  const { channel, hint } = readGroupAdvantage(fields, defaults);
  const low = fields.numberOrNull('low', { min: 0, max: 1 }, defaults.low);
  if (defaults.high === undefined) fields.required('high', 'a number of at least 0, or null');
  const high = fields.numberOrNull('high', { min: 0 }, defaults.high ?? null);
  const loss = readLoss(fields, 'token-mean');
  fields.end(hint);
  return estimator({
    name: 'cispo',
    channels: [channel],
    ratio: { level: 'token', ...ratio },
    gate: { kind: 'detached', low, high },
    ...loss,
  });
}
