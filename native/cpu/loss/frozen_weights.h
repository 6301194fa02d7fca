// The product of the weights of every loss token (native/math/importance_weight.h). What depends on the old and rollout
// log-probs alone is known before any logits are read; the off-policy mask needs a trajectory's current log-probs.
#pragma once
#include <cstdint>
#include <vector>

#include "../../ops.h"
#include "turn_spans.h"

namespace turnwise::cpu {

class FrozenWeights {
 public:
  /// Whether every weight has the arrays it reads, of one value a token.
  static bool validSizes(const Surrogate& args);
  static bool readRollout(const WeightList& weights);
  /// Whether a token's weight depends on the current log-probs of its whole trajectory.
  static bool needTrajectory(const WeightList& weights);

  FrozenWeights() = default;
  FrozenWeights(const Surrogate& args, const TurnSpans& turns);

  bool any() const { return !product_.empty(); }
  double product(size_t token) const { return product_[token]; }
  bool truncated(size_t token) const { return truncated_[token] != 0; }
  /// 0 for good: the off-policy mask.
  void drop(size_t token) { product_[token] = 0; }

 private:
  void multiply(size_t token, double factor, bool truncated);
  void multiplyUnit(const Surrogate& args, const TurnSpans& turns, const TurnRange& unit, const Weight& weight);

  std::vector<double> product_;     // [N]; empty without weights
  std::vector<uint8_t> truncated_;  // [N]
};

}  // namespace turnwise::cpu
