// What the checks of several ops ask of their arguments.
#pragma once
#include <cstdint>
#include <initializer_list>

#include "../ops.h"

namespace turnwise {

/// The bytes of an argument.
struct Extent {
  uintptr_t begin, end;
  template <class T>
  Extent(const View<T>& view) : begin(reinterpret_cast<uintptr_t>(view.data)), end(begin + view.size * sizeof(T)) {}
  bool overlaps(const Extent& other) const {
    return begin != end && other.begin != other.end && begin < other.end && other.begin < end;
  }
};

/// Whether writing one of the outputs would change an input or another output.
inline bool anyOverlap(std::initializer_list<Extent> outputs, std::initializer_list<Extent> inputs) {
  for (const Extent* output = outputs.begin(); output != outputs.end(); ++output) {
    for (const Extent* other = outputs.begin(); other != output; ++other) {
      if (output->overlaps(*other)) return true;
    }
    for (const Extent& input : inputs) {
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

/// Whether the span of a turn follows the one before it, and has room for its loss tokens.
TURNWISE_HD inline bool followsSpan(int64_t previousEnd, int64_t start, int64_t end, int64_t tokens) {
  return start >= previousEnd && end >= start && tokens >= 0 && tokens <= end - start;
}

}  // namespace turnwise
