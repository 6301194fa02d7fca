/**
 * Discounted sums over the later turns of one trajectory, and their division by the square root of the number of terms.
 */

/**
 * Discounted sum of a turn's value and all later ones.
 *
 *   D_k = x_k + γ D_{k+1} = Σ_{j ≥ k} γ^(j-k) x_j,   D_n = beyond
 *
 * Source: reward-to-go; A²TGPO, arXiv 2605.06200 (turn-group: before the statistics with D_n = outcome; the other
 * modes: after them).
 *
 * @param values x [n], the turns of one trajectory in order; 0 where a turn has no signal
 * @param gamma γ in [0, 1]
 * @param beyond value after the last turn
 * @returns D [n]
 */
export function discounted(values: Float64Array, gamma: number, beyond = 0): Float64Array {
  const sums = new Float64Array(values.length);
  let next = beyond;
  for (let k = values.length - 1; k >= 0; k--) {
    next = values[k] + gamma * next;
    sums[k] = next;
  }
  return sums;
}

/**
 * Accumulated values divided by the square root of their number of terms, so that early turns of long trajectories do
 * not dominate: n independent terms of variance 1 have a sum of variance n.
 *
 *   E_k / √#{j ≥ k : turn j has a signal},   0 where there is no term
 *
 * Source: A²TGPO, arXiv 2605.06200 (turn-group-v1d: α D_k / √(n - k)).
 *
 * @param sums E [n], the turns of one trajectory in order
 * @param present [n] 1 = the turn has a signal
 */
export function divideBySqrtTerms(sums: Float64Array, present: Uint8Array): Float64Array {
  const divided = new Float64Array(sums.length);
  let terms = 0;
  for (let k = sums.length - 1; k >= 0; k--) {
    terms += present[k];
    divided[k] = terms === 0 ? 0 : sums[k] / Math.sqrt(terms);
  }
  return divided;
}
