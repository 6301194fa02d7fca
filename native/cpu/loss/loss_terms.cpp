// Ratio, gate, weights, KL and aggregation of a batch: loss terms and dLoss/dLogProb, token by token, in float64.
//
// A unit's ratio needs all its tokens before the first gate, so evaluate() walks a turn or trajectory twice (three
// times for the true mean, whose derivative is shared). Nothing is shared between units but read-only weights: no
// locks.
#include "loss_terms.h"

#include <cmath>

#include "../../math/gate.h"
#include "../../math/importance_weight.h"
#include "../simd/inline.h"
#include "coupled_gate.h"

namespace turnwise::cpu {

namespace {

/// Away from the token-level clip of a million tokens, whose loop it would only lengthen.
TURNWISE_NOINLINE GateTerm otherGate(const Gate& gate, const GateInput& in) {
  return gateTerm(gate, in);
}

}  // namespace

GateTerm LossTerms::gateOf(size_t turn, size_t token, const ImportanceRatio& ratio) const {
  const size_t a = signalIndex(turn, token);
  const double clipScale = args_.clipScale ? args_.clipScale[a] : 1.0;
  if (args_.gate.kind == GateKind::ppo) return ppoTerm(args_.gate, args_.advantages[a], ratio, clipScale);
  const double target = args_.ratioTargets ? args_.ratioTargets[a] : 0.0;
  return otherGate(args_.gate,
                   {args_.advantages[a], clipScale, target, args_.logProbs[token], args_.oldLogProbs[token], ratio});
}

/// The KL part of the coefficient.
double LossTerms::evaluateKl(size_t turn, size_t token, const ImportanceRatio& ratio, bool ratioMoves, Term& term) {
  const double reference = args_.refLogProbs[token];
  KlTerm kl = klTerm(args_.logProbs[token] - reference, args_.kl);
  if (args_.kl.ratioCorrection) kl = correctByRatio(kl, ratio.value, ratioMoves);
  if (!std::isfinite(reference)) term.flags |= Term::kNonFinite;
  if (kl.clamped) term.flags |= Term::kClampedKl;
  term.kl = kl.value;
  const double scale = share(turn);
  return scale != 0 ? args_.kl.coef * scale * kl.gradient : 0.0;
}

/// Stores the token's term, sets its coefficient to the KL part and returns the policy part.
LossTerms::Slopes LossTerms::evaluateTerm(size_t turn, size_t token, const TokenLogRatio& own,
                                          const ImportanceRatio& ratio, const GateTerm& gate) {
  const double x = logRatio(token);
  Term& term = terms_[token];
  term.weight = weight_[turn];
  term.ratio = ratio.value;
  term.oldKlK3 = std::expm1(x) - x;
  term.token = static_cast<uint32_t>(token);
  bool finite = std::isfinite(args_.logProbs[token]) && std::isfinite(args_.oldLogProbs[token]);
  uint16_t flags = Term::kEvaluated | (gate.clippedLow || own.clippedLow ? Term::kClippedLow : 0) |
                   (gate.clippedHigh || own.clippedHigh ? Term::kClippedHigh : 0) |
                   (gate.clippedDual ? Term::kClippedDual : 0) | (gate.masked ? Term::kMasked : 0) |
                   (ratio.clamped || own.clamped ? Term::kClampedLogRatio : 0);
  double value = gate.value, derivative = gate.derivative, direct = gate.direct;
  if (weights_.any()) {
    const double product = weights_.product(token);
    value = timesFactor(product, value);
    derivative = timesFactor(product, derivative);
    direct = timesFactor(product, direct);
    if (product == 0) flags |= Term::kMasked;
    if (weights_.truncated(token)) flags |= Term::kTruncated;
    if (readsRollout_) finite = finite && std::isfinite(args_.rolloutLogProbs[token]);
  }
  if (!finite) flags |= Term::kNonFinite;
  term.flags = flags;
  term.policy = term.weight * value;
  const bool ratioMoves = own.live() && !ratio.clamped;
  args_.coefficients[token] = klTermOn_ ? evaluateKl(turn, token, ratio, ratioMoves, term) : 0.0;
  const double scale = share(turn);
  if (scale == 0) return {0.0, 0.0};
  return {scale * derivative, scale * direct};
}

void LossTerms::evaluateToken(size_t turn, size_t token) {
  if (!inLoss(token)) return;
  const TokenLogRatio own = ownLogRatio(turn, token);
  const ImportanceRatio ratio = importanceRatio(own.value, args_.ratio);
  const Slopes slopes = evaluateTerm(turn, token, own, ratio, gateOf(turn, token, ratio));
  args_.coefficients[token] += own.live() ? slopes.shared : 0.0;
  if (slopes.own != 0) args_.coefficients[token] += slopes.own;
}

ImportanceRatio LossTerms::unitRatio(const Unit& unit, size_t& count) const {
  double sum = 0;
  count = 0;
  forEachLossToken(unit, [&](size_t k, size_t n) {
    sum += ownLogRatio(k, n).value;
    ++count;
  });
  return importanceRatio(args_.ratio.reduce == Reduce::sum ? sum : sum / static_cast<double>(count), args_.ratio);
}

/// The tokens of one ratio.
///   straight-through: the token's own slope;   true: the sum of all slopes, over n for the mean, for each token
/// (GSPO-token, arXiv 2507.18071, and A2TGPO, arXiv 2605.06200; TRL importance_sampling_level, Turn-PPO, arXiv
/// 2511.20718). A token whose log-ratio was cut does not move the ratio.
void LossTerms::evaluateRatio(const Unit& unit) {
  size_t count = 0;
  const ImportanceRatio ratio = unitRatio(unit, count);
  if (count == 0) return;
  const bool straight = args_.ratio.form == RatioForm::straightThrough;
  double shared = 0;
  forEachLossToken(unit, [&](size_t k, size_t n) {
    const TokenLogRatio own = ownLogRatio(k, n);
    const Slopes slopes = evaluateTerm(k, n, own, ratio, gateOf(k, n, ratio));
    if (!straight) shared += slopes.shared;
    if (straight && own.live()) args_.coefficients[n] += slopes.shared;
    if (slopes.own != 0) args_.coefficients[n] += slopes.own;
  });
  if (straight) return;
  if (args_.ratio.reduce == Reduce::mean) shared /= static_cast<double>(count);
  forEachLossToken(unit, [&](size_t k, size_t n) {
    if (ownLogRatio(k, n).live()) args_.coefficients[n] += shared;
  });
}

/// The off-policy mask, which needs the current log-probs of the whole trajectory.
void LossTerms::dropOffPolicy(const Unit& trajectory) {
  double sum = 0;
  size_t count = 0;
  forEachLossToken(trajectory, [&](size_t, size_t n) {
    sum -= logRatio(n);
    ++count;
  });
  const double mean = sum / static_cast<double>(count);
  for (size_t i = 0; i < args_.weights.size; ++i) {
    const Weight& weight = args_.weights[i];
    if (weight.kind != WeightKind::offPolicyMask) continue;
    forEachLossToken(trajectory, [&](size_t k, size_t n) {
      if (offPolicyFactor(args_.advantages[signalIndex(k, n)], mean, weight) == 0) weights_.drop(n);
    });
  }
}

void LossTerms::evaluate(const Unit& unit) {
  if (weighsTrajectories_) dropOffPolicy(unit);
  if (args_.ratio.level == Level::token) {
    forEachLossToken(unit, [&](size_t k, size_t n) { evaluateToken(k, n); });
  } else if (args_.ratio.level == Level::turn) {
    for (size_t k = unit.first; k < unit.last; ++k) evaluateRatio({k, k + 1});
  } else {
    evaluateRatio(unit);
  }
}

bool LossTerms::evaluateAll(const Context& context) {
  if (couplesUnits(args_)) return evaluateCoupled(context);
  for (size_t u = 0; u < unitCount(); ++u) {
    if (context.aborted()) return false;
    evaluate(unit(u));
  }
  return true;
}

/// First the log-ratios of all trajectories, then their prompts, then the tokens.
bool LossTerms::evaluateCoupled(const Context& context) {
  std::vector<CoupledTrajectory> coupled;
  for (size_t u = 0; u < unitCount(); ++u) {
    if (context.aborted()) return false;
    double advantage = 0;
    bool first = true;
    forEachLossToken(unit(u), [&](size_t k, size_t n) {
      if (first) advantage = args_.advantages[signalIndex(k, n)];
      first = false;
    });
    size_t count = 0;
    const ImportanceRatio ratio = unitRatio(unit(u), count);
    if (advantage > 0 || advantage < 0) coupled.push_back({u, prompts_[u], advantage > 0, ratio.logRatio, 0, 0});
  }
  coupleTrajectories(coupled, args_.gate.temperature);
  std::vector<double> values(unitCount()), derivatives(unitCount());
  for (const CoupledTrajectory& trajectory : coupled) {
    values[trajectory.unit] = trajectory.value;
    derivatives[trajectory.unit] = trajectory.derivative;
  }
  for (size_t u = 0; u < unitCount(); ++u) {
    if (context.aborted()) return false;
    spreadCoupled(unit(u), values[u], derivatives[u]);
  }
  return true;
}

/// The loss of a prompt is one number: no token's weight applies to it.
void LossTerms::spreadCoupled(const Unit& unit, double value, double derivative) {
  size_t count = 0;
  const ImportanceRatio ratio = unitRatio(unit, count);
  const bool moves = !ratio.clamped && denominator_ != 0;
  const double shared = moves ? derivative / static_cast<double>(count) / denominator_ : 0.0;
  bool first = true;
  forEachLossToken(unit, [&](size_t k, size_t n) {
    const TokenLogRatio own = ownLogRatio(k, n);
    evaluateTerm(k, n, own, ratio, GateTerm{});
    if (first) terms_[n].policy = value;
    first = false;
    if (own.live()) args_.coefficients[n] += shared;
  });
}

}  // namespace turnwise::cpu
