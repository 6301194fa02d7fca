// The metrics of a batch's terms: counts, extremes, and sums that are reproducible ones, so that none depends on the
// order of trajectories or threads.
#pragma once
#include "../math/reproducible_sum.h"
#include "loss_batch.h"

namespace turnwise {

constexpr int kTermFlags = 8;  // beside kEvaluated

/// How many terms have a flag, by the flag's bit. Tokens are counted in 32 bits.
struct TermCounts {
  uint32_t of[kTermFlags] = {};

  TURNWISE_HD void add(const Term& term) {
    for (int bit = 0; bit < kTermFlags; ++bit) of[bit] += term.flags >> bit & 1;
  }
  TURNWISE_HD friend TermCounts operator+(TermCounts a, const TermCounts& b) {
    for (int bit = 0; bit < kTermFlags; ++bit) a.of[bit] += b.of[bit];
    return a;
  }
};

TURNWISE_HD inline double weightOf(const LossBatch& batch, const Term& term) {
  return batch.weightProduct ? batch.weightProduct[term.token] : 1.0;
}

/// A NaN stays once seen, whatever its place.
struct TermExtremes {
  double leastRatio = HUGE_VAL, largestRatio = -HUGE_VAL;
  double leastWeight = HUGE_VAL, largestWeight = -HUGE_VAL;

  TURNWISE_HD void add(const LossBatch& batch, const Term& term) {
    const double weight = weightOf(batch, term);
    *this = *this + TermExtremes{term.ratio, term.ratio, weight, weight};
  }
  TURNWISE_HD friend TermExtremes operator+(const TermExtremes& a, const TermExtremes& b) {
    return {least(a.leastRatio, b.leastRatio), largest(a.largestRatio, b.largestRatio),
            least(a.leastWeight, b.leastWeight), largest(a.largestWeight, b.largestWeight)};
  }

 private:
  TURNWISE_HD static double least(double a, double b) { return a != a || a <= b ? a : b; }
  TURNWISE_HD static double largest(double a, double b) { return a != a || a >= b ? a : b; }
};

/// Of |dLoss/dLogProb|; NaN if there is one.
TURNWISE_HD inline double largerCoefficient(const LossBatch& batch, double largest, const Term& term) {
  const double x = batch.args.coefficients[term.token];
  const double size = x < 0 ? -x : x;
  return largest != largest || largest >= size ? largest : size;
}

/// The metrics that are sums over terms.
constexpr int kSummedMetrics = 11;
TURNWISE_HD constexpr Metric summedMetric(int i) {
  constexpr Metric kAll[kSummedMetrics] = {
      Metric::policyNumerator, Metric::klNumerator, Metric::entropyNumerator, Metric::ratioSum,
      Metric::ratioSquareSum,  Metric::weightSum,   Metric::weightSquareSum,  Metric::oldKlK1Sum,
      Metric::oldKlK3Sum,      Metric::klSum,       Metric::entropySum,
  };
  return kAll[i];
}

/// What a term adds to one of them.
TURNWISE_HD inline double addend(const LossBatch& batch, Metric metric, const Term& term) {
  const Surrogate& args = batch.args;
  switch (metric) {
    case Metric::policyNumerator:
      return term.policy;
    case Metric::klNumerator:
      return args.kl.coef * term.weight * term.kl;
    case Metric::entropyNumerator:
      return -args.entropyCoef * term.weight * args.entropy[term.token];
    case Metric::ratioSum:
      return term.ratio;
    case Metric::ratioSquareSum:
      return term.ratio * term.ratio;
    case Metric::weightSum:
      return weightOf(batch, term);
    case Metric::weightSquareSum:
      return weightOf(batch, term) * weightOf(batch, term);
    case Metric::oldKlK1Sum:
      return -batch.logRatio(term.token);
    case Metric::oldKlK3Sum:
      return term.oldKlK3;
    case Metric::klSum:
      return term.kl;
    case Metric::entropySum:
      return args.entropy[term.token];
    default:
      return 0.0;
  }
}

/// Whether its terms have something to add; else it is 0, or for the weights 1 per term.
TURNWISE_HD inline bool addsUp(const LossBatch& batch, Metric metric) {
  switch (metric) {
    case Metric::klNumerator:
    case Metric::klSum:
      return batch.klTermOn;
    case Metric::entropyNumerator:
      return batch.entropyBonusOn;
    case Metric::entropySum:
      return static_cast<bool>(batch.args.entropy);
    case Metric::weightSum:
    case Metric::weightSquareSum:
      return batch.weightProduct != nullptr;
    default:
      return true;
  }
}

/// The metric over the `count` evaluated ones among the first `items` terms.
template <class Crew>
TURNWISE_HD double sumOfTerms(const Crew& crew, const LossBatch& batch, Metric metric, size_t items, size_t count) {
  const bool on = addsUp(batch, metric);
  const double sum = reproducibleSum(crew, on ? items : 0, count, [&](size_t i) {
    const Term& term = batch.terms[i];
    return term.flags & Term::kEvaluated ? addend(batch, metric, term) : 0.0;
  });
  if (on) return sum;
  return metric == Metric::weightSum || metric == Metric::weightSquareSum ? static_cast<double>(count) : 0.0;
}

TURNWISE_HD inline double& metricOf(const LossBatch& batch, Metric metric) {
  return batch.args.metrics[static_cast<size_t>(metric)];
}

/// All metrics that are not in summedMetric; those have been written.
TURNWISE_HD inline void writeRest(const LossBatch& batch, size_t count, const TermCounts& counts,
                                  const TermExtremes& extremes, double largestCoefficient) {
  constexpr Metric kCounted[kTermFlags] = {
      Metric::clippedLow, Metric::clippedHigh, Metric::clippedDual, Metric::clampedLogRatio,
      Metric::clampedKl,  Metric::nonFinite,   Metric::masked,      Metric::truncatedWeights,
  };
  for (int bit = 0; bit < kTermFlags; ++bit) metricOf(batch, kCounted[bit]) = counts.of[bit];
  metricOf(batch, Metric::tokens) = static_cast<double>(count);
  metricOf(batch, Metric::ratioMin) = extremes.leastRatio;
  metricOf(batch, Metric::ratioMax) = extremes.largestRatio;
  metricOf(batch, Metric::weightMin) = extremes.leastWeight;
  metricOf(batch, Metric::weightMax) = extremes.largestWeight;
  metricOf(batch, Metric::largestCoefficient) = largestCoefficient;
  metricOf(batch, Metric::lossDenominator) = *batch.denominator;
  metricOf(batch, Metric::lossNumerator) = metricOf(batch, Metric::policyNumerator) +
                                           metricOf(batch, Metric::klNumerator) +
                                           metricOf(batch, Metric::entropyNumerator);
}

}  // namespace turnwise
