// Importance ratio of a token, turn or sequence from its log-ratio, with the one clamp of the whole loss.
#pragma once
#include "../ops.h"
#include "libm.h"

namespace turnwise {

/// rho = exp(min(max(x, clampLow), clampHigh)); x is a token's log-ratio or the mean over its turn or sequence.
/// `clamped`: the exponent was cut, so d rho / d x is 0 there. A NaN log-ratio is not clamped and flows on.
struct ImportanceRatio {
  double value;
  bool clamped;
};

/// Token level: verl clamps to [-20, 20]; turn level, straight-through: A2TGPO (arXiv 2605.06200) caps at 10 from
/// above.
TURNWISE_HD inline ImportanceRatio importanceRatio(double logRatio, const Ratio& ratio) {
  if (logRatio < ratio.clampLow) return {exp(ratio.clampLow), true};
  if (logRatio > ratio.clampHigh) return {exp(ratio.clampHigh), true};
  return {exp(logRatio), false};
}

}  // namespace turnwise
