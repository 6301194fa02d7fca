// Walking the columns of a row in pairs of vectors; the row's end through a buffer, so that nothing outside the row is
// touched and an element's lane depends on its column alone, not on the row's address.
#pragma once
#include "row_kernels.h"
#include "tuning.h"

namespace turnwise::cpu::TURNWISE_SIMD {

template <DType D>
constexpr size_t kElementSize = D == DType::f32 ? 4 : 2;
constexpr size_t kPairColumns = 2 * F32::kLanes;

/// The first `count` columns at `p`, filled up with -inf.
template <DType D>
struct PaddedPair {
  unsigned char bytes[kPairColumns * kElementSize<D>];

  TURNWISE_INLINE PaddedPair(const unsigned char* p, size_t count) {
    const F32 fill = broadcast(-HUGE_VALF);
    storePair<D>(bytes, fill, fill);
    std::memcpy(bytes, p, count * kElementSize<D>);
  }
};

/// Prefetch of `bytes` bytes from `p`, a whole number of cache lines or less than one, into L1 (level 3) or L2 (level
/// 2).
template <size_t bytes, int level>
TURNWISE_INLINE void prefetch(const unsigned char* p) {
  for (size_t i = 0; i < bytes; i += 64) TURNWISE_PREFETCH(p + i, level);
}

/// visit(a, b, u) for each pair of vectors, u = 0, 2, .. < kVectors being the accumulators that they belong to.
template <DType D, class Visit>
TURNWISE_INLINE void forEachPair(const unsigned char* p, size_t count, Visit&& visit) {
  constexpr size_t kPairBytes = kPairColumns * kElementSize<D>;
  constexpr size_t kPairs = kVectors / 2;
  F32 a, b;
  for (; count >= kPairs * kPairColumns; count -= kPairs * kPairColumns, p += kPairs * kPairBytes) {
    prefetch<kPairs * kPairBytes, 3>(p + kReadAheadL1);
    prefetch<kPairs * kPairBytes, 2>(p + kReadAheadL2);
    for (size_t i = 0; i < kPairs; ++i) {
      loadPair<D>(p + i * kPairBytes, a, b);
      visit(a, b, 2 * i);
    }
  }
  for (; count >= kPairColumns; count -= kPairColumns, p += kPairBytes) {
    loadPair<D>(p, a, b);
    visit(a, b, 0);
  }
  if (count > 0) {
    const PaddedPair<D> last(p, count);
    loadPair<D>(last.bytes, a, b);
    visit(a, b, 0);
  }
}

TURNWISE_INLINE float horizontalMax(F32 a) {
  float values[F32::kLanes];
  store(values, a);
  float top = values[0];
  for (size_t i = 1; i < F32::kLanes; ++i) top = values[i] > top ? values[i] : top;
  return top;
}

}  // namespace turnwise::cpu::TURNWISE_SIMD
