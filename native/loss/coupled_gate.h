// Gate log-sum-exp, REAL (arXiv 2602.05630): the trajectories of a prompt, told apart by the sign of their advantage.
//   L = log(1 + sum over negative ones of exp(x / T)) + log(1 + sum over positive ones of exp(-x / T))
// x = a trajectory's log-ratio. A prompt without both classes has nothing to compare: 0.
#pragma once
#include "../math/gates/log_sum_exp.h"
#include "unit_terms.h"

namespace turnwise {

struct CoupledTrajectory {
  size_t token;  // its first loss token, which holds the loss of a prompt
  int32_t prompt;
  bool positive;
  bool compared;  // it has a loss token and an advantage that is not 0
  double logRatio;
  double value;       // L of the prompt at its first trajectory, else 0
  double derivative;  // dL / d logRatio
};

/// What is known of a trajectory by itself.
template <class Crew>
TURNWISE_HD CoupledTrajectory coupledTrajectory(const Crew& crew, const LossBatch& batch, const TurnRange& unit) {
  // As doubles, for the crew: turns and tokens are below 2^32.
  double turn = HUGE_VAL, token = HUGE_VAL;
  forEachLossToken(crew, batch, unit, [&](size_t k, size_t n) {
    if (token != HUGE_VAL) return;
    turn = static_cast<double>(k);
    token = static_cast<double>(n);
  });
  turn = crew.smallest(turn);
  token = crew.smallest(token);
  CoupledTrajectory trajectory{};
  if (token == HUGE_VAL) return trajectory;
  trajectory.token = static_cast<size_t>(token);
  const double advantage = batch.args.advantages[batch.signalIndex(static_cast<size_t>(turn), trajectory.token)];
  trajectory.prompt = batch.promptOf(unit.first);
  trajectory.positive = advantage > 0;
  trajectory.compared = advantage > 0 || advantage < 0;
  size_t count = 0;
  trajectory.logRatio = unitRatio(crew, batch, unit, count).logRatio;
  return trajectory;
}

/// Ascending by it, the trajectories of a prompt are adjacent and its negative ones come first.
TURNWISE_HD inline uint64_t classKey(const CoupledTrajectory& trajectory) {
  const uint32_t prompt = static_cast<uint32_t>(trajectory.prompt) ^ 0x80000000u;
  return static_cast<uint64_t>(prompt) << 1 | (trajectory.positive ? 1 : 0);
}

/// n trajectories at(i) of one class of a prompt; returns the class's part of L.
template <class Crew, class At>
TURNWISE_HD double coupleClass(const Crew& crew, size_t n, const At& at, double temperature) {
  const double sign = at(0).positive ? -1.0 : 1.0;
  const auto exponent = [&](size_t i) { return sign * at(i).logRatio / temperature; };
  const SoftplusOfMany sum(crew, n, exponent);
  for (size_t i = crew.rank(); i < n; i += crew.size()) {
    at(i).derivative = sign / temperature * sum.derivative(exponent(i));
  }
  return sum.result();
}

/// The n compared trajectories of a prompt, in the order of their class keys and then of their tokens.
template <class Crew, class At>
TURNWISE_HD void couplePrompt(const Crew& crew, size_t n, const At& at, double temperature) {
  uint64_t negatives = 0;
  for (size_t i = crew.rank(); i < n; i += crew.size()) negatives += at(i).positive ? 0 : 1;
  const size_t middle = crew.sum(negatives);
  if (middle == 0 || middle == n) return;
  const auto positive = [&](size_t i) -> CoupledTrajectory& { return at(middle + i); };
  const double value =
      coupleClass(crew, middle, at, temperature) + coupleClass(crew, n - middle, positive, temperature);
  CoupledTrajectory& holder = at(0).token < at(middle).token ? at(0) : at(middle);
  if (crew.rank() == 0) holder.value = value;
}

/// The loss of a prompt is one number: no token's weight applies to it.
template <class Crew>
TURNWISE_HD void spreadCoupled(const Crew& crew, const LossBatch& batch, const TurnRange& unit,
                               const CoupledTrajectory& trajectory) {
  size_t count = 0;
  const ImportanceRatio ratio = unitRatio(crew, batch, unit, count);
  const bool moves = !ratio.clamped && *batch.denominator != 0;
  const double shared = moves ? trajectory.derivative / static_cast<double>(count) / *batch.denominator : 0.0;
  forEachLossToken(crew, batch, unit, [&](size_t k, size_t n) {
    const TokenLogRatio own = batch.ownLogRatio(k, n);
    evaluateTerm(batch, k, n, own, ratio, GateTerm{});
    if (n == trajectory.token) batch.terms[n].policy = trajectory.value;
    if (own.live()) batch.args.coefficients[n] += shared;
  });
}

}  // namespace turnwise
