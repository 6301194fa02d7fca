// CUDA's names for device code, spelled as CUDA spells them.
#pragma once
#include <math.h>

#include <cmath>
#include <type_traits>

#include "scheduler.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __shared__ static_assert(false, "shared memory is dynamic here: sharedMemory() of cuda/device/platform.cuh");

struct __align__(8) uint2 {
  unsigned x, y;
};
struct __align__(16) uint4 {
  unsigned x, y, z, w;
};
struct __align__(8) int2 {
  int x, y;
};
struct __align__(16) int4 {
  int x, y, z, w;
};
struct __align__(8) float2 {
  float x, y;
};
struct __align__(16) float4 {
  float x, y, z, w;
};
struct __align__(16) double2 {
  double x, y;
};
inline uint2 make_uint2(unsigned x, unsigned y) {
  return {x, y};
}
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) {
  return {x, y, z, w};
}
inline float2 make_float2(float x, float y) {
  return {x, y};
}
inline float4 make_float4(float x, float y, float z, float w) {
  return {x, y, z, w};
}
inline double2 make_double2(double x, double y) {
  return {x, y};
}

// ------------------------------------------------------------------------------------------------------- barriers

#define TURNWISE_WHERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(TURNWISE_WHERE) {
  turnwise::emulation::syncBlock({file, line});
}
inline void __syncwarp(unsigned mask = 0xffffffff, TURNWISE_WHERE) {
  turnwise::emulation::syncWarp(mask, {file, line});
}
// One thread runs at a time, and atomics order what they touch: nothing is left to do.
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}

// ------------------------------------------------------------------------------------------------------- warps

namespace turnwise::emulation {

/// `laneOf(own, first, width)` of the sub-warp [first, first + width) that the lane is in.
template <class T, class LaneOf>
T shuffleValue(unsigned mask, T value, int width, Where where, LaneOf laneOf) {
  static_assert(std::is_arithmetic_v<T> && sizeof(T) <= 8);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  unsigned own;
  {
    Quiet quiet;
    own = running->lane();
    if (width <= 0 || width > 32 || (width & (width - 1)) != 0) fail("shuffle width %d", width);
  }
  const unsigned lanes = static_cast<unsigned>(width);
  const unsigned first = own / lanes * lanes;
  bits = shuffle(mask, bits, laneOf(own, first, lanes), where);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace turnwise::emulation

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, TURNWISE_WHERE) {
  const auto laneOf = [&](unsigned, unsigned first, unsigned lanes) {
    return first + (unsigned(source) & (lanes - 1));
  };
  return turnwise::emulation::shuffleValue(mask, value, width, {file, line}, laneOf);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, TURNWISE_WHERE) {
  const auto laneOf = [&](unsigned own, unsigned first, unsigned) { return own >= first + delta ? own - delta : own; };
  return turnwise::emulation::shuffleValue(mask, value, width, {file, line}, laneOf);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, TURNWISE_WHERE) {
  const auto laneOf = [&](unsigned own, unsigned first, unsigned lanes) {
    return own + delta < first + lanes ? own + delta : own;
  };
  return turnwise::emulation::shuffleValue(mask, value, width, {file, line}, laneOf);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanesMask, int width = 32, TURNWISE_WHERE) {
  const auto laneOf = [&](unsigned own, unsigned first, unsigned lanes) {
    const unsigned other = own ^ unsigned(lanesMask);
    return other < first + lanes ? other : own;
  };
  return turnwise::emulation::shuffleValue(mask, value, width, {file, line}, laneOf);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, TURNWISE_WHERE) {
  return turnwise::emulation::vote(mask, predicate != 0, {file, line});
}
inline int __any_sync(unsigned mask, int predicate, TURNWISE_WHERE) {
  return turnwise::emulation::vote(mask, predicate != 0, {file, line}) != 0;
}
inline int __all_sync(unsigned mask, int predicate, TURNWISE_WHERE) {
  return turnwise::emulation::vote(mask, predicate == 0, {file, line}) == 0;
}

// ------------------------------------------------------------------------------------------------------- atomics

// Stricter than CUDA's, which order nothing.
template <class T>
T atomicExch(T* address, std::common_type_t<T> value) {
  return __atomic_exchange_n(address, value, __ATOMIC_SEQ_CST);
}
template <class T>
T atomicCAS(T* address, std::common_type_t<T> expected, std::common_type_t<T> value) {
  __atomic_compare_exchange_n(address, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return expected;
}
template <class T>
T atomicAdd(T* address, std::common_type_t<T> value) {
  static_assert(std::is_integral_v<T>, "no float atomics: their sums depend on the order");
  return __atomic_fetch_add(address, value, __ATOMIC_SEQ_CST);
}
template <class T>
T atomicOr(T* address, std::common_type_t<T> value) {
  return __atomic_fetch_or(address, value, __ATOMIC_SEQ_CST);
}
template <class T>
T atomicAnd(T* address, std::common_type_t<T> value) {
  return __atomic_fetch_and(address, value, __ATOMIC_SEQ_CST);
}
template <class T>
T atomicMin(T* address, std::common_type_t<T> value) {
  T now = __atomic_load_n(address, __ATOMIC_SEQ_CST);
  while (!__atomic_compare_exchange_n(address, &now, value < now ? value : now, false, __ATOMIC_SEQ_CST,
                                      __ATOMIC_SEQ_CST)) {
  }
  return now;
}
template <class T>
T atomicMax(T* address, std::common_type_t<T> value) {
  T now = __atomic_load_n(address, __ATOMIC_SEQ_CST);
  while (!__atomic_compare_exchange_n(address, &now, value > now ? value : now, false, __ATOMIC_SEQ_CST,
                                      __ATOMIC_SEQ_CST)) {
  }
  return now;
}

// ------------------------------------------------------------------------------------------------------- bits

namespace turnwise::emulation {
template <class To, class From>
To bitsAs(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}
}  // namespace turnwise::emulation

inline unsigned __float_as_uint(float x) {
  return turnwise::emulation::bitsAs<unsigned>(x);
}
inline int __float_as_int(float x) {
  return turnwise::emulation::bitsAs<int>(x);
}
inline float __uint_as_float(unsigned bits) {
  return turnwise::emulation::bitsAs<float>(bits);
}
inline float __int_as_float(int bits) {
  return turnwise::emulation::bitsAs<float>(bits);
}
inline long long __double_as_longlong(double x) {
  return turnwise::emulation::bitsAs<long long>(x);
}
inline double __longlong_as_double(long long bits) {
  return turnwise::emulation::bitsAs<double>(bits);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((uint64_t{high} << 32 | low) >> (shift & 31));
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((uint64_t{high} << 32 | low) << (shift & 31) >> 32);
}
inline int __popc(unsigned x) {
  return __builtin_popcount(x);
}
inline int __popcll(unsigned long long x) {
  return __builtin_popcountll(x);
}
inline int __ffs(int x) {
  return __builtin_ffs(x);
}
inline int __ffsll(long long x) {
  return __builtin_ffsll(x);
}
inline int __clz(int x) {
  return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x));
}
inline int __clzll(long long x) {
  return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x));
}

// ------------------------------------------------------------------------------------------------------- arithmetic

/// Of integers, or of floating-point numbers, of which one that is not a NaN wins; as in CUDA, not of one and the
/// other.
template <class A, class B>
constexpr std::common_type_t<A, B> min(A a, B b) {
  static_assert(std::is_integral_v<A> == std::is_integral_v<B>);
  using T = std::common_type_t<A, B>;
  if constexpr (std::is_floating_point_v<T>) return std::fmin(T(a), T(b));
  return T(b) < T(a) ? T(b) : T(a);
}
template <class A, class B>
constexpr std::common_type_t<A, B> max(A a, B b) {
  static_assert(std::is_integral_v<A> == std::is_integral_v<B>);
  using T = std::common_type_t<A, B>;
  if constexpr (std::is_floating_point_v<T>) return std::fmax(T(a), T(b));
  return T(a) < T(b) ? T(b) : T(a);
}

inline float rsqrtf(float x) {
  return 1.0f / std::sqrt(x);
}
inline double rsqrt(double x) {
  return 1.0 / std::sqrt(x);
}
inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline float __fmaf_rn(float a, float b, float c) {
  return std::fma(a, b, c);
}
inline double __dadd_rn(double a, double b) {
  return a + b;
}
inline double __dmul_rn(double a, double b) {
  return a * b;
}
inline double __fma_rn(double a, double b, double c) {
  return std::fma(a, b, c);
}
template <class T>
T __ldg(const T* from) {
  return *from;
}
