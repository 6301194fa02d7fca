import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import { type ClipOptions, epsHint, readClippedLoss, readSingleton, type SingletonOption } from './common.js';

export interface IgpoOptions extends ClipOptions, SingletonOption {
  /** Discount per token within a turn. Default 0.5. */
  gamma?: number | undefined;
  /** Divide by the standard deviation of the prompt (default), or not. */
  scale?: 'std' | 'none' | undefined;
  /** Added to the standard deviation. Default 1e-6. */
  eps?: number | undefined;
}

/**
 * IGPO, Information Gain-based Policy Optimization (Wang et al. 2025, arXiv 2510.14967), with the credit of its release.
 *
 *   G_t = r_t + gamma G_{t+1}, anew in every turn; r = information gain on the last token of a turn, outcome on the last of the trajectory;
 *   A_t = (G_t - mean) / (std + eps), statistics over the first returns G_0 of the prompt's trajectories, sample deviation;
 *   token-level ratio, PPO clip [0.2, 0.2], token-mean
 *
 * `informationGain` is a difference of probabilities (`exp` of the mean log-prob of the answer); the last turn has none. The statistics see the first
 * turn alone, so its gain should be there (`promptLogProbs` of `informationGain`): where all first returns are equal, credit is only centred.
 * Release (GuoqingWang1/IGPO, compute_grpo_discounted_advantage): equal first returns are divided by eps, a group of one has (G_t - G_0) / (1 + eps),
 * here G_t - G_0. At the commit read the function has no
 * caller: its trainer subtracts the mean return at the same token position with gamma 1, which is no stage here (give it as advantages
 * of your own). One normalisation over all turns of the prompt and a discount per turn, the "joint" and "separate" forms of other
 * releases, are `a2tgpo({ mode: 'joint' })` and `a2tgpo({ mode: 'separate' })`.
 */
export function igpo(options: IgpoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const gamma = fields.number('gamma', { min: 0, max: 1 }, 0.5);
  const scale = fields.oneOf('scale', ['std', 'none'], 'std');
  const eps = scale === 'none' ? 0 : fields.number('eps', { above: 0 }, 1e-6);
  const singleton = readSingleton(fields, 'zero');
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'token-mean' });
  fields.end(epsHint(scale));
  return estimator({
    name: 'igpo',
    channels: [
      {
        signal: { level: 'token', terms: ['information-gain', 'outcome'] },
        accumulate: { kind: 'discounted', gamma, observation: 'reset' },
        group: { kind: 'prompt', members: 'first', singleton },
        center: { kind: 'mean' },
        // Equal first returns (no gain of the first turn) leave no spread: the others are then centred, not divided by 1e-6.
        scale: scale === 'none' ? { kind: scale } : { kind: scale, ddof: 1, eps, leastStd: 1e-9 },
      },
    ],
    ...loss,
  });
}
