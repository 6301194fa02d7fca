// The checks on turns that every op makes before it trusts them as indices.
#pragma once
#include "../ops.h"

namespace turnwise::cpu {

/// All five arrays of one length K, trajectories non-negative and non-decreasing (the turns of one are adjacent).
inline bool validTrajectories(const Turns& turns) {
  const size_t count = turns.trajectory.size;
  if (turns.index.size != count || turns.starts.size != count || turns.ends.size != count ||
      turns.tokens.size != count) {
    return false;
  }
  int32_t previous = 0;
  for (size_t k = 0; k < count; ++k) {
    if (turns.trajectory[k] < previous) return false;
    previous = turns.trajectory[k];
  }
  return true;
}

/// Spans sorted, disjoint and inside [0, tokenCount): no two turns, and so no two threads, own the same token.
inline bool validSpans(const Turns& turns, size_t tokenCount) {
  int64_t previousEnd = 0;
  for (size_t k = 0; k < turns.starts.size; ++k) {
    const int64_t start = turns.starts[k], end = turns.ends[k], tokens = turns.tokens[k];
    if (start < previousEnd || end < start || tokens < 0 || tokens > end - start) return false;
    previousEnd = end;
  }
  return previousEnd <= static_cast<int64_t>(tokenCount);
}

}  // namespace turnwise::cpu
