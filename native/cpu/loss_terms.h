// The loss terms of a batch, one unit of the ratio level at a time: what cpu::surrogate runs over all units, and what the
// fused policyLoss calls between reading a unit's rows and writing their gradient.
#pragma once
#include <vector>

#include "../backend.h"

namespace turnwise::cpu {

class LossTerms {
 public:
  /// A range of turns [firstTurn, lastTurn) whose ratio must be known as a whole: one turn, or a trajectory's turns.
  struct Unit {
    size_t firstTurn;
    size_t lastTurn;
  };

  /// Checks sizes (see `status`), then prepares per-turn weights in O(K). `args` must outlive this object.
  explicit LossTerms(const Surrogate& args);
  const Status& status() const { return status_; }

  /// Level token and turn: one unit per turn. Level sequence: one per trajectory.
  size_t unitCount() const { return unitFirst_.size() - 1; }
  Unit unit(size_t u) const { return {unitFirst_[u], unitFirst_[u + 1]}; }

  /// Writes args.coefficients of the unit's loss tokens from args.logProbs. Units are independent: any thread, any order.
  void evaluate(const Unit& unit);
  /// The same for one loss token of a turn. Only where the ratio's level is token.
  void evaluateToken(size_t turn, size_t token);

  /// After all units: sums the terms into args.metrics; reports the first non-finite token.
  Status finish();

 private:
  struct Term;  // what one loss token adds to loss and metrics

  const Surrogate& args_;
  Status status_;
  std::vector<size_t> unitFirst_;
  std::vector<double> weight_;  // [K] c_t / D of the turn's tokens
  std::vector<Term> terms_;     // [N]
};

}  // namespace turnwise::cpu
