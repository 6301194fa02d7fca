/** The factor by which a turn's normalised signal widens or narrows its clipping range. */

/**
 * Logistic function.
 *
 *   σ(x) = 1 / (1 + e⁻ˣ)
 *
 * Written with e^-|x|, so that neither side overflows.
 */
export function sigmoid(x: number): number {
  const small = Math.exp(-Math.abs(x));
  return x >= 0 ? 1 / (1 + small) : small / (1 + small);
}

/**
 * Clip scale of a turn: a turn of high information gain may move further.
 *
 *   c = 1 + β (2 σ(z) - 1),   in (1 - β, 1 + β);   the range becomes [1 - low · c, 1 + high · c]
 *
 * Source: A²TGPO, arXiv 2605.06200 and its release (turn-group-v1d, β = 0.3). z is taken before accumulation.
 *
 * @param z normalised signal; NaN = no signal, which gives exactly 1
 * @param beta β in [0, 1); 0 gives exactly 1
 */
export function clipScale(z: number, beta: number): number {
  if (Number.isNaN(z) || beta === 0) return 1;
  return 1 + beta * (2 * sigmoid(z) - 1);
}
