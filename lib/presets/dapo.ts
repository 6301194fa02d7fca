import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
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

export type DapoOptions = ClipOptions &
  GroupOptions & {
    compat?: Compat | undefined;
  };

const DEFAULTS: Defaults<GroupDefaults & { dual: number | null }> = {
  paper: { ...GROUP_DEFAULTS.paper, dual: null },
  verl: { ...GROUP_DEFAULTS.verl, dual: 10 },
  trl: GROUP_DEFAULTS.trl,
};

/**
 * DAPO, Decoupled Clip and Dynamic sAmpling Policy Optimization (Yu et al. 2025, arXiv 2503.14476).
 *
 *   A = (R - mean_prompt) / (std_prompt + eps);   token-level ratio, PPO clip [0.2, 0.28], token-mean, no KL
 *
 * Left to the caller, being data: dynamic sampling (drop prompts whose rewards are all equal, they have advantage 0 here; draw others) and overlong
 * shaping, R + min(0, -(length - (limit - 4096)) / 4096).
 * verl (its DAPO scripts): a group of one keeps its raw reward (verl divides it by 1 + eps), dual clip 10. TRL (loss_type "dapo", which defaults
 * to clip [0.2, 0.2]): eps 1e-4, log-ratios not clamped.
 */
export function dapo(options: DapoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const { ratio, ...defaults } = readCompat(fields, DEFAULTS);
  const { channel, hint } = readGroupAdvantage(fields, defaults);
  const loss = readClippedLoss(fields, { clip: [0.2, 0.28], aggregate: 'token-mean', dual: defaults.dual });
  fields.end(hint);
  return estimator({ name: 'dapo', channels: [channel], ratio: { level: 'token', ...ratio }, ...loss });
}
