import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import { type TurnPpoOptions, turnPpo } from './turn_ppo.js';

export type StPpoOptions = TurnPpoOptions;

/**
 * ST-PPO, stabilized Turn-PPO (Li et al. 2025, arXiv 2511.20718; SO-PPO in its second version): partial.
 *
 *   The loss of Turn-PPO; its gradient is then divided by a norm of the clipping bias C = E[Σ_t 1{clipped} ratio A_t / |y|].
 *
 * That division is left to the caller: it follows a reduction over the whole batch, and the published text does not say which norm, floor and reduction
 * (no code was found). Until then the stages are exactly those of turnPpo.
 */
export function stPpo(options: StPpoOptions = {}): Estimator {
  return estimator({ ...turnPpo(options), name: 'st-ppo' });
}
