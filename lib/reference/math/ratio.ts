/** The logarithm of the importance ratio of a token, a turn or a trajectory. */
import type { RatioArgs, Reduce } from '../../ops.js';

/** The log-ratio of one token as it enters the reduction over its unit. */
export interface TokenLogRatio {
  /** y */
  value: number;
  /** ∂y/∂d is 1; otherwise a bound replaced d, and the derivative is 0. */
  live: boolean;
  /** The bound was ±tokenClamp. */
  clamped: boolean;
  /** The bound was -clipLow, of a token of A < 0. */
  clippedLow: boolean;
  /** The bound was clipHigh, of a token of A > 0. */
  clippedHigh: boolean;
}

/**
 * Log-ratio of one token, kept in a range of its own before it is reduced with others. NaN passes through, live.
 *
 *   y = clamp(d, ±tokenClamp);   A < 0: y = max(y, -clipLow);   A > 0: y = min(y, clipHigh)
 *
 * Source: GMPO, arXiv 2507.20673 (the one-sided clip before the mean); VESPO, arXiv 2602.10693 (the clamp before the
 * sum).
 *
 * @param d log π - log π_old
 * @param advantage A of the token
 */
export function tokenLogRatio(d: number, advantage: number, ratio: RatioArgs): TokenLogRatio {
  const y = clampLogRatio(d, -ratio.tokenClamp, ratio.tokenClamp);
  const clamped = isClamped(d, -ratio.tokenClamp, ratio.tokenClamp);
  const clippedLow = advantage < 0 && y < -ratio.clipLow;
  const clippedHigh = advantage > 0 && y > ratio.clipHigh;
  return {
    value: clippedLow ? -ratio.clipLow : clippedHigh ? ratio.clipHigh : y,
    live: !clamped && !clippedLow && !clippedHigh,
    clamped,
    clippedLow,
    clippedHigh,
  };
}

/** One value for a unit (a token, a turn, a trajectory) from those of its loss tokens [n], n ≥ 1, in token order. */
export function reduceValues(values: Float64Array, reduce: Reduce): number {
  switch (reduce) {
    case 'mean':
      return meanLogRatio(values);
    case 'sum':
      return values.reduce((sum, x) => sum + x, 0);
    case 'max':
      return values.reduce((most, x) => Math.max(most, x), Number.NEGATIVE_INFINITY);
  }
}

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
