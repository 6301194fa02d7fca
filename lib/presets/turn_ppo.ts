import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import { type ClipOptions, readClippedLoss } from './common.js';
import { type CriticOptions, readCritic } from './critic.js';

export interface TurnPpoOptions extends ClipOptions, CriticOptions {}

/**
 * Turn-PPO, PPO with the importance ratio of a turn (Li et al. 2025, ST-PPO, arXiv 2511.20718).
 *
 *   s_k = exp(mean log-ratio of turn k), differentiated;   f_t = max(-s_k A_t, -clip(s_k, 1 - 0.2, 1 + 0.2) A_t), seq-mean-token-mean;
 *   A by GAE over loss tokens, whitened, gamma 0.99, lambda 0.95
 *
 * No code of the authors was found: the geometric mean, gamma and lambda are from secondary sources (one of which has a KL term of coef 0.001);
 * whitening is that of PPO in verl. `values` [N] are the critic's.
 */
export function turnPpo(options: TurnPpoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const credit = readCritic(fields, { gamma: 0.99, lambda: 0.95, whiten: true }, 'zero');
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'seq-mean-token-mean' });
  fields.end();
  return estimator({ name: 'turn-ppo', ...credit, ratio: { level: 'turn', form: 'true' }, ...loss });
}
