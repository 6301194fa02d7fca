import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import {
  type Clip,
  type Compat,
  type Defaults,
  GROUP_DEFAULTS,
  type GroupDefaults,
  type GroupOptions,
  type LossOptions,
  readClip,
  readCompat,
  readGroupAdvantage,
  readLoss,
  UNCLAMPED,
} from './common.js';

export type GmpoOptions = LossOptions &
  GroupOptions & {
    compat?: Compat | undefined;
    /** [low, high] epsilons of log-ratios. Default [0.4, 0.4]. */
    clip?: Clip | undefined;
  };

const DEFAULTS: Defaults<GroupDefaults> = {
  paper: GROUP_DEFAULTS.paper,
  verl: { ...GROUP_DEFAULTS.verl, ratio: UNCLAMPED },
  trl: GROUP_DEFAULTS.trl,
};

/**
 * GMPO, Geometric-Mean Policy Optimization (Zhao et al. 2025, arXiv 2507.20673).
 *
 *   y_t = min(d_t, 0.4) where A > 0, max(d_t, -0.4) where A < 0, d = log-ratio of a token;   f = -A exp(mean_t y_t), differentiated,
 *   seq-mean-token-mean;   A = (R - mean_prompt) / (std_prompt + eps)
 *
 * The clip comes before the mean and is that of the tokens; the ratio itself is not clipped again.
 * verl (compute_policy_loss_geo_mean): not clamped (the default here: the mean is at most 10), a group of one keeps its raw reward (verl divides it by
 * 1 + eps), 1e-8 is added to the length; its rollout weights are averaged geometrically over the trajectory: an `importance` weight of level sequence,
 * reduce mean, where none was truncated. TRL (experimental GMPO): not clamped, eps 1e-4.
 */
export function gmpo(options: GmpoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const { ratio, ...defaults } = readCompat(fields, DEFAULTS);
  const { channel, hint } = readGroupAdvantage(fields, defaults);
  const [low, high] = readClip(fields, [0.4, 0.4]);
  const loss = readLoss(fields, 'seq-mean-token-mean');
  fields.end(hint);
  return estimator({
    name: 'gmpo',
    channels: [channel],
    ratio: { level: 'sequence', form: 'true', tokenClip: { low, high }, ...ratio },
    gate: { kind: 'none' },
    ...loss,
  });
}
