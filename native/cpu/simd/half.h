// One 16-bit float at a time: what the kernels use where the hardware has no conversion, and the ops for single
// elements. Rounding is to nearest even everywhere; a NaN becomes the quiet NaN 0x7fc0 (bf16) or 0x7e00 (f16).
//
// Never called inside an AVX target region: these are plain inline functions, shared by the whole binary.
#pragma once
#include <cstring>

#include "../../types.h"

namespace turnwise::cpu {

inline uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float floatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline float floatFromBf16(uint16_t bits) {
  return floatOf(static_cast<uint32_t>(bits) << 16);
}

inline uint16_t bf16FromFloat(float value) {
  if (value != value) return 0x7fc0;
  const uint32_t bits = bitsOf(value);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

inline float floatFromF16(uint16_t bits) {
  const uint32_t sign = (bits & 0x8000u) << 16;
  const uint32_t magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return floatOf(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));  // inf, NaN
  if (magnitude < 0x400u) {  // subnormal: an integer times 2^-24, exact in f32
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return sign ? -value : value;
  }
  return floatOf(sign | ((magnitude << 13) + (112u << 23)));
}

inline uint16_t f16FromFloat(float value) {
  if (value != value) return 0x7e00;
  const uint32_t bits = bitsOf(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65520 and above round to inf
  if (magnitude < 0x38800000u) {  // below 2^-14: adding 1/2 leaves the rounded multiple of 2^-24 in the low bits
    const float shifted = floatOf(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (bitsOf(shifted) - bitsOf(0.5f)));
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u) - (112u << 23);
  return static_cast<uint16_t>(sign | (rounded >> 13));
}

/// Element `i` of a row.
inline float loadElement(const unsigned char* row, DType dtype, size_t i) {
  if (dtype == DType::f32) {
    float value;
    std::memcpy(&value, row + 4 * i, sizeof value);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, row + 2 * i, sizeof bits);
  return dtype == DType::bf16 ? floatFromBf16(bits) : floatFromF16(bits);
}

/// Writes element `i` of a row; returns whether rounding to 16 bits made a nonzero value zero.
inline bool storeElement(unsigned char* row, DType dtype, size_t i, float value) {
  if (dtype == DType::f32) {
    std::memcpy(row + 4 * i, &value, sizeof value);
    return false;
  }
  const uint16_t bits = dtype == DType::bf16 ? bf16FromFloat(value) : f16FromFloat(value);
  std::memcpy(row + 2 * i, &bits, sizeof bits);
  return value != 0 && (bits & 0x7fffu) == 0;
}

}  // namespace turnwise::cpu
