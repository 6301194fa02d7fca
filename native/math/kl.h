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

/// Schulman's k1, k2, k3 (http://joschu.net/blog/kl-approx.html), and |x|:
///   k1 = x,  k2 = x^2 / 2,  k3 = exp(-x) - 1 + x
/// k3 grows exponentially for x << 0: its exponent is cut at +-logRatioClamp and its value at valueClamp, as verl does
/// (20 and 10), with gradient 0 beyond either. expm1 keeps the digits near x = 0, where the terms of k3 cancel.
TURNWISE_HD inline KlTerm ownKlTerm(double x, const Kl& kl) {
  if (kl.estimator == KlEstimator::k1) return {x, 1.0, false};
  if (kl.estimator == KlEstimator::k2) return {0.5 * x * x, x, false};
  if (kl.estimator == KlEstimator::abs) return {x < 0 ? -x : x, x > 0 ? 1.0 : x < 0 ? -1.0 : x, false};
  double y = -x;
  const bool cut = y < -kl.logRatioClamp || y > kl.logRatioClamp;
  if (cut) y = y < 0 ? -kl.logRatioClamp : kl.logRatioClamp;
  const double growth = ::expm1(y);
  const double raw = growth - y;
  const bool capped = raw > kl.valueClamp;
  return {capped ? kl.valueClamp : raw, cut || capped ? 0.0 : -growth, cut || capped};
}

/// The estimator with its own gradient or with that of k2, the only one whose mean over on-policy samples is the
/// gradient of KL (verl's k1+ and k3+). Clamps cut the value alone then: k2's gradient needs none, and verl's has none.
TURNWISE_HD inline KlTerm klTerm(double x, const Kl& kl) {
  KlTerm term = ownKlTerm(x, kl);
  if (kl.gradient == KlGradient::k2) term.gradient = x;
  return term;
}

/// rho k with gradient rho (k + k'), where the ratio does not move rho k': an estimate under the current policy from
/// the old one's samples (TRL, use_bias_correction_kl). k = 0 beside an overflown ratio is 0, not NaN.
TURNWISE_HD inline KlTerm correctByRatio(const KlTerm& term, double ratio, bool ratioMoves) {
  const double value = term.value == 0 ? 0.0 : ratio * term.value;
  const double slope = ratioMoves ? term.value + term.gradient : term.gradient;
  return {value, slope == 0 ? 0.0 : ratio * slope, term.clamped};
}

}  // namespace turnwise
