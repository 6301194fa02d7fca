// The turns of a batch as the loss uses them: its own copy, checked, and divided into the units of a level.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../../ops.h"

namespace turnwise::cpu {

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

  /// `turns` with these copies in place of the caller's arrays.
  Turns views(Turns turns) const {
    turns.starts = {starts_.data(), count()};
    turns.ends = {ends_.data(), count()};
    turns.trajectory = {trajectory_.data(), count()};
    turns.tokens = {tokens_.data(), count()};
    return turns;
  }

  /// Bounds of the units in the turns: one per trajectory at level sequence, else one per turn.
  std::vector<size_t> unitBounds(Level level) const;

 private:
  std::vector<int32_t> starts_, ends_, trajectory_, tokens_;  // [K]
};

}  // namespace turnwise::cpu
