// Importance ratio of a token, turn or sequence from the log-ratios of its tokens.
#pragma once
#include "../ops.h"
#include "libm.h"

namespace turnwise {

/// What a token contributes to its unit's log-ratio.
struct TokenLogRatio {
  double value;
  bool clamped;
  bool clippedLow;
  bool clippedHigh;
  /// d value / d log-prob: 1, or 0 where the log-ratio was cut.
  TURNWISE_HD bool live() const { return !(clamped || clippedLow || clippedHigh); }
};

/// y = d within +-tokenClamp (VESPO, arXiv 2602.10693), then cut on the side of the advantage only, before the mean
/// (GMPO, arXiv 2507.20673):
///   A < 0: max(y, -clipLow),   A > 0: min(y, clipHigh)
TURNWISE_HD inline TokenLogRatio tokenLogRatio(double d, double advantage, const Ratio& ratio) {
  TokenLogRatio y{d, false, false, false};
  if (d < -ratio.tokenClamp || d > ratio.tokenClamp) {
    y.clamped = true;
    y.value = d < 0 ? -ratio.tokenClamp : ratio.tokenClamp;
  }
  if (advantage < 0 && y.value < -ratio.clipLow) {
    y.clippedLow = true;
    y.value = -ratio.clipLow;
  } else if (advantage > 0 && y.value > ratio.clipHigh) {
    y.clippedHigh = true;
    y.value = ratio.clipHigh;
  }
  return y;
}

/// rho = exp(x), x = min(max(mean or sum of the tokens' y, clampLow), clampHigh).
/// `clamped`: x was cut, so d rho / d x is 0 there. A NaN log-ratio is not clamped and flows on.
struct ImportanceRatio {
  double value;
  double logRatio;
  bool clamped;
};

/// Token level: verl clamps to [-20, 20]; turn level, straight-through: A2TGPO (arXiv 2605.06200) caps at 10 from
/// above.
TURNWISE_HD inline ImportanceRatio importanceRatio(double logRatio, const Ratio& ratio) {
  if (logRatio < ratio.clampLow) return {exp(ratio.clampLow), ratio.clampLow, true};
  if (logRatio > ratio.clampHigh) return {exp(ratio.clampHigh), ratio.clampHigh, true};
  return {exp(logRatio), logRatio, false};
}

}  // namespace turnwise
