/** Mean and variance where an entry counts as often as it has loss tokens. */
import { reproducibleSum } from './reproducible_sum.js';

export interface WeightedMoments {
  /** W = Σw */
  total: number;
  mean: number;
  variance: number;
  /** Every value of positive weight is the same, or W ≤ ddof: there is no variance to speak of, and it is exactly 0. */
  allEqual: boolean;
}

/**
 * Moments of weighted values, independent of their order. A value of weight 0 is not read.
 *
 *   μ = Σwᵢxᵢ / W,   v = Σwᵢ(xᵢ - μ)² / (W - ddof),   W = Σwᵢ
 *
 * Source: verl torch_functional.masked_whiten, of which this is the form with one term per turn.
 *
 * @param values x [n]
 * @param weights w [n], whole numbers ≥ 0
 */
export function weightedMoments(values: Float64Array, weights: Float64Array, ddof: number): WeightedMoments {
  const weighted = Array.from(weights.keys()).filter((i) => weights[i] > 0);
  const x = Float64Array.from(weighted, (i) => values[i]);
  const w = Float64Array.from(weighted, (i) => weights[i]);
  const total = reproducibleSum(w.length, (i) => w[i]);
  if (total <= ddof || x.every((value) => value === x[0])) {
    return { total, mean: x[0] ?? 0, variance: 0, allEqual: true };
  }
  const mean = reproducibleSum(x.length, (i) => w[i] * x[i]) / total;
  const variance = reproducibleSum(x.length, (i) => w[i] * (x[i] - mean) ** 2) / (total - ddof);
  return { total, mean, variance, allEqual: false };
}
