import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import { type ClipOptions, readClippedLoss, readSingleton, type SingletonOption } from './common.js';

export interface G2rpoOptions extends ClipOptions, SingletonOption {}

/**
 * G²RPO, Gaussian GRPO (Hu et al. 2026, OpenVLThinkerV2, arXiv 2604.08539), as far as its abstract says: partial.
 *
 *   A = Φ⁻¹((rank - 1/2) / n), rank of R in its prompt of n trajectories, equal rewards share the mean of their ranks;
 *   the loss of GRPO: token-level ratio, PPO clip [0.2, 0.2], seq-mean-token-mean
 *
 * Not public, and chosen here: the plotting position (rank - 1/2) / n, the rule for ties, the loss. Its shaping by length and entropy is not public
 * either and left out: shape the outcome before.
 */
export function g2rpo(options: G2rpoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const singleton = readSingleton(fields, 'zero');
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'seq-mean-token-mean' });
  fields.end();
  return estimator({
    name: 'g2rpo',
    channels: [
      {
        signal: 'outcome',
        group: { kind: 'prompt', singleton },
        transform: 'rank-gauss',
        center: { kind: 'none' },
        scale: { kind: 'none' },
      },
    ],
    ...loss,
  });
}
