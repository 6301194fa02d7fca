// The loss terms of a batch, one unit of the ratio level at a time: what cpu::surrogate runs over all units, and what
// the fused policyLoss calls between reading a unit's rows and writing their gradient.
#pragma once
#include <vector>

#include "../backend.h"
#include "../math/kl.h"
#include "../math/ratio.h"

namespace turnwise::cpu {

class LossTerms {
 public:
  /// A range of turns [firstTurn, lastTurn) whose ratio must be known as a whole: one turn, or a trajectory's turns.
  struct Unit {
    size_t firstTurn;
    size_t lastTurn;
  };

  /// Copies the turns, checks sizes (see `status`), prepares per-turn weights in O(K) and sets args.coefficients to 0.
  /// `args` must outlive this object.
  explicit LossTerms(const Surrogate& args);
  LossTerms(const LossTerms&) = delete;
  LossTerms& operator=(const LossTerms&) = delete;
  const Status& status() const { return status_; }

  /// Level token and turn: one unit per turn. Level sequence: one per trajectory. None where `status` is not ok.
  size_t unitCount() const { return unitFirst_.empty() ? 0 : unitFirst_.size() - 1; }
  Unit unit(size_t u) const { return {unitFirst_[u], unitFirst_[u + 1]}; }
  /// The turns' spans as checked; empty where `status` is not ok. args.turns may have changed since, so nobody who
  /// indexes with them may read those again.
  const std::vector<int32_t>& starts() const { return starts_; }
  const std::vector<int32_t>& ends() const { return ends_; }

  /// Writes args.coefficients of the unit's loss tokens from args.logProbs. Units are independent: any thread, any
  /// order.
  void evaluate(const Unit& unit);
  /// The same for one loss token of a turn (any other token is left alone). Only where the ratio's level is token.
  void evaluateToken(size_t turn, size_t token);

  /// Once, after all units: sums the terms into args.metrics; reports the first non-finite token.
  Status finish();

 private:
  /// What one loss token adds to loss and metrics. Kept per token, because sums whose bits are independent of the order
  /// need the largest term before the first addition.
  struct Term {
    double policy;      // already times the aggregation weight
    double weightedKl;  // already times coefficient and aggregation weight
    double kl;
    double oldKlK3;
    double ratio;
    uint32_t token;
    uint8_t flags;
  };
  static_assert(sizeof(Term) <= 48, "the memory target of a step is 64 bytes a token");

  bool validSizes() const;
  bool outputsOverlap() const;
  void copyTurns();
  void prepareUnits();
  void prepareWeights();
  bool inLoss(size_t token) const { return args_.actionMask[token] == 1; }
  double logRatio(size_t token) const;
  double evaluateTerm(size_t turn, size_t token, const ImportanceRatio& ratio);
  size_t packTerms();

  const Surrogate& args_;
  std::vector<int32_t> starts_, ends_, trajectory_, turnTokens_;  // [K]
  Status status_;
  bool klTermOn_ = false;
  double denominator_ = 0;
  std::vector<size_t> unitFirst_;
  std::vector<double> weight_;  // [K] aggregation weight c of the turn's tokens
  std::vector<Term> terms_;     // [N]
};

}  // namespace turnwise::cpu
