// The threads of a warp as a crew (native/math/crew.h), and what warps and larger crews share.
#pragma once
#include <cstring>

#include "../../native/math/crew.h"
#include "../../native/math/reproducible_sum.h"
#include "platform.cuh"

namespace turnwise::cuda {

constexpr unsigned kWarpSize = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

/// NaN once seen stays, whatever its place: the bits of a result do not depend on who combines with whom.
struct Largest {
  static constexpr double identity = -HUGE_VAL;
  __device__ double operator()(double a, double b) const { return a != a || a >= b ? a : b; }
};
struct Smallest {
  static constexpr double identity = HUGE_VAL;
  __device__ double operator()(double a, double b) const { return a != a || a <= b ? a : b; }
};
struct Plus {
  template <class T>
  __device__ T operator()(const T& a, const T& b) const {
    return a + b;
  }
};

/// `value` of the lane whose number differs in the bits of `lanes`.
template <class T>
__device__ T shuffleXor(const T& value, unsigned lanes) {
  static_assert(sizeof(T) % 4 == 0 && std::is_trivially_copyable<T>::value, "moved as 32-bit words");
  unsigned words[sizeof(T) / 4];
  memcpy(words, &value, sizeof(T));
  for (unsigned& word : words) word = __shfl_xor_sync(kAllLanes, word, lanes);
  T other;
  memcpy(&other, words, sizeof(T));
  return other;
}

/// All lanes' values combined. `combine` is commutative and associative to the last bit, so that every lane has the
/// same result.
template <class T, class Combine>
__device__ T reduceWarp(T value, const Combine& combine) {
  for (unsigned lanes = kWarpSize / 2; lanes > 0; lanes /= 2) value = combine(value, shuffleXor(value, lanes));
  return value;
}

/// `value` of the lane `distance` before this one; undefined where there is none.
template <class T>
__device__ T shuffleUp(const T& value, unsigned distance) {
  static_assert(sizeof(T) % 4 == 0 && std::is_trivially_copyable<T>::value, "moved as 32-bit words");
  unsigned words[sizeof(T) / 4];
  memcpy(words, &value, sizeof(T));
  for (unsigned& word : words) word = __shfl_up_sync(kAllLanes, word, distance);
  T other;
  memcpy(&other, words, sizeof(T));
  return other;
}

/// The values of this lane and those before it combined, in their order. `combine` is associative.
template <class T, class Combine>
__device__ T inclusiveScanWarp(T value, const Combine& combine) {
  const unsigned lane = threadIdx.x % kWarpSize;
  for (unsigned distance = 1; distance < kWarpSize; distance *= 2) {
    const T before = shuffleUp(value, distance);
    if (lane >= distance) value = combine(before, value);
  }
  return value;
}

/// A whole warp; blocks are one-dimensional and of whole warps.
struct Warp {
  __device__ size_t rank() const { return threadIdx.x % kWarpSize; }
  __device__ size_t size() const { return kWarpSize; }
  __device__ double largest(double x) const { return reduceWarp(x, Largest()); }
  __device__ double smallest(double x) const { return reduceWarp(x, Smallest()); }
  __device__ uint64_t sum(uint64_t count) const { return reduceWarp(count, Plus()); }
  /// Lanes exchange partial sums: each adds the same two in every round, and a + b is b + a.
  __device__ double total(double x) const { return reduceWarp(x, Plus()); }
  __device__ bool all(bool flag) const { return __all_sync(kAllLanes, flag); }
  template <class Sum>
  __device__ Sum together(Sum sum) const {
    sum.setParts(reduceWarp(sum.parts(), Plus()));
    return sum;
  }
};

}  // namespace turnwise::cuda
