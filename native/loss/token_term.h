// The loss term of one token: gate, weights, KL and aggregation, given the ratio that it has a part in. In float64.
#pragma once
#include "../cpu/simd/inline.h"
#include "../math/gate.h"
#include "../math/importance_weight.h"
#include "../math/kl.h"
#include "loss_batch.h"

namespace turnwise {

/// The policy's part of dLoss/dLogProb: what comes through the ratio, and what falls on the token's own log-prob.
struct Slopes {
  double shared;
  double own;
};

/// Away from the token-level clip of a million tokens, whose loop it would only lengthen. A GPU has nothing to gain
/// from a call.
#if !defined(__CUDA_ARCH__)
TURNWISE_NOINLINE
#endif
TURNWISE_HD inline GateTerm otherGate(const Gate& gate, const GateInput& in) {
  return gateTerm(gate, in);
}

TURNWISE_HD inline GateTerm gateOf(const LossBatch& batch, size_t turn, size_t token, const ImportanceRatio& ratio) {
  const Surrogate& args = batch.args;
  const size_t a = batch.signalIndex(turn, token);
  const double clipScale = args.clipScale ? args.clipScale[a] : 1.0;
  if (args.gate.kind == GateKind::ppo) return ppoTerm(args.gate, args.advantages[a], ratio, clipScale);
  const double target = args.ratioTargets ? args.ratioTargets[a] : 0.0;
  return otherGate(args.gate,
                   {args.advantages[a], clipScale, target, args.logProbs[token], args.oldLogProbs[token], ratio});
}

TURNWISE_HD inline bool isFinite(double x) {
  return x - x == 0;
}

/// The KL part of the coefficient.
TURNWISE_HD inline double evaluateKl(const LossBatch& batch, size_t turn, size_t token, const ImportanceRatio& ratio,
                                     bool ratioMoves, Term& term) {
  const Surrogate& args = batch.args;
  const double reference = args.refLogProbs[token];
  KlTerm kl = klTerm(args.logProbs[token] - reference, args.kl);
  if (args.kl.ratioCorrection) kl = correctByRatio(kl, ratio.value, ratioMoves);
  if (!isFinite(reference)) term.flags |= Term::kNonFinite;
  if (kl.clamped) term.flags |= Term::kClampedKl;
  term.kl = kl.value;
  const double scale = batch.turnShare[turn];
  return scale != 0 ? args.kl.coef * scale * kl.gradient : 0.0;
}

/// Stores the token's term, sets its coefficient to the KL part and returns the policy part.
TURNWISE_HD inline Slopes evaluateTerm(const LossBatch& batch, size_t turn, size_t token, const TokenLogRatio& own,
                                       const ImportanceRatio& ratio, const GateTerm& gate) {
  const Surrogate& args = batch.args;
  const double x = batch.logRatio(token);
  Term& term = batch.terms[token];
  term.weight = batch.turnWeight[turn];
  term.ratio = ratio.value;
  term.oldKlK3 = ::expm1(x) - x;
  term.token = static_cast<uint32_t>(token);
  bool finite = isFinite(args.logProbs[token]) && isFinite(args.oldLogProbs[token]);
  uint16_t flags = Term::kEvaluated | (gate.clippedLow || own.clippedLow ? Term::kClippedLow : 0) |
                   (gate.clippedHigh || own.clippedHigh ? Term::kClippedHigh : 0) |
                   (gate.clippedDual ? Term::kClippedDual : 0) | (gate.masked ? Term::kMasked : 0) |
                   (ratio.clamped || own.clamped ? Term::kClampedLogRatio : 0);
  double value = gate.value, derivative = gate.derivative, direct = gate.direct;
  if (batch.weightProduct) {
    const double product = batch.weightProduct[token];
    value = timesFactor(product, value);
    derivative = timesFactor(product, derivative);
    direct = timesFactor(product, direct);
    if (product == 0) flags |= Term::kMasked;
    if (batch.weightTruncated[token]) flags |= Term::kTruncated;
    if (batch.readsRollout) finite = finite && isFinite(args.rolloutLogProbs[token]);
  }
  if (!finite) flags |= Term::kNonFinite;
  term.flags = flags;
  term.policy = term.weight * value;
  const bool ratioMoves = own.live() && !ratio.clamped;
  args.coefficients[token] = batch.klTermOn ? evaluateKl(batch, turn, token, ratio, ratioMoves, term) : 0.0;
  // Selected, not multiplied: with D = 0 a non-finite derivative must still give 0.
  const double scale = batch.turnShare[turn];
  if (scale == 0) return {0.0, 0.0};
  return {scale * derivative, scale * direct};
}

/// A loss token whose ratio is its own (any other token is left alone).
TURNWISE_HD inline void evaluateToken(const LossBatch& batch, size_t turn, size_t token) {
  if (!batch.inLoss(token)) return;
  const TokenLogRatio own = batch.ownLogRatio(turn, token);
  const ImportanceRatio ratio = importanceRatio(own.value, batch.args.ratio);
  const Slopes slopes = evaluateTerm(batch, turn, token, own, ratio, gateOf(batch, turn, token, ratio));
  batch.args.coefficients[token] += own.live() ? slopes.shared : 0.0;
  if (slopes.own != 0) batch.args.coefficients[token] += slopes.own;
}

}  // namespace turnwise
