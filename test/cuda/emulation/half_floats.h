// Conversions and streaming accesses of cuda/device/platform.cuh.
#pragma once
#include "../../../native/types.h"
#include "device_names.h"

namespace turnwise::cuda {

inline uint32_t bf16Bits(float x) {
  const uint32_t bits = __float_as_uint(x);
  if (x != x) return 0x7fff;  // CUDA's NaN
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
inline uint32_t packBf16(float low, float high) {
  return bf16Bits(low) | bf16Bits(high) << 16;
}

inline uint32_t f16Bits(float x) {
  const uint32_t sign = __float_as_uint(x) >> 16 & 0x8000;
  const float size = std::fabs(x);
  if (x != x) return 0x7fff;
  if (size >= 65520.0f) return sign | 0x7c00;
  // Adding a number with the wanted last place rounds to it, to nearest even.
  const int exponent = size < 0x1p-14f ? -14 : std::ilogb(size);
  const float place = std::ldexp(1.0f, exponent - 10);
  const float magic = place * 0x1.8p23f;
  const uint32_t count = static_cast<uint32_t>((size + magic - magic) / place);  // of the last place, at most 2048
  return sign | (static_cast<uint32_t>(exponent + 14) * 1024 + count);
}
inline uint32_t packF16(float low, float high) {
  return f16Bits(low) | f16Bits(high) << 16;
}
inline float f16ToFloat(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  const float sign = bits & 0x8000 ? -1.0f : 1.0f;
  if (exponent == 31) return fraction == 0 ? sign * HUGE_VALF : NAN;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(fraction), -24);
  return sign * std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
}

inline uint4 loadStreaming(const uint4* from) {
  return *from;
}
inline void storeStreaming(uint4* to, uint4 value) {
  *to = value;
}

}  // namespace turnwise::cuda
