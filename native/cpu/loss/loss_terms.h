// The loss terms of a batch, one unit at a time: what cpu::surrogate runs over all units, and what the fused policyLoss
// calls between reading a unit's rows and writing their gradient. The formulas are those of native/loss.
#pragma once
#include <vector>

#include "../../backend.h"
#include "../../loss/coupled_gate.h"
#include "turn_spans.h"

namespace turnwise::cpu {

class LossTerms {
 public:
  /// The turns whose current log-probs must be known before any of their coefficients: one turn, or a trajectory's.
  using Unit = TurnRange;

  /// Copies the turns, checks sizes (see `status`), prepares what does not depend on args.logProbs in O(N), and sets
  /// args.coefficients to 0.
  explicit LossTerms(const Surrogate& args);
  LossTerms(const LossTerms&) = delete;
  LossTerms& operator=(const LossTerms&) = delete;
  const Status& status() const { return status_; }

  bool perToken() const { return batch_.perToken(); }

  /// One unit per trajectory where the ratio or a weight belongs to it, else one per turn. None where `status` is not
  /// ok.
  size_t unitCount() const { return unitBounds_.empty() ? 0 : unitBounds_.size() - 1; }
  Unit unit(size_t u) const { return {unitBounds_[u], unitBounds_[u + 1]}; }
  /// The turns as checked: args.turns may have changed since, so nobody who indexes with them may read those again.
  const TurnSpans& turns() const { return turns_; }

  /// Writes args.coefficients of the unit's loss tokens from args.logProbs. Units are independent: any thread, any
  /// order. Not where the units are coupled.
  void evaluate(const Unit& unit) { evaluateUnit(Solo(), batch_, unit); }
  /// The same for one loss token of a turn (any other token is left alone). Only where perToken().
  void evaluateToken(size_t turn, size_t token) { turnwise::evaluateToken(batch_, turn, token); }
  /// All units, on this thread; false if aborted. May throw std::bad_alloc.
  bool evaluateAll(const Context& context);

  /// Once, after all units: sums the terms into args.metrics; reports the first non-finite token.
  Status finish();

 private:
  bool copyPrompts();
  double countDenominator() const;
  void prepareAggregation();
  void prepareWeights();
  void prepareEntropyCoefficients();
  bool evaluateCoupled(const Context& context);
  size_t packTerms();
  Status firstNonFinite(size_t count) const;

  LossBatch batch_;
  Status status_;
  TurnSpans turns_;
  std::vector<int32_t> prompts_;  // [M], where they matter
  std::vector<size_t> unitBounds_;
  double denominator_ = 0;
  std::vector<double> turnWeight_;        // [K]
  std::vector<double> turnShare_;         // [K]
  std::vector<double> weightProduct_;     // [N]; empty without weights
  std::vector<uint8_t> weightTruncated_;  // [N] likewise
  std::vector<Term> terms_;               // [N]
};

}  // namespace turnwise::cpu
