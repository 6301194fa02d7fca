/** Values replaced by the normal quantiles of their ranks: a distribution of one shape, whatever the rewards' scale. */
import { normalQuantile } from './normal_quantile.js';

/**
 * Rank-to-normal transform of one group.
 *
 *   x'ᵢ = Φ⁻¹((rankᵢ - 1/2) / n),   rank in 1..n, equal values have the average of their ranks
 *
 * A constant group has p = 1/2 and becomes exactly 0.
 *
 * Source: G²RPO, arXiv 2604.08539 (optimal transport to the normal distribution); plotting position and ties are this
 * project's choice, the paper's abstract does not name them.
 *
 * @param values x [n]
 * @returns x' [n]
 */
export function rankGauss(values: Float64Array): Float64Array {
  const n = values.length;
  const order = Array.from(values.keys()).sort((a, b) => values[a] - values[b]);
  const transformed = new Float64Array(n);
  // `end` is past `first` even where a value is NaN, which equals nothing.
  for (let first = 0, end = 1; first < n; first = end++) {
    while (end < n && values[order[end]] === values[order[first]]) end++;
    // The ranks first + 1 ... end have the average (first + 1 + end) / 2.
    const quantile = normalQuantile(((first + 1 + end) / 2 - 0.5) / n);
    for (let i = first; i < end; i++) transformed[order[i]] = quantile;
  }
  return transformed;
}
