// Four floats: NEON of every aarch64. Conventions: avx512.h (max and min return NaN where either operand is NaN, which
// keeps a NaN alive as well).
#pragma once
#include <arm_neon.h>

#include "../../types.h"
#include "inline.h"

namespace turnwise::cpu::TURNWISE_SIMD {

struct F32 {
  static constexpr size_t kLanes = 4;
  static constexpr bool kFused = true;
  float32x4_t v;
};

TURNWISE_INLINE F32 broadcast(float a) {
  return {vdupq_n_f32(a)};
}
TURNWISE_INLINE F32 load(const float* p) {
  return {vld1q_f32(p)};
}
TURNWISE_INLINE void store(float* p, F32 a) {
  vst1q_f32(p, a.v);
}
TURNWISE_INLINE F32 add(F32 a, F32 b) {
  return {vaddq_f32(a.v, b.v)};
}
TURNWISE_INLINE F32 sub(F32 a, F32 b) {
  return {vsubq_f32(a.v, b.v)};
}
TURNWISE_INLINE F32 mul(F32 a, F32 b) {
  return {vmulq_f32(a.v, b.v)};
}
TURNWISE_INLINE F32 mulAdd(F32 a, F32 b, F32 c) {
  return {vfmaq_f32(c.v, a.v, b.v)};
}
TURNWISE_INLINE F32 mulSub(F32 a, F32 b, F32 c) {
  return {vfmaq_f32(vnegq_f32(c.v), a.v, b.v)};
}
TURNWISE_INLINE F32 max(F32 a, F32 b) {
  return {vmaxq_f32(a.v, b.v)};
}
TURNWISE_INLINE F32 min(F32 a, F32 b) {
  return {vminq_f32(a.v, b.v)};
}
TURNWISE_INLINE bool anyAbove(F32 a, F32 b) {
  return vmaxvq_u32(vcgtq_f32(a.v, b.v)) != 0;
}
/// The low 9 bits of each lane moved to sign and exponent.
TURNWISE_INLINE F32 lowBitsToExponent(F32 a) {
  return {vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(a.v), 23))};
}
/// Lanes with 0 < |a| <= bound.
TURNWISE_INLINE unsigned countTiny(F32 a, float bound) {
  const float32x4_t magnitude = vabsq_f32(a.v);
  const uint32x4_t tiny = vandq_u32(vcleq_f32(magnitude, vdupq_n_f32(bound)), vcgtq_f32(magnitude, vdupq_n_f32(0)));
  return vaddvq_u32(vshrq_n_u32(tiny, 31));
}

template <DType D>
TURNWISE_INLINE void loadPair(const unsigned char* p, F32& a, F32& b) {
  if constexpr (D == DType::f32) {
    a.v = vreinterpretq_f32_u8(vld1q_u8(p));
    b.v = vreinterpretq_f32_u8(vld1q_u8(p + 16));
  } else if constexpr (D == DType::bf16) {
    const uint32x4_t words = vreinterpretq_u32_u8(vld1q_u8(p));
    a.v = vreinterpretq_f32_u32(vshlq_n_u32(words, 16));
    b.v = vreinterpretq_f32_u32(vandq_u32(words, vdupq_n_u32(0xffff0000u)));
  } else {
    const float16x8_t halves = vreinterpretq_f16_u8(vld1q_u8(p));
    a.v = vcvt_f32_f16(vget_low_f16(halves));
    b.v = vcvt_high_f32_f16(halves);
  }
}

/// Adds what rounds the upper 16 bits to nearest even. A NaN stays one: its lower bits are zero, as they came from
/// bf16.
TURNWISE_INLINE uint32x4_t roundToBf16(F32 a) {
  const uint32x4_t bits = vreinterpretq_u32_f32(a.v);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  return vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
}

template <DType D>
TURNWISE_INLINE void storePair(unsigned char* p, F32 a, F32 b) {
  if constexpr (D == DType::f32) {
    vst1q_u8(p, vreinterpretq_u8_f32(a.v));
    vst1q_u8(p + 16, vreinterpretq_u8_f32(b.v));
  } else if constexpr (D == DType::bf16) {
    vst1q_u8(p, vreinterpretq_u8_u32(vsriq_n_u32(roundToBf16(b), roundToBf16(a), 16)));
  } else {
    vst1q_u8(p, vreinterpretq_u8_f16(vcvt_high_f16_f32(vcvt_f16_f32(a.v), b.v)));
  }
}

/// Lane sums in double.
struct F64Sum {
  float64x2_t v = vdupq_n_f64(0);

  TURNWISE_INLINE void add(F32 a) {
    v = vaddq_f64(v, vaddq_f64(vcvt_f64_f32(vget_low_f32(a.v)), vcvt_high_f64_f32(a.v)));
  }
  TURNWISE_INLINE void addScaled(const F64Sum& a, double factor) { v = vaddq_f64(v, vmulq_n_f64(a.v, factor)); }
  TURNWISE_INLINE void scale(double factor) { v = vmulq_n_f64(v, factor); }
  TURNWISE_INLINE double total() const { return vaddvq_f64(v); }
};

}  // namespace turnwise::cpu::TURNWISE_SIMD
