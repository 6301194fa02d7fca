#include "frozen_weights.h"

#include <algorithm>

#include "../../math/importance_weight.h"

namespace turnwise::cpu {

namespace {

template <class Test>
bool anyOf(const WeightList& weights, const Test& test) {
  return std::any_of(weights.items, weights.items + weights.size, test);
}

bool readsRollout(const Weight& weight) {
  return weight.kind == WeightKind::importance || weight.kind == WeightKind::reject;
}

}  // namespace

bool FrozenWeights::readRollout(const WeightList& weights) {
  return anyOf(weights, readsRollout);
}

bool FrozenWeights::needTrajectory(const WeightList& weights) {
  return anyOf(weights, [](const Weight& weight) { return weight.kind == WeightKind::offPolicyMask; });
}

bool FrozenWeights::validSizes(const Surrogate& args) {
  const WeightList& weights = args.weights;
  if (weights.size > WeightList::capacity) return false;
  const bool given = anyOf(weights, [](const Weight& weight) { return weight.kind == WeightKind::given; });
  const bool importanceOfMax = anyOf(weights, [](const Weight& weight) {
    return weight.kind == WeightKind::importance && weight.reduce == Reduce::max;
  });
  const size_t tokens = args.logProbs.size;
  return !importanceOfMax && (!readRollout(weights) || args.rolloutLogProbs) && (!given || args.tokenWeights) &&
         (!args.rolloutLogProbs || args.rolloutLogProbs.size == tokens) &&
         (!args.tokenWeights || args.tokenWeights.size == tokens);
}

FrozenWeights::FrozenWeights(const Surrogate& args, const TurnSpans& turns) {
  if (args.weights.size == 0) return;
  product_.assign(args.logProbs.size, 1.0);
  truncated_.assign(args.logProbs.size, 0);
  for (size_t i = 0; i < args.weights.size; ++i) {
    const Weight& weight = args.weights[i];
    if (weight.kind == WeightKind::offPolicyMask) continue;
    const std::vector<size_t> bounds = turns.unitBounds(weight.level);
    for (size_t u = 0; u + 1 < bounds.size(); ++u) multiplyUnit(args, turns, {bounds[u], bounds[u + 1]}, weight);
  }
}

void FrozenWeights::multiply(size_t token, double factor, bool truncated) {
  product_[token] = timesFactor(product_[token], factor);
  if (truncated) truncated_[token] = 1;
}

/// At level token the unit is a turn, and every token of it its own.
void FrozenWeights::multiplyUnit(const Surrogate& args, const TurnSpans& turns, const TurnRange& unit,
                                 const Weight& weight) {
  const auto forEachLossToken = [&](auto&& visit) { turns.forEachLossToken(unit, args.actionMask, visit); };
  if (weight.kind == WeightKind::given) {
    forEachLossToken([&](size_t, size_t n) { multiply(n, args.tokenWeights[n], false); });
    return;
  }
  const auto distance = [&](size_t n) {
    const double r = static_cast<double>(args.oldLogProbs[n]) - static_cast<double>(args.rolloutLogProbs[n]);
    return weight.kind == WeightKind::importance ? r : rolloutDivergence(r, weight);
  };
  const auto factorOf = [&](double statistic) {
    return weight.kind == WeightKind::importance ? importanceWeight(statistic, weight)
                                                 : ImportanceWeight{acceptance(statistic, weight), false};
  };
  if (weight.level == Level::token) {
    forEachLossToken([&](size_t, size_t n) {
      const ImportanceWeight factor = factorOf(distance(n));
      multiply(n, factor.value, factor.truncated);
    });
    return;
  }
  double sum = 0, largest = -HUGE_VAL;
  size_t count = 0;
  forEachLossToken([&](size_t, size_t n) {
    const double x = distance(n);
    sum += x;
    largest = x > largest ? x : largest;
    ++count;
  });
  if (count == 0) return;
  // A NaN among them makes the maximum NaN too, and NaN is rejected.
  const double statistic = weight.reduce == Reduce::max   ? (sum == sum ? largest : sum)
                           : weight.reduce == Reduce::sum ? sum
                                                          : sum / static_cast<double>(count);
  const ImportanceWeight factor = factorOf(statistic);
  forEachLossToken([&](size_t, size_t n) { multiply(n, factor.value, factor.truncated); });
}

}  // namespace turnwise::cpu
