// The loss terms of a batch, one unit at a time: what cpu::surrogate runs over all units, and what the fused policyLoss
// calls between reading a unit's rows and writing their gradient.
#pragma once
#include <vector>

#include "../../backend.h"
#include "../../math/gates/term.h"
#include "../../math/kl.h"
#include "../../math/ratio.h"
#include "frozen_weights.h"
#include "turn_spans.h"

namespace turnwise::cpu {

class LossTerms {
 public:
  /// The turns whose current log-probs must be known before any of their coefficients: one turn, or a trajectory's.
  using Unit = TurnRange;

  /// Copies the turns, checks sizes (see `status`), prepares what does not depend on args.logProbs in O(N), and sets
  /// args.coefficients to 0. `args` must outlive this object.
  explicit LossTerms(const Surrogate& args);
  LossTerms(const LossTerms&) = delete;
  LossTerms& operator=(const LossTerms&) = delete;
  const Status& status() const { return status_; }

  /// Whether the trajectories of a prompt are compared with one another: then only evaluateAll knows coefficients.
  static bool couplesUnits(const Surrogate& args) { return args.gate.kind == GateKind::logSumExp; }
  /// Whether a token's coefficient depends on its own log-prob alone.
  bool perToken() const { return args_.ratio.level == Level::token && !weighsTrajectories_; }

  /// One unit per trajectory where the ratio or a weight belongs to it, else one per turn. None where `status` is not
  /// ok.
  size_t unitCount() const { return unitBounds_.empty() ? 0 : unitBounds_.size() - 1; }
  Unit unit(size_t u) const { return {unitBounds_[u], unitBounds_[u + 1]}; }
  /// The turns as checked: args.turns may have changed since, so nobody who indexes with them may read those again.
  const TurnSpans& turns() const { return turns_; }

  /// Writes args.coefficients of the unit's loss tokens from args.logProbs. Units are independent: any thread, any
  /// order. Not where the units are coupled.
  void evaluate(const Unit& unit);
  /// The same for one loss token of a turn (any other token is left alone). Only where perToken().
  void evaluateToken(size_t turn, size_t token);
  /// All units, on this thread; false if aborted. May throw std::bad_alloc.
  bool evaluateAll(const Context& context);

  /// Once, after all units: sums the terms into args.metrics; reports the first non-finite token.
  Status finish();

 private:
  /// What one loss token adds to loss and metrics. Kept per token, because sums whose bits are independent of the order
  /// need the largest term before the first addition.
  struct Term {
    enum Flag : uint16_t {
      kClippedLow = 1,
      kClippedHigh = 2,
      kClippedDual = 4,
      kClampedLogRatio = 8,
      kClampedKl = 16,
      kNonFinite = 32,
      kMasked = 64,
      kTruncated = 128,
      kEvaluated = 256,
    };
    double policy;  // already times the aggregation weight
    double weight;  // c of the aggregation
    double kl;
    double oldKlK3;
    double ratio;
    uint32_t token;
    uint16_t flags;
  };
  static_assert(sizeof(Term) <= 48, "the memory target of a step is 64 bytes a token");

  /// The policy's part of dLoss/dLogProb: what comes through the ratio, and what falls on the token's own log-prob.
  struct Slopes {
    double shared;
    double own;
  };

  bool validSizes() const;
  bool validStages() const;
  bool outputsOverlap() const;
  bool copyPrompts();
  void prepareAggregation();
  void prepareEntropyCoefficients();

  bool inLoss(size_t token) const { return args_.actionMask[token] == 1; }
  template <class Visit>
  void forEachLossToken(const Unit& unit, const Visit& visit) const {
    turns_.forEachLossToken(unit, args_.actionMask, visit);
  }
  size_t signalIndex(size_t turn, size_t token) const { return args_.advantageLevel == Level::token ? token : turn; }
  double logRatio(size_t token) const {
    return static_cast<double>(args_.logProbs[token]) - static_cast<double>(args_.oldLogProbs[token]);
  }
  TokenLogRatio ownLogRatio(size_t turn, size_t token) const {
    return tokenLogRatio(logRatio(token), args_.advantages[signalIndex(turn, token)], args_.ratio);
  }
  // Selected, not multiplied: with D = 0 a non-finite derivative must still give 0.
  double share(size_t turn) const { return denominator_ != 0 ? weight_[turn] / denominator_ : 0.0; }
  /// log-ratio of a unit's tokens and their number.
  ImportanceRatio unitRatio(const Unit& unit, size_t& count) const;

  void dropOffPolicy(const Unit& trajectory);
  void evaluateRatio(const Unit& unit);
  bool evaluateCoupled(const Context& context);
  void spreadCoupled(const Unit& unit, double value, double derivative);
  GateTerm gateOf(size_t turn, size_t token, const ImportanceRatio& ratio) const;
  Slopes evaluateTerm(size_t turn, size_t token, const TokenLogRatio& own, const ImportanceRatio& ratio,
                      const GateTerm& gate);
  double evaluateKl(size_t turn, size_t token, const ImportanceRatio& ratio, bool ratioMoves, Term& term);

  size_t packTerms();
  void set(Metric metric, double value) { args_.metrics[static_cast<size_t>(metric)] = value; }
  double get(Metric metric) const { return args_.metrics[static_cast<size_t>(metric)]; }
  void writeSums(size_t count);
  void writeWeights(size_t count);
  void writeCounts(size_t count);
  Status firstNonFinite(size_t count) const;

  const Surrogate& args_;
  Status status_;
  bool klTermOn_ = false;
  bool entropyBonusOn_ = false;
  bool readsRollout_ = false;
  bool weighsTrajectories_ = false;
  double denominator_ = 0;
  TurnSpans turns_;
  FrozenWeights weights_;
  std::vector<int32_t> prompts_;  // [units], where they are coupled
  std::vector<size_t> unitBounds_;
  std::vector<double> weight_;  // [K] aggregation weight c of the turn's tokens
  std::vector<Term> terms_;     // [N]
};

}  // namespace turnwise::cpu
