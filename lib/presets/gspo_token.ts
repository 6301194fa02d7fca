import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import {
  type ClipOptions,
  type Compat,
  GROUP_DEFAULTS,
  type GroupOptions,
  readClippedLoss,
  readCompat,
  readGroupAdvantage,
} from './common.js';

export type GspoTokenOptions = ClipOptions &
  GroupOptions & {
    compat?: Compat | undefined;
  };

/**
 * GSPO-token (Zheng et al. 2025, arXiv 2507.18071, section 4.3): GSPO for advantages that differ inside a trajectory.
 *
 *   s_t = sg(s) π_t / sg(π_t), s = exp(mean log-ratio of the trajectory);   f = max(-s_t A_t, -clip(s_t, 1 - 3e-4, 1 + 4e-4) A_t),
 *   seq-mean-token-mean;   A = (R - mean_prompt) / (std_prompt + eps), unless the loss is given `advantages` of its own
 *
 * verl (compute_policy_loss_gspo): a group of one keeps its raw reward (verl divides it by 1 + eps); 1e-8 is added to the length. TRL (experimental
 * GSPO-token, importance_sampling_level "sequence_token", loss_type "grpo"): not clamped, eps 1e-4.
 */
export function gspoToken(options: GspoTokenOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const { ratio, ...defaults } = readCompat(fields, GROUP_DEFAULTS);
  const { channel, hint } = readGroupAdvantage(fields, defaults);
  const loss = readClippedLoss(fields, { clip: [3e-4, 4e-4], aggregate: 'seq-mean-token-mean' });
  fields.end(hint);
  return estimator({
    name: 'gspo-token',
    channels: [channel],
    ratio: { level: 'sequence', form: 'straight-through', ...ratio },
    ...loss,
  });
}
