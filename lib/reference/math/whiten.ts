/** The last stage of credit assignment: finished advantages brought to mean 0, and to standard deviation 1. */
import type { WhitenArgs } from '../../ops.js';
import { divisorOf, quotient } from './normalize.js';
import { weightedMoments } from './weighted_moments.js';

/**
 * Whitened advantages of the whole batch.
 *
 *   center: A - μ;   standardize: (A - μ) / (√(v + floor) + eps);   μ, v weighed by w
 *   all A with w > 0 equal, or Σw ≤ ddof: exactly 0;   Σw = 0: A as it is
 *
 * Source: REINFORCE++, arXiv 2501.03262, and PPO in verl (masked_whiten: weighed by loss tokens, ddof 1, floor 1e-8);
 * center: EMPG, arXiv 2509.09265.
 *
 * @param values A [n]; those of weight 0 are transformed like the others
 * @param weights w [n], loss tokens of each entry
 */
export function whiten(values: Float64Array, weights: Float64Array, options: WhitenArgs): Float64Array {
  if (options.kind === 'none') return values.slice();
  const { total, mean, variance, allEqual } = weightedMoments(values, weights, options.ddof);
  if (total === 0) return values.slice();
  const divisor = options.kind === 'center' ? 1 : divisorOf(variance, options);
  // An advantage that overflowed stays to be seen, not a 0 among equals.
  return values.map((value) => {
    if (!Number.isFinite(value)) return value;
    return allEqual ? 0 : quotient(value - mean, divisor);
  });
}
