// The checks on turns that every op makes before it trusts them as indices. Callers may share the memory of an argument
// with another argument, with an output or with a thread of theirs: an index is checked in, and used from, the op's own
// copy.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "../ops.h"

namespace turnwise::cpu {

template <class T>
std::vector<int32_t> ownCopy(const View<T>& view) {
  return {view.data, view.data + view.size};
}

/// The bytes of an argument.
struct Memory {
  uintptr_t begin, end;
  template <class T>
  Memory(const View<T>& view) : begin(reinterpret_cast<uintptr_t>(view.data)), end(begin + view.size * sizeof(T)) {}
  bool overlaps(const Memory& other) const {
    return begin != end && other.begin != other.end && begin < other.end && other.begin < end;
  }
};

/// Whether writing one of the outputs would change an input or another output.
inline bool anyOverlap(std::initializer_list<Memory> outputs, std::initializer_list<Memory> inputs) {
  for (const Memory* output = outputs.begin(); output != outputs.end(); ++output) {
    for (const Memory* other = outputs.begin(); other != output; ++other) {
      if (output->overlaps(*other)) return true;
    }
    for (const Memory& input : inputs) {
      if (output->overlaps(input)) return true;
    }
  }
  return false;
}

/// All five arrays of one length K.
inline bool sameLengths(const Turns& turns) {
  const size_t count = turns.trajectory.size;
  return turns.index.size == count && turns.starts.size == count && turns.ends.size == count &&
         turns.tokens.size == count;
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

/// Whether the span of a turn follows the one before it, and has room for its loss tokens.
TURNWISE_HD inline bool followsSpan(int64_t previousEnd, int64_t start, int64_t end, int64_t tokens) {
  return start >= previousEnd && end >= start && tokens >= 0 && tokens <= end - start;
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
