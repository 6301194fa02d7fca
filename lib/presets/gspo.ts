import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import type { RatioForm } from '../ops.js';
import {
  type ClipOptions,
  type Compat,
  type Defaults,
  GROUP_DEFAULTS,
  type GroupDefaults,
  type GroupOptions,
  readClippedLoss,
  readCompat,
  readGroupAdvantage,
} from './common.js';

export type GspoOptions = ClipOptions &
  GroupOptions & {
    compat?: Compat | undefined;
  };

const DEFAULTS: Defaults<GroupDefaults & { form: RatioForm }> = {
  paper: { ...GROUP_DEFAULTS.paper, form: 'true' },
  verl: { ...GROUP_DEFAULTS.verl, form: 'straight-through' },
  trl: GROUP_DEFAULTS.trl,
};

/**
 * GSPO, Group Sequence Policy Optimization (Zheng et al. 2025, arXiv 2507.18071).
 *
 *   s = exp(mean log-ratio of the trajectory), differentiated;   f = max(-s A, -clip(s, 1 - 3e-4, 1 + 4e-4) A), seq-mean-token-mean
 *   A = (R - mean_prompt) / (std_prompt + eps)
 *
 * verl (compute_policy_loss_gspo): straight-through, the same gradient where A is constant in a trajectory; the mean log-ratio is at most 10 (also the
 * default here); a group of one keeps its raw reward (verl divides it by 1 + eps); 1e-8 is added to the length. TRL (importance_sampling_level
 * "sequence", loss_type "grpo"): the true form, not clamped, eps 1e-4.
 */
export function gspo(options: GspoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const { form, ratio, ...defaults } = readCompat(fields, DEFAULTS);
  const { channel, hint } = readGroupAdvantage(fields, defaults);
  const loss = readClippedLoss(fields, { clip: [3e-4, 4e-4], aggregate: 'seq-mean-token-mean' });
  fields.end(hint);
  return estimator({ name: 'gspo', channels: [channel], ratio: { level: 'sequence', form, ...ratio }, ...loss });
}
