// The checks on turns that every op makes before it trusts them as indices. Callers may share the memory of an argument
// with another argument, with an output or with a thread of theirs: an index is checked in, and used from, the op's own
// copy.
#pragma once
#include <cstdint>
#include <vector>

#include "../checks/arguments.h"

namespace turnwise::cpu {

template <class T>
std::vector<int32_t> ownCopy(const View<T>& view) {
  return {view.data, view.data + view.size};
}

/// Trajectories non-negative and non-decreasing: the turns of one are adjacent.
inline bool validTrajectories(const std::vector<int32_t>& trajectory) {
  int32_t previous = 0;
  for (const int32_t m : trajectory) {
    if (m < previous) return false;
    previous = m;
  }
  return true;
}

/// Spans sorted, disjoint and inside [0, tokenCount): no two turns, and so no two threads, own the same token.
inline bool validSpans(const std::vector<int32_t>& starts, const std::vector<int32_t>& ends,
                       const std::vector<int32_t>& tokens, size_t tokenCount) {
  int64_t previousEnd = 0;
  for (size_t k = 0; k < starts.size(); ++k) {
    if (!followsSpan(previousEnd, starts[k], ends[k], tokens[k])) return false;
    previousEnd = ends[k];
  }
  return previousEnd <= static_cast<int64_t>(tokenCount);
}

}  // namespace turnwise::cpu
