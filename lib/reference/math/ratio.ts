/** The logarithm of the importance ratio of a token, a turn or a trajectory. */

/**
 * Mean log-ratio of a segment: the logarithm of the geometric mean of its token ratios. A single token is a segment of
 * one.
 *
 *   x = 1/n Σₜ (log π(t) - log π_old(t))
 *
 * Source: GSPO, arXiv 2507.18071 (sequence); AT²PO, arXiv 2601.04767, and A²TGPO, arXiv 2605.06200 (turn,
 * straight-through); Turn-PPO, arXiv 2511.20718 (turn, true mean).
 *
 * @param logRatios log π - log π_old of the segment's loss tokens [n], n ≥ 1, summed in token order
 */
export function meanLogRatio(logRatios: Float64Array): number {
  let sum = 0;
  for (const d of logRatios) sum += d;
  return sum / logRatios.length;
}

/**
 * Log-ratio kept in a range, so that its exponential stays finite. NaN passes through.
 *
 *   clamp(x) = min(max(x, low), high)
 *
 * Source: verl core_algos (token: ±20; segment: at most 10).
 */
export function clampLogRatio(x: number, low: number, high: number): number {
  return Math.min(Math.max(x, low), high);
}

/** Whether the clamp changed x. The derivative of the ratio by x is then 0. A NaN is not clamped. */
export function isClamped(x: number, low: number, high: number): boolean {
  return x < low || x > high;
}
