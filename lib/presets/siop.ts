import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import {
  type ClipOptions,
  readClippedLoss,
  readSingleton,
  readTurnRewards,
  type SingletonOption,
  type TurnRewardOptions,
} from './common.js';

export interface SiopOptions extends ClipOptions, SingletonOption, TurnRewardOptions {
  /** Discount over later turns. Default 1. */
  gamma?: number | undefined;
}

/**
 * SIOP (2026, arXiv 2605.04984): turn rewards from clusters of answers, without a reference.
 *
 *   z_k = (r_k - mean) / (std + 1e-6) over all turns of the prompt's trajectories, sample deviation, 1 in its place where it is below 1e-6;
 *   A_k = z_k + gamma A_{k+1};   token-level ratio, PPO clip [0.2, 0.2], token-mean
 *
 * `turnRewards`: the log-probability shift of the answer cluster, and (1 - λ) of its frequency on the last turn; clustering is the caller's.
 * Release (dl-m9/SIOP): as here; turns are runs of the mask.
 */
export function siop(options: SiopOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const terms = readTurnRewards(fields);
  const gamma = fields.number('gamma', { min: 0, max: 1 }, 1);
  const singleton = readSingleton(fields, 'zero');
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'token-mean' });
  fields.end();
  return estimator({
    name: 'siop',
    channels: [
      {
        signal: { level: 'turn', terms },
        group: { kind: 'prompt', singleton },
        center: { kind: 'mean' },
        scale: { kind: 'std', ddof: 1, eps: 1e-6, leastStd: 1e-6 },
        then: { kind: 'discounted', gamma },
      },
    ],
    ...loss,
  });
}
