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
  const least = (of: (term: TokenTerm) => number) =>
    terms.reduce((value, term) => Math.min(value, of(term)), Number.POSITIVE_INFINITY);
  const most = (of: (term: TokenTerm) => number) =>
    terms.reduce((value, term) => Math.max(value, of(term)), Number.NEGATIVE_INFINITY);
  const policyNumerator = sum((term) => term.policyWeight * term.policyValue);
  const klNumerator = sum((term) => term.weight * term.klValue);
  const entropyNumerator = sum((term) => term.weight * term.entropyValue);
  const { entropy } = args;
  const metrics: Record<MetricSlot, number> = {
    lossNumerator: policyNumerator + klNumerator + entropyNumerator,
    lossDenominator: denominator,
    policyNumerator,
    klNumerator,
    entropyNumerator,
    tokens: terms.length,
    clippedLow: count((term) => term.clippedLow),
    clippedHigh: count((term) => term.clippedHigh),
    clippedDual: count((term) => term.clippedDual),
    clampedLogRatio: count((term) => term.clamped),
    clampedKl: count((term) => term.klClamped),
    masked: count((term) => term.masked),
    truncatedWeights: count((term) => term.truncated),
    ratioSum: sum((term) => term.ratio),
    ratioSquareSum: sum((term) => term.ratio * term.ratio),
    ratioMin: least((term) => term.ratio),
    ratioMax: most((term) => term.ratio),
    weightSum: sum((term) => term.factor),
    weightSquareSum: sum((term) => term.factor * term.factor),
    weightMin: least((term) => term.factor),
    weightMax: most((term) => term.factor),
    oldKlK1Sum: sum((term) => -term.logRatio),
    oldKlK3Sum: sum((term) => Math.expm1(term.logRatio) - term.logRatio),
    klSum: sum((term) => term.klEstimate),
    entropySum: entropy === null ? 0 : sum((term) => entropy[term.token]),
    nonFinite: count((term) => term.nonFinite),
    largestCoefficient: terms.reduce((value, { token }) => Math.max(value, Math.abs(args.coefficients[token])), 0),
  };
  METRIC_SLOTS.forEach((slot, i) => {
    args.metrics[i] = metrics[slot];
  });
}
