// From a row's sum of exponentials to log-sum-exp, log-prob and entropy, in double.
//
//   sum     = sum of exp((z - max) / T) over all columns but the one of max
//   logp(t) = (z_t - max) / T - log1p(sum),  lse = max / T + log1p(sum)
//   H       = log1p(sum) + spread / (1 + sum),  spread = sum of (max - z) / T * exp((z - max) / T)
// Every term has one sign: nothing cancels, neither where p -> 1 nor where the logits are far from 0.
#pragma once
#include <cmath>

#include "../math/libm.h"
#include "../ops.h"
#include "segment_sum.h"

namespace turnwise {

/// The range in which log2(e) / T and its inverse are normal floats.
TURNWISE_HD inline bool supportedTemperature(double temperature) {
  return temperature >= 1e-38 && temperature <= 1e36;
}

/// The kernels' log2(e) / T was rounded to f32, so each exponent is off by `kError` of itself. To first order that
/// multiplies a sum by its mean exponent: for spread it is known; for sum its logarithm will do, which is never larger.
TURNWISE_HD inline void compensateRounding(SegmentSum& range, double kError) {
  if (!(range.sum > 0)) return;
  range.spread *= 1 + kError * (range.spread / range.sum);
  const int exponent = std::ilogb(range.sum);
  if (exponent < 0) range.sum *= 1 - kError * exponent * kLn2;
}

struct RowResult {
  double logSum;  // log(sum + 1): NaN where a logit is NaN or +inf, or all are -inf
  double logSumExp;
  float logProb;
  float entropy;
};

/// `logit` is the target's.
TURNWISE_HD inline RowResult rowResult(const SegmentSum& row, double logit, double temperature) {
  const bool finiteLogits = std::isfinite(row.max) && std::isfinite(row.sum);
  RowResult result;
  result.logSum = finiteLogits ? std::log1p(row.sum) : NAN;
  result.logSumExp = row.max / temperature + result.logSum;
  result.logProb = static_cast<float>((logit - row.max) / temperature - result.logSum);
  // Rounding may leave the spread of equal logits a hair below 0.
  const double spread = row.spread < 0.0 ? 0.0 : row.spread;
  result.entropy = static_cast<float>(result.logSum + spread / (1 + row.sum));
  return result;
}

/// Whether the op must fail for the row. `forGradient`: also where dLogits could not be formed from logSumExp.
TURNWISE_HD inline StatusCode statusOf(const RowResult& row, NonFinite nonFinite, bool forGradient) {
  if (forGradient && row.logSum > kNegligibleLogSum && std::fabs(row.logSumExp) > kLargestLogSumExp)
    return StatusCode::logitsTooLarge;
  if (std::isfinite(row.logProb) || nonFinite == NonFinite::propagate) return StatusCode::ok;
  return std::isnan(row.logSum) ? StatusCode::nonFiniteLogits : StatusCode::nonFiniteLogProb;
}

}  // namespace turnwise
