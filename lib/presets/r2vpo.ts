import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import { GROUP_DEFAULTS, type GroupOptions, type LossOptions, readGroupAdvantage, readLoss } from './common.js';

export type R2vpoOptions = LossOptions &
  GroupOptions & {
    /** λ, weight of the ratio's squared distance from 1. Default 0.04. */
    coef?: number | undefined;
  };

/**
 * R²VPO, Ratio-Variance Regularized Policy Optimization (2026, arXiv 2601.03320, 2605.26784).
 *
 *   f = -(ratio A - λ (ratio - 1)²), per token, token-mean;   A = (R - mean_prompt) / (std_prompt + eps)
 *
 * λ = 0.04 and the aggregation are those of a third party's code; the authors' was not found. With a dual variable in place of λ (its step rule is
 * not published) the caller passes its value of each step as `coef`.
 */
export function r2vpo(options: R2vpoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const { channel, hint } = readGroupAdvantage(fields, GROUP_DEFAULTS.paper);
  const coef = fields.number('coef', { min: 0 }, 0.04);
  const loss = readLoss(fields, 'token-mean');
  fields.end(hint);
  return estimator({ name: 'r2vpo', channels: [channel], gate: { kind: 'quadratic', coef }, ...loss });
}
