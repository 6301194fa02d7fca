// The loss terms of a unit, a turn or a trajectory: what its tokens have in common is known once all have been read.
//
// A unit's ratio needs all its tokens before the first gate, so a turn or trajectory is walked twice (three times for
// the true mean, whose derivative is shared). Nothing is shared between units but read-only weights: no locks. Sums are
// formed in an order that depends on the unit alone.
#pragma once
#include "token_term.h"

namespace turnwise {

/// log-ratio of a unit's tokens and their number.
template <class Crew>
TURNWISE_HD ImportanceRatio unitRatio(const Crew& crew, const LossBatch& batch, const TurnRange& unit, size_t& count) {
  const Ratio& settings = batch.args.ratio;
  double sum = 0;
  uint64_t tokens = 0;
  forEachLossToken(crew, batch, unit, [&](size_t k, size_t n) {
    sum += batch.ownLogRatio(k, n).value;
    ++tokens;
  });
  sum = crew.total(sum);
  count = crew.sum(tokens);
  return importanceRatio(settings.reduce == Reduce::sum ? sum : sum / static_cast<double>(count), settings);
}

/// The tokens of one ratio.
///   straight-through: the token's own slope;   true: the sum of all slopes, over n for the mean, for each token
/// (GSPO-token, arXiv 2507.18071, and A2TGPO, arXiv 2605.06200; TRL importance_sampling_level, Turn-PPO, arXiv
/// 2511.20718). A token whose log-ratio was cut does not move the ratio.
template <class Crew>
TURNWISE_HD void evaluateRatio(const Crew& crew, const LossBatch& batch, const TurnRange& unit) {
  const View<double>& coefficients = batch.args.coefficients;
  size_t count = 0;
  const ImportanceRatio ratio = unitRatio(crew, batch, unit, count);
  if (count == 0) return;
  const bool straight = batch.args.ratio.form == RatioForm::straightThrough;
  double shared = 0;
  forEachLossToken(crew, batch, unit, [&](size_t k, size_t n) {
    const TokenLogRatio own = batch.ownLogRatio(k, n);
    const Slopes slopes = evaluateTerm(batch, k, n, own, ratio, gateOf(batch, k, n, ratio));
    if (!straight) shared += slopes.shared;
    if (straight && own.live()) coefficients[n] += slopes.shared;
    if (slopes.own != 0) coefficients[n] += slopes.own;
  });
  if (straight) return;
  shared = crew.total(shared);
  if (batch.args.ratio.reduce == Reduce::mean) shared /= static_cast<double>(count);
  forEachLossToken(crew, batch, unit, [&](size_t k, size_t n) {
    if (batch.ownLogRatio(k, n).live()) coefficients[n] += shared;
  });
}

/// The off-policy mask, which needs the current log-probs of the whole trajectory: a weight of 0 for good.
template <class Crew>
TURNWISE_HD void dropOffPolicy(const Crew& crew, const LossBatch& batch, const TurnRange& trajectory) {
  double sum = 0;
  uint64_t count = 0;
  forEachLossToken(crew, batch, trajectory, [&](size_t, size_t n) {
    sum -= batch.logRatio(n);
    ++count;
  });
  const double mean = crew.total(sum) / static_cast<double>(crew.sum(count));
  for (size_t i = 0; i < batch.args.weights.size; ++i) {
    const Weight& weight = batch.args.weights[i];
    if (weight.kind != WeightKind::offPolicyMask) continue;
    forEachLossToken(crew, batch, trajectory, [&](size_t k, size_t n) {
      if (offPolicyFactor(batch.args.advantages[batch.signalIndex(k, n)], mean, weight) == 0) {
        batch.weightProduct[n] = 0;
      }
    });
  }
}

/// Terms and coefficients of a unit's loss tokens. Units are independent: any crew, any order. Not where they are
/// coupled.
template <class Crew>
TURNWISE_HD void evaluateUnit(const Crew& crew, const LossBatch& batch, const TurnRange& unit) {
  if (batch.weighsTrajectories) dropOffPolicy(crew, batch, unit);
  if (batch.args.ratio.level == Level::token) {
    forEachLossToken(crew, batch, unit, [&](size_t k, size_t n) { evaluateToken(batch, k, n); });
  } else if (batch.args.ratio.level == Level::turn) {
    for (size_t k = unit.first; k < unit.last; ++k) evaluateRatio(crew, batch, {k, k + 1});
  } else {
    evaluateRatio(crew, batch, unit);
  }
}

}  // namespace turnwise
