/**
 * Sums over the later entries (turns or loss tokens) of one trajectory: discounted, generalised advantage estimation,
 * and the division by the square root of the number of terms.
 */

/**
 * Discounted sum of an entry's value and all later ones.
 *
 *   D_k = x_k + γ D_{k+1} = Σ_{j ≥ k} γ^(j-k) x_j,   D_n = beyond
 *
 * Source: reward-to-go; A²TGPO, arXiv 2605.06200 (turn-group: before the statistics with D_n = outcome; the other
 * modes: after them).
 *
 * @param values x [n], the entries of one trajectory in order; 0 where there is no signal
 * @param gamma γ in [0, 1]
 * @param beyond value after the last entry
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
 * Generalised advantage estimation.
 *
 *   δ_k = x_k + γ V_{k+1} - V_k,   A_k = δ_k + γ λ A_{k+1},   V_n = beyond,   A_n = 0
 *
 * Source: GAE, arXiv 1506.02438; over loss tokens only, so that observations are transparent, as in verl
 * core_algos.compute_gae_advantage_return; V_n = V_{n-1} for a truncated trajectory: EGAE, arXiv 2506.15050.
 *
 * @param values x [n], the entries of one trajectory in order; 0 where there is no signal
 * @param stateValues V [n]
 * @param beyond value of the state after the last entry; 0 if the trajectory ended there
 * @returns A [n]
 */
export function gae(
  values: Float64Array,
  stateValues: Float64Array,
  gamma: number,
  lambda: number,
  beyond = 0,
): Float64Array {
  const advantages = new Float64Array(values.length);
  let nextValue = beyond;
  let next = 0;
  for (let k = values.length - 1; k >= 0; k--) {
    const delta = values[k] + gamma * nextValue - stateValues[k];
    next = delta + gamma * lambda * next;
    nextValue = stateValues[k];
    advantages[k] = next;
  }
  return advantages;
}

/**
 * Accumulated values divided by the square root of their number of terms, so that early turns of long trajectories do
 * not dominate: n independent terms of variance 1 have a sum of variance n.
 *
 *   E_k / √#{j ≥ k : turn j has a signal},   0 where there is no term
 *
 * Source: A²TGPO, arXiv 2605.06200 (turn-group-v1d: α D_k / √(n - k)).
 *
 * @param sums E [n], the entries of one trajectory in order
 * @param present [n] 1 = the entry has a signal
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
