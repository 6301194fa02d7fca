// Factors of a token's surrogate that are data to the optimiser: corrections for what the sampler's log-probs differ
// from the trainer's (r = oldLogProb - rolloutLogProb), and masks.
#pragma once
#include <cmath>

#include "../ops.h"
#include "libm.h"

namespace turnwise {

struct ImportanceWeight {
  double value;
  bool truncated;
};

TURNWISE_HD inline double clampedLog(double y, double logClamp) {
  return y < -logClamp ? -logClamp : y > logClamp ? logClamp : y;
}

/// u = exp(y), y = r of a token or the mean or sum of r over a turn or trajectory, within +-logClamp.
///   truncate: min(max(u, low), high)  (TIS)      mask: u where low <= u <= high, else 0  (IcePop)
TURNWISE_HD inline ImportanceWeight importanceWeight(double y, const Weight& weight) {
  const double u = exp(clampedLog(y, weight.logClamp));
  if (weight.mode == WeightMode::mask) return {u >= weight.low && u <= weight.high ? u : 0.0, false};
  if (u < weight.low) return {weight.low, true};
  if (u > weight.high) return {weight.high, true};
  return {u, false};
}

/// How far the two log-probs of a token are apart: k1 = -r, k2 = r^2 / 2, k3 = exp(r) - 1 - r, |r|.
TURNWISE_HD inline double rolloutDivergence(double r, const Weight& weight) {
  const double y = clampedLog(r, weight.logClamp);
  switch (weight.divergence) {
    case KlEstimator::k1:
      return -y;
    case KlEstimator::k2:
      return 0.5 * y * y;
    case KlEstimator::k3:
      return ::expm1(y) - y;
    case KlEstimator::abs:
      break;
  }
  return y < 0 ? -y : y;
}

/// Rejection by the mean, sum or maximum of a divergence over a token, turn or trajectory; NaN is rejected.
TURNWISE_HD inline double acceptance(double statistic, const Weight& weight) {
  return statistic >= weight.low && statistic <= weight.high ? 1.0 : 0.0;
}

/// Off-policy sequence mask (DeepSeek-V3.2, arXiv 2512.02556): 0 for a bad token of a trajectory that the policy has
/// left, i.e. A < 0 and mean over the trajectory of (oldLogProb - logProb) > high.
TURNWISE_HD inline double offPolicyFactor(double advantage, double meanDivergence, const Weight& weight) {
  return advantage < 0 && meanDivergence > weight.high ? 0.0 : 1.0;
}

/// The product of two factors. 0 stays 0 beside whatever overflowed.
TURNWISE_HD inline double timesFactor(double product, double factor) {
  return product == 0 || factor == 0 ? 0.0 : product * factor;
}

}  // namespace turnwise
