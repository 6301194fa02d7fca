/**
 * Sums, counts and extrema over loss tokens. Every sum is a reproducible one, so that no metric depends on the order
 * of trajectories.
 */
import { METRIC_SLOTS, type MetricSlot, type SurrogateArgs } from '../../ops.js';
import { reproducibleSum } from '../math/reproducible_sum.js';
import type { TokenTerm } from './surrogate_term.js';

export function writeMetrics(args: SurrogateArgs, terms: TokenTerm[], denominator: number): void {
  const sum = (of: (term: TokenTerm) => number) => reproducibleSum(terms.length, (i) => of(terms[i]));
  const count = (of: (term: TokenTerm) => boolean) => terms.filter(of).length;
  const policyNumerator = sum((term) => term.weight * term.policyValue);
  const klNumerator = sum((term) => term.weight * term.klValue);
  const { entropy } = args;
  const metrics: Record<MetricSlot, number> = {
    lossNumerator: policyNumerator + klNumerator,
    lossDenominator: denominator,
    policyNumerator,
    klNumerator,
    tokens: terms.length,
    clippedLow: count((term) => term.clippedLow),
    clippedHigh: count((term) => term.clippedHigh),
    clippedDual: count((term) => term.clippedDual),
    clampedLogRatio: count((term) => term.clamped),
    clampedKl: count((term) => term.klClamped),
    ratioSum: sum((term) => term.ratio),
    ratioSquareSum: sum((term) => term.ratio * term.ratio),
    ratioMin: terms.reduce((least, term) => Math.min(least, term.ratio), Number.POSITIVE_INFINITY),
    ratioMax: terms.reduce((most, term) => Math.max(most, term.ratio), Number.NEGATIVE_INFINITY),
    oldKlK1Sum: sum((term) => -term.logRatio),
    oldKlK3Sum: sum((term) => Math.expm1(term.logRatio) - term.logRatio),
    klSum: sum((term) => term.klEstimate),
    entropySum: entropy === null ? 0 : sum((term) => entropy[term.token]),
    nonFinite: count((term) => term.nonFinite),
  };
  METRIC_SLOTS.forEach((slot, i) => {
    args.metrics[i] = metrics[slot];
  });
}
