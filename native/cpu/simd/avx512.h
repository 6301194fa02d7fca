// Sixteen floats: AVX-512 F, BW, DQ, VL. Included inside the target region of a kernel file.
//
// Every max and min returns its second operand where one is NaN: the kernels rely on it to keep a NaN alive.
// A pair is two vectors of consecutive elements for f32 and f16, and the even and the odd elements for bf16: a 32-bit
// word shifted left is its even element, masked its odd one, which spares the widening shuffle. Lanes depend on the
// column alone.
#pragma once
#include "../../types.h"
#include "inline.h"

namespace turnwise::cpu::TURNWISE_SIMD {

struct F32 {
  static constexpr size_t kLanes = 16;
  static constexpr bool kFused = true;
  __m512 v;
};

TURNWISE_INLINE F32 broadcast(float a) {
  return {_mm512_set1_ps(a)};
}
TURNWISE_INLINE F32 load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
TURNWISE_INLINE void store(float* p, F32 a) {
  _mm512_storeu_ps(p, a.v);
}
TURNWISE_INLINE F32 add(F32 a, F32 b) {
  return {_mm512_add_ps(a.v, b.v)};
}
TURNWISE_INLINE F32 sub(F32 a, F32 b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
TURNWISE_INLINE F32 mul(F32 a, F32 b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
TURNWISE_INLINE F32 mulAdd(F32 a, F32 b, F32 c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
TURNWISE_INLINE F32 mulSub(F32 a, F32 b, F32 c) {
  return {_mm512_fmsub_ps(a.v, b.v, c.v)};
}
TURNWISE_INLINE F32 max(F32 a, F32 b) {
  return {_mm512_max_ps(a.v, b.v)};
}
TURNWISE_INLINE F32 min(F32 a, F32 b) {
  return {_mm512_min_ps(a.v, b.v)};
}
TURNWISE_INLINE bool anyAbove(F32 a, F32 b) {
  return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ) != 0;
}
/// The low 9 bits of each lane moved to sign and exponent.
TURNWISE_INLINE F32 lowBitsToExponent(F32 a) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a.v), 23))};
}
/// Lanes with 0 < |a| <= bound.
TURNWISE_INLINE unsigned countTiny(F32 a, float bound) {
  const __m512 magnitude = _mm512_abs_ps(a.v);
  const __mmask16 nonzero = _mm512_test_epi32_mask(_mm512_castps_si512(magnitude), _mm512_castps_si512(magnitude));
  return static_cast<unsigned>(
      _mm_popcnt_u32(_mm512_mask_cmp_ps_mask(nonzero, magnitude, _mm512_set1_ps(bound), _CMP_LE_OQ)));
}

template <DType D>
TURNWISE_INLINE void loadPair(const unsigned char* p, F32& a, F32& b) {
  if constexpr (D == DType::f32) {
    a.v = _mm512_loadu_ps(p);
    b.v = _mm512_loadu_ps(p + 64);
  } else if constexpr (D == DType::bf16) {
    const __m512i words = _mm512_loadu_si512(p);
    a.v = _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
    b.v = _mm512_castsi512_ps(_mm512_and_si512(words, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
  } else {
    a.v = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    b.v = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32)));
  }
}

/// Adds what rounds the upper 16 bits to nearest even. A NaN stays one: its lower bits are zero, as they came from
/// bf16.
TURNWISE_INLINE __m512i roundToBf16(F32 a) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __mmask16 odd = _mm512_test_epi32_mask(bits, _mm512_set1_epi32(0x10000));
  return _mm512_add_epi32(bits, _mm512_mask_blend_epi32(odd, _mm512_set1_epi32(0x7fff), _mm512_set1_epi32(0x8000)));
}

template <DType D>
TURNWISE_INLINE void storePair(unsigned char* p, F32 a, F32 b) {
  if constexpr (D == DType::f32) {
    _mm512_storeu_ps(p, a.v);
    _mm512_storeu_ps(p + 64, b.v);
  } else if constexpr (D == DType::bf16) {
    const __m512i even = _mm512_srli_epi32(roundToBf16(a), 16);
    _mm512_storeu_si512(p, _mm512_mask_blend_epi16(0xaaaaaaaau, even, roundToBf16(b)));
  } else {
    constexpr int kNearestEven = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(a.v, kNearestEven));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 32), _mm512_cvtps_ph(b.v, kNearestEven));
  }
}

/// Lane sums in double.
struct F64Sum {
  __m512d v;

  TURNWISE_INLINE F64Sum() : v(_mm512_setzero_pd()) {}
  TURNWISE_INLINE void add(F32 a) {
    const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(a.v));
    const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(a.v, 1));
    v = _mm512_add_pd(v, _mm512_add_pd(low, high));
  }
  TURNWISE_INLINE void addScaled(const F64Sum& a, double factor) {
    v = _mm512_add_pd(v, _mm512_mul_pd(a.v, _mm512_set1_pd(factor)));
  }
  TURNWISE_INLINE void scale(double factor) { v = _mm512_mul_pd(v, _mm512_set1_pd(factor)); }
  TURNWISE_INLINE double total() const { return _mm512_reduce_add_pd(v); }
};

}  // namespace turnwise::cpu::TURNWISE_SIMD
