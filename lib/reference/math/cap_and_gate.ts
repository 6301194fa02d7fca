/** Factors that keep an intrinsic channel from drowning the outcome: InfoPO, arXiv 2603.00656. */
import { sigmoid } from './clip_scale.js';
import { groupMoments } from './normalize.js';

/**
 * Cap of a channel by the advantages so far.
 *
 *   min(1, max(sd(A) + eps, 1) / (sd(C) + eps))
 *
 * Source: InfoPO release (magnitude cap over the batch's loss tokens).
 *
 * @param stdSoFar sd(A), sample standard deviation of the advantages of the channels before
 * @param stdOfChannel sd(C), of this channel
 * @param eps > 0
 */
export function magnitudeCap(stdSoFar: number, stdOfChannel: number, eps: number): number {
  return Math.min(1, Math.max(stdSoFar + eps, 1) / (stdOfChannel + eps));
}

/**
 * Gate of a prompt: at most 1/2, near 0 where its outcomes discriminate by themselves.
 *
 *   σ(-sd(outcomes) / temperature),   sample standard deviation; 0 for fewer than two outcomes, as for equal ones
 *
 * Source: InfoPO release (temperature 0.05).
 *
 * @param outcomes outcomes of the prompt's trajectories, NaN = excluded
 */
export function outcomeGate(outcomes: Float64Array, temperature: number): number {
  const known = outcomes.filter((outcome) => !Number.isNaN(outcome));
  return sigmoid(-Math.sqrt(groupMoments(known, 1).variance) / temperature);
}
