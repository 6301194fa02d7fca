import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Aggregate } from '../estimator/stages/aggregate.js';
import type { Estimator } from '../estimator/types.js';
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

export type GrpoOptions = ClipOptions &
  GroupOptions & {
    compat?: Compat | undefined;
  };

const DEFAULTS: Defaults<GroupDefaults & { aggregate: Aggregate; dual: number | null }> = {
  paper: { ...GROUP_DEFAULTS.paper, aggregate: 'seq-mean-token-mean', dual: null },
  verl: { ...GROUP_DEFAULTS.verl, aggregate: 'token-mean', dual: 3 },
  trl: GROUP_DEFAULTS.trl,
};

/**
 * GRPO, Group Relative Policy Optimization (Shao et al. 2024, arXiv 2402.03300).
 *
 *   A = (R - mean_prompt) / (std_prompt + eps), sample standard deviation, one value for all tokens of a trajectory;
 *   token-level ratio, PPO clip [0.2, 0.2], seq-mean-token-mean
 *
 * The paper adds a KL term: `kl: { coef: 0.04, estimator: 'k3' }` (off here, because it needs a reference).
 * verl (compute_grpo_outcome_advantage, compute_policy_loss_vanilla): a group of one keeps its raw reward (verl divides it by 1 + eps), dual clip
 * 3, token-mean. TRL (GRPOTrainer, loss_type "grpo"): eps 1e-4, log-ratios not clamped; it averages per micro-batch, which depends on gradient
 * accumulation, here the denominators are global. GRPOTrainer's own default loss_type "dapo" is `aggregate: 'token-mean'`, its delta is `dual`.
 */
export function grpo(options: GrpoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const defaults = readCompat(fields, DEFAULTS);
  const { channel, hint } = readGroupAdvantage(fields, defaults);
  const loss = readClippedLoss(fields, { ...defaults, clip: [0.2, 0.2] });
  fields.end(hint);
  return estimator({ name: 'grpo', channels: [channel], ratio: { level: 'token', ...defaults.ratio }, ...loss });
}
