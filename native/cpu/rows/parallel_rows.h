// How rows of logits are shared among threads.
#pragma once
#include <algorithm>

#include "../thread_pool.h"
#include "tuning.h"

namespace turnwise::cpu {

/// Column segments of a row.
inline size_t segmentCount(size_t width) {
  return (width + kSegmentColumns - 1) / kSegmentColumns;
}

/// Rows, of `count`, that make one piece of work: neighbours, because what is prefetched past a row's end is the next
/// one.
inline size_t rowsPerChunk(const ThreadPool& pool, const ConstRows& rows, size_t count) {
  const size_t rowBytes = std::max<size_t>(rows.width * sizeOf(rows.dtype), 1);
  const size_t share = count / (kRowsPerThread * pool.threads());
  // Tiny rows are always taken together: a piece of work must cost more than taking it.
  return std::max<size_t>({std::min(kChunkBytes / rowBytes, share), kSmallestChunkBytes / rowBytes, 1});
}

/// Whether there are too few rows to keep the threads busy, and rows can be split by column segments.
inline bool splitRows(const ThreadPool& pool, size_t rows, size_t segments) {
  return segments > 1 && pool.threads() > 1 && rows < kRowsPerThread * pool.threads();
}

/// body(n) for every row; false if aborted.
template <class Body>
bool forEachRow(ThreadPool& pool, const Context& context, const ConstRows& rows, Body&& body) {
  return pool.parallelFor(rows.count, rowsPerChunk(pool, rows, rows.count), context, body);
}

/// Every target of a row with mask 1 inside [0, width).
inline Status checkTargets(const View<const int32_t>& targets, const View<const uint8_t>& mask, size_t width) {
  for (size_t n = 0; n < targets.size; ++n) {
    if (mask && mask[n] != 1) continue;
    if (targets[n] < 0 || static_cast<size_t>(targets[n]) >= width) {
      return {StatusCode::targetOutOfRange, static_cast<int64_t>(n)};
    }
  }
  return {};
}

}  // namespace turnwise::cpu
