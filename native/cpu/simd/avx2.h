// Eight floats: AVX2, FMA, F16C. Included inside the target region of a kernel file. Conventions: avx512.h.
#pragma once
#include "../../types.h"
#include "inline.h"

namespace turnwise::cpu::TURNWISE_SIMD {

struct F32 {
  static constexpr size_t kLanes = 8;
  static constexpr bool kFused = true;
  __m256 v;
};

TURNWISE_INLINE F32 broadcast(float a) {
  return {_mm256_set1_ps(a)};
}
TURNWISE_INLINE F32 load(const float* p) {
  return {_mm256_loadu_ps(p)};
}
TURNWISE_INLINE void store(float* p, F32 a) {
  _mm256_storeu_ps(p, a.v);
}
TURNWISE_INLINE F32 add(F32 a, F32 b) {
  return {_mm256_add_ps(a.v, b.v)};
}
TURNWISE_INLINE F32 sub(F32 a, F32 b) {
  return {_mm256_sub_ps(a.v, b.v)};
}
TURNWISE_INLINE F32 mul(F32 a, F32 b) {
  return {_mm256_mul_ps(a.v, b.v)};
}
TURNWISE_INLINE F32 mulAdd(F32 a, F32 b, F32 c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
TURNWISE_INLINE F32 mulSub(F32 a, F32 b, F32 c) {
  return {_mm256_fmsub_ps(a.v, b.v, c.v)};
}
TURNWISE_INLINE F32 max(F32 a, F32 b) {
  return {_mm256_max_ps(a.v, b.v)};
}
TURNWISE_INLINE F32 min(F32 a, F32 b) {
  return {_mm256_min_ps(a.v, b.v)};
}
TURNWISE_INLINE bool anyAbove(F32 a, F32 b) {
  return _mm256_movemask_ps(_mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ)) != 0;
}
/// The low 9 bits of each lane moved to sign and exponent.
TURNWISE_INLINE F32 lowBitsToExponent(F32 a) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a.v), 23))};
}
/// Lanes with 0 < |a| <= bound.
TURNWISE_INLINE unsigned countTiny(F32 a, float bound) {
  const __m256 magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v);
  const __m256 tiny = _mm256_cmp_ps(magnitude, _mm256_set1_ps(bound), _CMP_LE_OQ);
  const __m256 nonzero = _mm256_cmp_ps(magnitude, _mm256_setzero_ps(), _CMP_GT_OQ);
  return static_cast<unsigned>(
      __builtin_popcount(static_cast<unsigned>(_mm256_movemask_ps(_mm256_and_ps(tiny, nonzero)))));
}

template <DType D>
TURNWISE_INLINE void loadPair(const unsigned char* p, F32& a, F32& b) {
  if constexpr (D == DType::f32) {
    a.v = _mm256_loadu_ps(reinterpret_cast<const float*>(p));
    b.v = _mm256_loadu_ps(reinterpret_cast<const float*>(p + 32));
  } else if constexpr (D == DType::bf16) {
    const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    a.v = _mm256_castsi256_ps(_mm256_slli_epi32(words, 16));
    b.v = _mm256_castsi256_ps(_mm256_and_si256(words, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
  } else {
    a.v = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    b.v = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16)));
  }
}

/// Adds what rounds the upper 16 bits to nearest even. A NaN stays one: its lower bits are zero, as they came from
/// bf16.
TURNWISE_INLINE __m256i roundToBf16(F32 a) {
  const __m256i bits = _mm256_castps_si256(a.v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  return _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
}

template <DType D>
TURNWISE_INLINE void storePair(unsigned char* p, F32 a, F32 b) {
  if constexpr (D == DType::f32) {
    _mm256_storeu_ps(reinterpret_cast<float*>(p), a.v);
    _mm256_storeu_ps(reinterpret_cast<float*>(p + 32), b.v);
  } else if constexpr (D == DType::bf16) {
    const __m256i even = _mm256_srli_epi32(roundToBf16(a), 16);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_blend_epi16(even, roundToBf16(b), 0xaa));
  } else {
    constexpr int kNearestEven = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(a.v, kNearestEven));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 16), _mm256_cvtps_ph(b.v, kNearestEven));
  }
}

/// Lane sums in double.
struct F64Sum {
  __m256d v;

  TURNWISE_INLINE F64Sum() : v(_mm256_setzero_pd()) {}
  TURNWISE_INLINE void add(F32 a) {
    const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(a.v));
    const __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(a.v, 1));
    v = _mm256_add_pd(v, _mm256_add_pd(low, high));
  }
  TURNWISE_INLINE void addScaled(const F64Sum& a, double factor) {
    v = _mm256_add_pd(v, _mm256_mul_pd(a.v, _mm256_set1_pd(factor)));
  }
  TURNWISE_INLINE void scale(double factor) { v = _mm256_mul_pd(v, _mm256_set1_pd(factor)); }
  TURNWISE_INLINE double total() const {
    double lanes[4];
    _mm256_storeu_pd(lanes, v);
    return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
  }
};

}  // namespace turnwise::cpu::TURNWISE_SIMD
