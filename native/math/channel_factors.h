// Factors of a channel's values, and of finished advantages, that come from statistics of the batch.
#pragma once
#include "../ops.h"
#include "absent.h"
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

/// A channel's value under its cap and the gate of its prompt.
TURNWISE_HD inline double damped(double value, double cap, double gate) {
  return isAbsent(value) ? value : present(value * cap * gate);
}

/// What a channel's value adds to a result entry.
TURNWISE_HD inline double contribution(const Channel& channel, bool onLastTurn, double value) {
  return (onLastTurn ? channel.lastWeight : channel.weight) * valueOrZero(value);
}

/// Combine weighted-mean: the weight of a channel that says something here.
TURNWISE_HD inline double weightInForce(const Channel& channel, bool onLastTurn, double value) {
  if (valueOrZero(value) == 0) return 0.0;
  return onLastTurn ? channel.lastWeight : channel.weight;
}
TURNWISE_HD inline double meanByWeight(double sum, double weight) {
  return weight == 0 ? 0.0 : sum / weight;
}

/// Entropies that take part in the modulation; a turn without one has scale 1 and gives no bonus.
TURNWISE_HD inline bool isKnownEntropy(double entropy) {
  return entropy - entropy == 0;
}

/// Entropy modulation, EMPG (arXiv 2509.09265): h = (H - smallest) / (largest - smallest + 1e-8) of a turn's entropy H
/// over the batch; exp(-decay h) before its division by the batch's mean, or exp(-bonusDecay h) for the turn before.
TURNWISE_HD inline double confidence(double entropy, double smallest, double largest, double decay) {
  return exp(-decay * ((entropy - smallest) / (largest - smallest + 1e-8)));
}
/// By the turn's own confidence and what the next one's is worth, 0 on a last turn.
TURNWISE_HD inline double modulated(double advantage, double scale, double bonus) {
  return advantage * scale + bonus;
}

}  // namespace turnwise
