import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import { type ClipOptions, normalized, readClippedLoss, readSingleton, type SingletonOption } from './common.js';

export interface MtGrpoOptions extends ClipOptions, SingletonOption {
  /** Weight of the turn reward. Default 1. */
  turnWeight?: number | undefined;
  /** Added to the standard deviations. Default 1e-4. */
  eps?: number | undefined;
}

/**
 * MT-GRPO, multi-turn GRPO with turn-level credit (Zeng et al. 2025, arXiv 2505.11821).
 *
 *   A_k = z(R) + turnWeight z(r) on the turns up to the first tool result,   A_k = z(R) on those after it;
 *   z(x) = (x - mean_prompt) / (std_prompt + 1e-4), sample deviation, one value per trajectory;
 *   token-level ratio, PPO clip [0.2, 0.2], seq-mean-token-mean
 *
 * `turnRewards` holds a trajectory's turn reward r on each of the turns up to its first tool result, NaN on the others.
 * Release (SiliangZeng/Multi-Turn-RL-Agent): a trajectory without any tool result takes z(R + r) everywhere while its r still enters the statistics.
 * That is no stage here: give r on its first turn (it then counts as one that has a result), or NaN (it stays out of the statistics). A group of one
 * is NaN in the release. The port in verl-tool has eps 1e-6 and whitens over the batch's tokens at the end:
 *   estimator({ ...mtGrpo({ eps: 1e-6 }), whiten: { kind: 'standardize', over: 'token', ddof: 1, eps: 0, varianceFloor: 1e-8 } })
 */
export function mtGrpo(options: MtGrpoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const weight = fields.number('turnWeight', {}, 1);
  const eps = fields.number('eps', { above: 0 }, 1e-4);
  const singleton = readSingleton(fields, 'zero');
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'seq-mean-token-mean' });
  fields.end();
  return estimator({
    name: 'mt-grpo',
    channels: [
      normalized('outcome', { singleton, eps }),
      {
        ...normalized('turn-reward', { singleton, eps }),
        group: { kind: 'prompt', members: 'first', singleton },
        weight,
      },
    ],
    ...loss,
  });
}
