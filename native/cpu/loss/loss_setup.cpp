// What is checked and prepared before the first loss term: sizes, turns, aggregation weights, frozen weights, and
// dLoss/dEntropy, which depends on masks and denominators only.
#include <algorithm>
#include <new>

#include "../../checks/surrogate.h"
#include "../../loss/frozen_weights.h"
#include "../valid_turns.h"
#include "loss_terms.h"

namespace turnwise::cpu {

LossTerms::LossTerms(const Surrogate& args) {
  status_.code = StatusCode::invalidArgument;
  if (!validArguments(args)) return;
  batch_ = LossBatch(args);
  try {
    turns_ = TurnSpans(args.turns);
    if (!turns_.valid(batch_.tokenCount()) || !copyPrompts()) {
      turns_ = TurnSpans();
      return;
    }
    batch_.args.turns = turns_.views(args.turns);
    prepareAggregation();
    prepareWeights();
    terms_.resize(batch_.tokenCount());
    batch_.terms = terms_.data();
    unitBounds_ = turns_.unitBounds(batch_.unitLevel());
  } catch (const std::bad_alloc&) {
    turns_ = TurnSpans();
    status_.code = StatusCode::outOfMemory;
    return;
  }
  status_.code = StatusCode::ok;
  std::fill_n(args.coefficients.data, args.coefficients.size, 0.0);
  prepareEntropyCoefficients();
}

/// The prompts, where they matter; false where a trajectory has none.
bool LossTerms::copyPrompts() {
  if (!readsPrompts(batch_.args)) return true;
  prompts_ = ownCopy(batch_.args.groups);
  batch_.args.groups = {prompts_.data(), prompts_.size()};
  const std::vector<int32_t>& trajectory = turns_.trajectory();
  return trajectory.empty() || static_cast<size_t>(trajectory.back()) < prompts_.size();
}

double LossTerms::countDenominator() const {
  const std::vector<size_t> bounds = turns_.unitBounds(Level::sequence);
  LossCounts total;
  std::vector<int32_t> prompts;
  for (size_t u = 0; u + 1 < bounds.size(); ++u) {
    const LossCounts counts = countTrajectory(batch_, {bounds[u], bounds[u + 1]});
    total = total + counts;
    if (counts.sequences > 0 && countsPrompts(batch_.args)) prompts.push_back(batch_.promptOf(bounds[u]));
  }
  std::sort(prompts.begin(), prompts.end());
  const auto distinct = std::unique(prompts.begin(), prompts.end()) - prompts.begin();
  return countedDenominator(batch_, total, static_cast<size_t>(distinct));
}

void LossTerms::prepareAggregation() {
  const Maybe<Denominators>& given = batch_.args.denominators;
  denominator_ = given ? lossDenominator(batch_.args.aggregate, *given) : countDenominator();
  turnWeight_.resize(turns_.count());
  turnShare_.resize(turns_.count());
  batch_.denominator = &denominator_;
  batch_.turnWeight = turnWeight_.data();
  batch_.turnShare = turnShare_.data();
  const std::vector<size_t> bounds = turns_.unitBounds(Level::sequence);
  for (size_t u = 0; u + 1 < bounds.size(); ++u) aggregateTrajectory(batch_, {bounds[u], bounds[u + 1]});
}

void LossTerms::prepareWeights() {
  const WeightList& weights = batch_.args.weights;
  if (weights.size == 0) return;
  weightProduct_.assign(batch_.tokenCount(), 1.0);
  weightTruncated_.assign(batch_.tokenCount(), 0);
  batch_.weightProduct = weightProduct_.data();
  batch_.weightTruncated = weightTruncated_.data();
  for (size_t i = 0; i < weights.size; ++i) {
    const Weight& weight = weights[i];
    if (weight.kind == WeightKind::offPolicyMask) continue;
    if (isPerToken(weight)) {
      forEachLossToken(Solo(), batch_, {0, turns_.count()}, [&](size_t, size_t n) { weighToken(batch_, n, weight); });
      continue;
    }
    const std::vector<size_t> bounds = turns_.unitBounds(weight.level);
    for (size_t u = 0; u + 1 < bounds.size(); ++u) weighUnit(Solo(), batch_, {bounds[u], bounds[u + 1]}, weight);
  }
}

void LossTerms::prepareEntropyCoefficients() {
  const View<double>& coefficients = batch_.args.entropyCoefficients;
  if (!coefficients) return;
  std::fill_n(coefficients.data, coefficients.size, 0.0);
  if (!batch_.entropyBonusOn) return;
  forEachLossToken(Solo(), batch_, {0, turns_.count()},
                   [&](size_t k, size_t n) { coefficients[n] = batch_.entropyCoefficient(k); });
}

}  // namespace turnwise::cpu
