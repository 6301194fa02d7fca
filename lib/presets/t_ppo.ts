import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import { type ClipOptions, readClippedLoss } from './common.js';
import { type CriticOptions, readCritic } from './critic.js';

export interface TPpoOptions extends ClipOptions, CriticOptions {
  gamma: number;
  lambda: number;
}

/**
 * T-PPO, Truncated PPO with EGAE, Extended Generalized Advantage Estimation (Fan et al. 2025, arXiv 2506.15050).
 *
 *   δ_t = r_t + gamma V_{t+1} - V_t,   A_t = δ_t + gamma lambda A_{t+1};   after the last token of a truncated trajectory V_{end+1} = V_end,
 *   after that of a finished one 0;   PPO clip [0.2, 0.2], token-mean
 *
 * `values` [N] are the critic's, `truncated` [M] marks the trajectories that go on in a later batch. No code of the authors was found and EGAE is known
 * from a secondary description: gamma and lambda are required; clip, aggregation and whitening (on) are those of PPO in verl.
 * Left to the caller: which tokens of a window are trained on (`actionMask`), and the critic's Monte-Carlo targets.
 */
export function tPpo(options: TPpoOptions): Estimator {
  const fields = new Fields(options, '');
  const credit = readCritic(fields, { gamma: undefined, lambda: undefined, whiten: true }, 'carry');
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'token-mean' });
  fields.end();
  return estimator({ name: 't-ppo', ...credit, ...loss });
}
