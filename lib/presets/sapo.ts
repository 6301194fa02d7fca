import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { BySign } from '../estimator/stages/gate.js';
import type { Estimator } from '../estimator/types.js';
import {
  type Compat,
  GROUP_DEFAULTS,
  type GroupOptions,
  type LossOptions,
  readCompat,
  readGroupAdvantage,
  readLoss,
} from './common.js';

export type SapoOptions = LossOptions &
  GroupOptions & {
    compat?: Compat | undefined;
    /** τ by the sign of the advantage. Default { positive: 1, negative: 1.05 }. */
    temperature?: BySign | undefined;
  };

/**
 * SAPO, Soft Adaptive Policy Optimization (Gao et al. 2025, arXiv 2511.20347).
 *
 *   f = -A (4 / τ) sigmoid(τ (ratio - 1)), τ = 1 for A > 0 and 1.05 otherwise, per token, seq-mean-token-mean;
 *   A = (R - mean_prompt) / (std_prompt + eps)
 *
 * verl (compute_policy_loss_sapo): a group of one keeps its raw reward (verl divides it by 1 + eps), 1e-8 is added to the length. TRL (loss_type
 * "sapo"): eps 1e-4, log-ratios not clamped; averages per micro-batch.
 */
export function sapo(options: SapoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const { ratio, ...defaults } = readCompat(fields, GROUP_DEFAULTS);
  const { channel, hint } = readGroupAdvantage(fields, defaults);
  const temperature = (fields.take('temperature') ?? { positive: 1, negative: 1.05 }) as BySign;
  const loss = readLoss(fields, 'seq-mean-token-mean');
  fields.end(hint);
  return estimator({
    name: 'sapo',
    channels: [channel],
    ratio: { level: 'token', ...ratio },
    gate: { kind: 'sigmoid', temperature },
    ...loss,
  });
}
