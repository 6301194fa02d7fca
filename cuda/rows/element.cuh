// Logits as they lie in memory: vectors of 16 bytes and their elements.
#pragma once
#include "../device/platform.cuh"
#include "tuning.h"

namespace turnwise::cuda {

template <DType D>
struct Element {
  using Bits = std::conditional_t<D == DType::f32, uint32_t, uint16_t>;
  static constexpr unsigned kPerVector = kVectorBytes / sizeof(Bits);
  static constexpr Bits kMinusInfinity = D == DType::f32 ? 0xff800000u : D == DType::bf16 ? 0xff80u : 0xfc00u;

  __device__ static float toFloat(Bits bits) {
    if constexpr (D == DType::f32) return __uint_as_float(bits);
    if constexpr (D == DType::bf16) return __uint_as_float(static_cast<uint32_t>(bits) << 16);
    if constexpr (D == DType::f16) return f16ToFloat(bits);
  }

  __device__ static void unpack(const uint4& vector, float (&x)[kPerVector]) {
    const uint32_t words[4] = {vector.x, vector.y, vector.z, vector.w};
#pragma unroll
    for (unsigned i = 0; i < 4; ++i) {
      if constexpr (D == DType::f32) {
        x[i] = __uint_as_float(words[i]);
      } else if constexpr (D == DType::bf16) {
        x[2 * i] = __uint_as_float(words[i] << 16);
        x[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
      } else {
        x[2 * i] = f16ToFloat(static_cast<uint16_t>(words[i]));
        x[2 * i + 1] = f16ToFloat(static_cast<uint16_t>(words[i] >> 16));
      }
    }
  }

  /// To nearest even; a NaN stays one.
  __device__ static uint4 pack(const float (&x)[kPerVector]) {
    uint32_t words[4];
#pragma unroll
    for (unsigned i = 0; i < 4; ++i) {
      if constexpr (D == DType::f32) words[i] = __float_as_uint(x[i]);
      if constexpr (D == DType::bf16) words[i] = packBf16(x[2 * i], x[2 * i + 1]);
      if constexpr (D == DType::f16) words[i] = packF16(x[2 * i], x[2 * i + 1]);
    }
    return make_uint4(words[0], words[1], words[2], words[3]);
  }

  /// Element `j` of a vector.
  __device__ static Bits bitsAt(const uint32_t (&words)[4], unsigned j) {
    if constexpr (D == DType::f32) return words[j];
    if constexpr (D != DType::f32) return static_cast<Bits>(words[j / 2] >> (j % 2 * 16));
  }
};

__device__ inline bool onVector(const void* address) {
  return reinterpret_cast<uintptr_t>(address) % kVectorBytes == 0;
}

/// Whether memory is used once, and should leave the caches to the rest.
enum class Touched { once, again };

/// The first `count` elements at `from`, filled up with -inf; nothing else is read.
template <DType D, Touched kTouched>
__device__ uint4 loadVector(const unsigned char* from, unsigned count) {
  using E = Element<D>;
  if (count == E::kPerVector && onVector(from)) {
    const auto* const vector = reinterpret_cast<const uint4*>(from);
    return kTouched == Touched::once ? loadStreaming(vector) : *vector;
  }
  const auto* elements = reinterpret_cast<const typename E::Bits*>(from);
  uint32_t words[4] = {};
#pragma unroll
  for (unsigned j = 0; j < E::kPerVector; ++j) {
    const uint32_t bits = j < count ? elements[j] : E::kMinusInfinity;
    if constexpr (D == DType::f32) words[j] = bits;
    if constexpr (D != DType::f32) words[j / 2] |= bits << (j % 2 * 16);
  }
  return make_uint4(words[0], words[1], words[2], words[3]);
}

/// Likewise; nothing else is written.
template <DType D>
__device__ void storeVector(unsigned char* to, const uint4& vector, unsigned count) {
  using E = Element<D>;
  if (count == E::kPerVector && onVector(to)) return storeStreaming(reinterpret_cast<uint4*>(to), vector);
  auto* elements = reinterpret_cast<typename E::Bits*>(to);
  const uint32_t words[4] = {vector.x, vector.y, vector.z, vector.w};
#pragma unroll
  for (unsigned j = 0; j < E::kPerVector; ++j) {
    if (j < count) elements[j] = E::bitsAt(words, j);
  }
}

/// The 16 bytes that begin `phase` bytes into `low`.
__device__ inline uint4 joinVectors(const uint4& low, const uint4& high, unsigned phase) {
  uint32_t words[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
  for (unsigned i = 0; i < 6; ++i) words[i] = phase & 8 ? words[i + 2] : words[i];
#pragma unroll
  for (unsigned i = 0; i < 5; ++i) words[i] = phase & 4 ? words[i + 1] : words[i];
#pragma unroll
  for (unsigned i = 0; i < 4; ++i) words[i] = phase & 2 ? words[i] >> 16 | words[i + 1] << 16 : words[i];
  return make_uint4(words[0], words[1], words[2], words[3]);
}

}  // namespace turnwise::cuda
