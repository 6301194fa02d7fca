// The product of the weights of every loss token (native/math/importance_weight.h), as far as it depends on the old and
// rollout log-probs alone and is known before any logits are read. The off-policy mask needs a trajectory's current
// log-probs (unit_terms.h).
#pragma once
#include "../math/importance_weight.h"
#include "loss_batch.h"

namespace turnwise {

/// Whether a factor belongs to the token alone.
TURNWISE_HD inline bool isPerToken(const Weight& weight) {
  return weight.kind == WeightKind::given || weight.level == Level::token;
}

/// What a factor is made of: r of the token, or how far its two log-probs are apart.
TURNWISE_HD inline double rolloutDistance(const LossBatch& batch, size_t token, const Weight& weight) {
  const double r =
      static_cast<double>(batch.args.oldLogProbs[token]) - static_cast<double>(batch.args.rolloutLogProbs[token]);
  return weight.kind == WeightKind::importance ? r : rolloutDivergence(r, weight);
}

TURNWISE_HD inline ImportanceWeight factorOf(double statistic, const Weight& weight) {
  return weight.kind == WeightKind::importance ? importanceWeight(statistic, weight)
                                               : ImportanceWeight{acceptance(statistic, weight), false};
}

TURNWISE_HD inline void multiplyWeight(const LossBatch& batch, size_t token, const ImportanceWeight& factor) {
  batch.weightProduct[token] = timesFactor(batch.weightProduct[token], factor.value);
  if (factor.truncated) batch.weightTruncated[token] = 1;
}

/// Times a factor of the token alone.
TURNWISE_HD inline void weighToken(const LossBatch& batch, size_t token, const Weight& weight) {
  multiplyWeight(batch, token,
                 weight.kind == WeightKind::given ? ImportanceWeight{batch.args.tokenWeights[token], false}
                                                  : factorOf(rolloutDistance(batch, token, weight), weight));
}

/// Times the one factor of a turn's or trajectory's tokens.
template <class Crew>
TURNWISE_HD void weighUnit(const Crew& crew, const LossBatch& batch, const TurnRange& unit, const Weight& weight) {
  double sum = 0, largest = -HUGE_VAL;
  uint64_t count = 0;
  forEachLossToken(crew, batch, unit, [&](size_t, size_t n) {
    const double x = rolloutDistance(batch, n, weight);
    sum += x;
    largest = x > largest ? x : largest;
    ++count;
  });
  sum = crew.total(sum);
  largest = crew.largest(largest);
  count = crew.sum(count);
  if (count == 0) return;
  // A NaN among them makes the maximum NaN too, and NaN is rejected.
  const double statistic = weight.reduce == Reduce::max   ? (sum == sum ? largest : sum)
                           : weight.reduce == Reduce::sum ? sum
                                                          : sum / static_cast<double>(count);
  const ImportanceWeight factor = factorOf(statistic, weight);
  forEachLossToken(crew, batch, unit, [&](size_t, size_t n) { multiplyWeight(batch, n, factor); });
}

}  // namespace turnwise
