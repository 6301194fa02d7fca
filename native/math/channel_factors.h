// Factors of a channel's values, and of finished advantages, that come from statistics of the batch.
#pragma once
#include "../ops.h"
#include "clip_scale.h"
#include "libm.h"

namespace turnwise {

/// min(1, max(sd(sum so far) + eps, 1) / (sd(channel) + eps)): keeps an intrinsic channel from drowning the ones before
/// it. InfoPO (arXiv 2603.00656).
TURNWISE_HD inline double capFactor(double deviationSoFar, double deviation, double eps) {
  const double allowed = deviationSoFar + eps < 1.0 ? 1.0 : deviationSoFar + eps;
  const double ratio = allowed / (deviation + eps);
  return ratio > 1.0 ? 1.0 : ratio;
}

/// sigmoid(-sd / temperature), in (0, 1/2]: strong only where the outcomes of a prompt do not discriminate. InfoPO
/// (arXiv 2603.00656).
TURNWISE_HD inline double gateFactor(double deviation, double temperature) {
  return sigmoid(-deviation / temperature);
}

/// Entropy modulation, EMPG (arXiv 2509.09265): h = (H - smallest) / (largest - smallest + 1e-8) of a turn's entropy H
/// over the batch; exp(-decay h) before its division by the batch's mean, or exp(-bonusDecay h) for the turn before.
TURNWISE_HD inline double confidence(double entropy, double smallest, double largest, double decay) {
  return exp(-decay * ((entropy - smallest) / (largest - smallest + 1e-8)));
}

}  // namespace turnwise
