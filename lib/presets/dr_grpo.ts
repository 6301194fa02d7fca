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
  normalized,
  readClippedLoss,
  readCompat,
  readSingleton,
  type SingletonOption,
  UNCLAMPED,
} from './common.js';

interface CommonOptions extends Omit<ClipOptions, 'aggregate'>, SingletonOption {
  compat?: Compat | undefined;
}

export type DrGrpoOptions = CommonOptions &
  (
    | {
        /** Length that every trajectory's sum is divided by: the generation limit, a constant of the run. */
        horizon: number;
        aggregate?: undefined;
      }
    | { horizon?: undefined; aggregate: Aggregate }
  );

const DEFAULTS: Defaults<Pick<GroupDefaults, 'singleton' | 'ratio'> & { dual: number | null }> = {
  paper: { ...GROUP_DEFAULTS.paper, dual: null },
  verl: { ...GROUP_DEFAULTS.verl, dual: 3 },
  trl: { ratio: UNCLAMPED },
};

/**
 * Dr. GRPO, GRPO Done Right (Liu et al. 2025, "Understanding R1-Zero-Like Training", arXiv 2503.20783).
 *
 *   A = R - mean_prompt, no division by the standard deviation;
 *   token-level ratio, PPO clip [0.2, 0.2], seq-mean-token-sum-norm: Σ f / horizon / sequences
 *
 * `horizon` is required: it is the run's own generation limit.
 * verl (norm_adv_by_std_in_grpo false, loss_agg_mode "seq-mean-token-sum-norm"): a group of one keeps its raw reward, dual clip 3; its horizon is
 * loss_scale_factor, or the padded width of the batch where that is not set. TRL (loss_type "dr_grpo", scale_rewards "none"): horizon =
 * max_completion_length, log-ratios not clamped.
 */
export function drGrpo(options: DrGrpoOptions): Estimator {
  const fields = new Fields(options, '');
  const defaults = readCompat(fields, DEFAULTS);
  const channel = normalized('outcome', { scale: 'none', singleton: readSingleton(fields, defaults.singleton) });
  const other = fields.has('aggregate');
  const aggregate: Aggregate = other
    ? 'token-mean'
    : { kind: 'seq-mean-token-sum-norm', horizon: fields.number('horizon', { above: 0 }) };
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], dual: defaults.dual, aggregate });
  fields.end(other ? 'horizon has no effect where aggregate is given' : '');
  return estimator({ name: 'dr-grpo', channels: [channel], ratio: { level: 'token', ...defaults.ratio }, ...loss });
}
