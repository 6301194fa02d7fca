import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { KlValueInput } from '../estimator/stages/kl.js';
import type { Estimator } from '../estimator/types.js';
import { type ClipOptions, penalized, readClippedLoss, TOKEN_WHITEN } from './common.js';
import { criticChannel } from './critic.js';

export interface SpaRlOptions extends ClipOptions {
  /** Discount over later tokens. Default 1. */
  gamma?: number | undefined;
  /** Of GAE. Default 0.95. */
  lambda?: number | undefined;
  /** -coef * KL(old || reference) in the reward of every loss token. Default null. */
  klPenalty?: KlValueInput | null | undefined;
}

/**
 * SPA-RL, stepwise progress attribution (Wang et al. 2025, arXiv 2505.20732).
 *
 *   r = progress of a turn + 0.5 where its action took effect, on the turn's last token;
 *   δ_t = r_t + gamma V_{t+1} - V_t,   a_t = δ_t + gamma lambda a_{t+1} over loss tokens,   A = (a - mean) / sqrt(var + 1e-8) over the batch's tokens;
 *   token-level ratio, PPO clip [0.2, 0.2], token-mean
 *
 * `turnRewards` is the sum of both, and `values` [N] the critic's: the progress estimator and the value loss are the caller's.
 * Release (WangHanLinHenry/SPA-RL-Agent): its trainer multiplies the reward of turn k by n - 1 - k, so that the last turn gets 0; its GAE runs over
 * observations too, with value and reward 0, and decays by gamma lambda per observation token; gamma and lambda are the defaults of its PPO trainer. Its example script gives every turn
 * the outcome less a leave-one-out mean instead of the progress.
 */
export function spaRl(options: SpaRlOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const gamma = fields.number('gamma', { min: 0, max: 1 }, 1);
  const lambda = fields.number('lambda', { min: 0, max: 1 }, 0.95);
  const signal = penalized(['turn-reward'], fields);
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'token-mean' });
  fields.end();
  return estimator({
    name: 'spa-rl',
    channels: [criticChannel(signal, { gamma, lambda, bootstrap: 'zero' })],
    whiten: TOKEN_WHITEN,
    ...loss,
  });
}
