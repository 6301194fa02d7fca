import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import { type ClipOptions, epsHint, readClippedLoss } from './common.js';

export interface HgpoOptions extends ClipOptions {
  /** Longest history K, in observations before the current one: K + 1 levels. Default 2, at most 7. */
  history?: number | undefined;
  /** Weight of level l is (l + 1)^alpha. Default 1. */
  alpha?: number | undefined;
  /** Discount over later steps. Default 0.95. */
  gamma?: number | undefined;
  /** Divide by the standard deviation of the group (default, the release's mean_std_norm), or only centre (its mean_norm). */
  scale?: 'std' | 'none' | undefined;
  /** Added to the standard deviation. Default 1e-6. */
  eps?: number | undefined;
}

/**
 * HGPO, Hierarchy-of-Groups Policy Optimization (He et al. 2026, arXiv 2602.22817), with the credit of its release.
 *
 *   a_l = (G_k - mean) / (std + eps) over the steps of the prompt with the same last l + 1 observations, population deviation;
 *   A = Σ_l w_l a_l / Σ_l w_l over the levels l = 0..K where a_l is not 0, else 0;   w_l = (l + 1)^alpha,   G_k = r_k + gamma G_{k+1};
 *   token-level ratio, PPO clip [0.2, 0.2], token-mean
 *
 * `keys.history0` [K] .. `keys.history2` name the last 1, 2, 3 observations of every step. A step with fewer than l steps before it is in no group of level
 * l: give it a key of its own there. A step without a partner has a_l = 0.
 * Release (CazeroZ/hgpo; later a recipe of verl-agent): its configuration defaults to mean_norm, its scripts use either. Its branch for a step without a partner writes 0 to a stale index, which is not followed. Its
 * optional level of whole episodes is left out: it is one more channel.
 */
export function hgpo(options: HgpoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const history = fields.number('history', { integer: true, min: 0, max: 7 }, 2);
  const alpha = fields.number('alpha', {}, 1);
  const gamma = fields.number('gamma', { min: 0, max: 1 }, 0.95);
  const scale = fields.oneOf('scale', ['std', 'none'], 'std');
  const eps = scale === 'none' ? 0 : fields.number('eps', { above: 0 }, 1e-6);
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'token-mean' });
  fields.end(epsHint(scale));
  return estimator({
    name: 'hgpo',
    channels: Array.from({ length: history + 1 }, (_, level) => ({
      signal: 'turn-reward',
      accumulate: { kind: 'discounted', gamma },
      group: { kind: 'prompt-key', key: `history${level}`, singleton: 'zero' },
      center: { kind: 'mean' },
      scale: scale === 'none' ? { kind: scale } : { kind: scale, ddof: 0, eps },
      weight: (level + 1) ** alpha,
    })),
    combine: { kind: 'weighted-mean' },
    ...loss,
  });
}
