// Per-token estimators of KL(policy || reference) from x = logProb - refLogProb: value and gradient d / d logProb.
#pragma once
#include <cmath>

#include "../ops.h"

namespace turnwise {

struct KlTerm {
  double value;
  double gradient;
  bool clamped;
};

/// Schulman's k1, k2, k3 (http://joschu.net/blog/kl-approx.html):
///   k1 = x,  k2 = x^2 / 2,  k3 = exp(-x) - 1 + x
/// k3 grows exponentially for x << 0: its exponent is cut at +-logRatioClamp and its value at valueClamp, as verl does
/// (20 and 10), with gradient 0 beyond either. expm1 keeps the digits near x = 0, where the terms of k3 cancel.
TURNWISE_HD inline KlTerm klTerm(double x, const Kl& kl) {
  if (kl.estimator == KlEstimator::k1) return {x, 1.0, false};
  if (kl.estimator == KlEstimator::k2) return {0.5 * x * x, x, false};
  double y = -x;
  const bool cut = y < -kl.logRatioClamp || y > kl.logRatioClamp;
  if (cut) y = y < 0 ? -kl.logRatioClamp : kl.logRatioClamp;
  const double growth = ::expm1(y);
  const double raw = growth - y;
  const bool capped = raw > kl.valueClamp;
  return {capped ? kl.valueClamp : raw, cut || capped ? 0.0 : -growth, cut || capped};
}

}  // namespace turnwise
