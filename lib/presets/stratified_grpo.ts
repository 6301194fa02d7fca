import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import { type ClipOptions, normalized, readClippedLoss, readSingleton, type SingletonOption } from './common.js';

export interface StratifiedGrpoOptions extends ClipOptions, SingletonOption {
  /** Share of the stratum's advantage, 0 to 1. Required: the paper's value is not confirmed. */
  alpha: number;
  /** 0 = population, 1 = sample deviation. Required: the paper's kind is not confirmed. */
  ddof: 0 | 1;
  /** Added to the standard deviations. Required: the paper's value is not confirmed. */
  eps: number;
}

/**
 * Stratified GRPO, stratified advantage normalization for search agents (Zhu et al. 2025, arXiv 2510.06214).
 *
 *   A = alpha z(R; prompt, stratum) + (1 - alpha) z(R; prompt),   z(x; S) = (x - mean_S) / (std_S + eps);
 *   token-level ratio, PPO clip [0.2, 0.2], seq-mean-token-mean
 *
 * `keys.stratum` [M], e.g. the number of search calls of a trajectory. No release was found: alpha, the kind of deviation, eps and what
 * a stratum of one gets (0 here) are not confirmed.
 */
export function stratifiedGrpo(options: StratifiedGrpoOptions): Estimator {
  const fields = new Fields(options, '');
  const alpha = fields.number('alpha', { min: 0, max: 1 });
  const ddof = fields.number('ddof', { integer: true, min: 0, max: 1 }) as 0 | 1;
  const eps = fields.number('eps', { above: 0 });
  const singleton = readSingleton(fields, 'zero');
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'seq-mean-token-mean' });
  fields.end();
  const channel = normalized('outcome', { singleton, eps, ddof });
  return estimator({
    name: 'stratified-grpo',
    channels: [
      { ...channel, group: { kind: 'prompt-key', key: 'stratum', singleton }, weight: alpha },
      { ...channel, weight: 1 - alpha },
    ],
    ...loss,
  });
}
