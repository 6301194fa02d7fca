import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import {
  type Clip,
  type LossOptions,
  normalized,
  readClip,
  readLoss,
  readSingleton,
  type SingletonOption,
} from './common.js';

export interface GbpoOptions extends LossOptions, SingletonOption {
  /** [low, high] epsilons of the band that target ratios lie in. Default [0.3, 0.3]. */
  clip?: Clip | undefined;
  /** Of the target's sigmoid. Default 1e-4. */
  temperature?: number | undefined;
  /** Added to the standard deviation. Default 1e-6. */
  eps?: number | undefined;
}

/**
 * GBPO, the group form of Bounded Policy Optimization (2026, arXiv 2604.18578; not OneRec-V2's GBPO).
 *
 *   f = |A| |ratio - ρ*|,   ρ* = 1 - low + (low + high) sigmoid(u),   u = (R - median_prompt) / (std_prompt + eps) / temperature,
 *   A = (R - mean_prompt) / (std_prompt + eps);   per token, token-mean
 *
 * bounded-ratio-rl/bounded_ratio_rl (compute_gbpo_outcome_advantage): a group of one keeps its raw reward (the release divides it by 1 + eps), as
 * here by default; temperature 1 by configuration. Rows at the median have u = 0: they are pulled to the middle of the band.
 */
export function gbpo(options: GbpoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const singleton = readSingleton(fields, 'raw');
  const eps = fields.number('eps', { above: 0 }, 1e-6);
  const temperature = fields.number('temperature', { above: 0 }, 1e-4);
  const [low, high] = readClip(fields, [0.3, 0.3]);
  const loss = readLoss(fields, 'token-mean');
  fields.end();
  const advantage = normalized('outcome', { singleton, eps });
  return estimator({
    name: 'gbpo',
    channels: [advantage, { ...advantage, center: { kind: 'median' }, use: 'ratio-target', weight: 1 / temperature }],
    gate: { kind: 'l1-target', low, high },
    ...loss,
  });
}
