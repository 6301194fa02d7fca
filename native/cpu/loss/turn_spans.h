// The turns of a batch as the loss uses them: its own copy, checked, and walked unit by unit of a level.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../../ops.h"

namespace turnwise::cpu {

/// The turns [first, last) of one turn or one trajectory.
struct TurnRange {
  size_t first;
  size_t last;
};

class TurnSpans {
 public:
  TurnSpans() = default;
  /// The arrays say where to read and write. A caller's thread may change them at any time, so the copies are what is
  /// checked and used.
  explicit TurnSpans(const Turns& turns);
  bool valid(size_t tokenCount) const;

  size_t count() const { return starts_.size(); }
  const std::vector<int32_t>& starts() const { return starts_; }
  const std::vector<int32_t>& ends() const { return ends_; }
  const std::vector<int32_t>& tokens() const { return tokens_; }
  const std::vector<int32_t>& trajectory() const { return trajectory_; }

  /// Bounds of the units in the turns: one per trajectory at level sequence, else one per turn.
  std::vector<size_t> unitBounds(Level level) const;

  /// visit(turn, token) for the loss tokens of some turns.
  template <class Visit>
  void forEachLossToken(const TurnRange& turns, View<const uint8_t> actionMask, const Visit& visit) const {
    for (size_t k = turns.first; k < turns.last; ++k) {
      for (size_t n = starts_[k]; n < static_cast<size_t>(ends_[k]); ++n) {
        if (actionMask[n] == 1) visit(k, n);
      }
    }
  }

 private:
  std::vector<int32_t> starts_, ends_, trajectory_, tokens_;  // [K]
};

}  // namespace turnwise::cpu
