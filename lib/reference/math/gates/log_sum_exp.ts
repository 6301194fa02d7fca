/** The loss that couples the trajectories of one prompt: their labels are told apart by their log-ratios. */
import { reproducibleSum } from '../reproducible_sum.js';

/**
 * One class of a prompt's trajectories.
 *
 *   value = log(1 + Σ_b exp(u_b)),   shares[b] = exp(u_b) / (1 + Σ exp(u))
 *
 * u is +x/T for the trajectories of A < 0, -x/T for those of A > 0. The largest of 0 and u is taken out before exp, so
 * that nothing overflows; the sum does not depend on the order of trajectories.
 *
 * Source: REAL, arXiv 2602.05630 (T = 0.5, x = mean log-ratio of the sequence).
 */
export function softplusOfMany(u: Float64Array): { value: number; shares: Float64Array } {
  const shift = u.reduce((most, x) => Math.max(most, x), 0);
  const terms = u.map((x) => Math.exp(x - shift));
  const sum = reproducibleSum(terms.length, (b) => terms[b]);
  const one = Math.exp(-shift);
  return {
    value: shift === 0 ? Math.log1p(sum) : shift + Math.log(one + sum),
    shares: terms.map((term) => term / (one + sum)),
  };
}
