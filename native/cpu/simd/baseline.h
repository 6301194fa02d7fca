// Four floats on any machine: SSE2 on x86-64, plain loops elsewhere. Conventions: avx512.h.
//
// No fused multiply-add here: mulAdd rounds twice, and the kernels then reduce exponents in another way (exp2-inl.h).
#pragma once
#if defined(__SSE2__) || defined(_M_X64)
#define TURNWISE_BASELINE_SSE2 1
#include <emmintrin.h>
#endif

#include "../../types.h"
#include "half.h"
#include "inline.h"

namespace turnwise::cpu::TURNWISE_SIMD {

#if defined(TURNWISE_BASELINE_SSE2)

struct F32 {
  static constexpr size_t kLanes = 4;
  static constexpr bool kFused = false;
  __m128 v;
};

TURNWISE_INLINE F32 broadcast(float a) {
  return {_mm_set1_ps(a)};
}
TURNWISE_INLINE F32 load(const float* p) {
  return {_mm_loadu_ps(p)};
}
TURNWISE_INLINE void store(float* p, F32 a) {
  _mm_storeu_ps(p, a.v);
}
TURNWISE_INLINE F32 add(F32 a, F32 b) {
  return {_mm_add_ps(a.v, b.v)};
}
TURNWISE_INLINE F32 sub(F32 a, F32 b) {
  return {_mm_sub_ps(a.v, b.v)};
}
TURNWISE_INLINE F32 mul(F32 a, F32 b) {
  return {_mm_mul_ps(a.v, b.v)};
}
TURNWISE_INLINE F32 max(F32 a, F32 b) {
  return {_mm_max_ps(a.v, b.v)};
}
TURNWISE_INLINE F32 min(F32 a, F32 b) {
  return {_mm_min_ps(a.v, b.v)};
}
TURNWISE_INLINE bool anyAbove(F32 a, F32 b) {
  return _mm_movemask_ps(_mm_cmpgt_ps(a.v, b.v)) != 0;
}
TURNWISE_INLINE F32 lowBitsToExponent(F32 a) {
  return {_mm_castsi128_ps(_mm_slli_epi32(_mm_castps_si128(a.v), 23))};
}

/// Lane sums in double.
struct F64Sum {
  __m128d v = _mm_setzero_pd();

  TURNWISE_INLINE void add(F32 a) {
    v = _mm_add_pd(v, _mm_add_pd(_mm_cvtps_pd(a.v), _mm_cvtps_pd(_mm_movehl_ps(a.v, a.v))));
  }
  TURNWISE_INLINE void addScaled(const F64Sum& a, double factor) {
    v = _mm_add_pd(v, _mm_mul_pd(a.v, _mm_set1_pd(factor)));
  }
  TURNWISE_INLINE void scale(double factor) { v = _mm_mul_pd(v, _mm_set1_pd(factor)); }
  TURNWISE_INLINE double total() const { return _mm_cvtsd_f64(v) + _mm_cvtsd_f64(_mm_unpackhi_pd(v, v)); }
};

#else

struct F32 {
  static constexpr size_t kLanes = 4;
  static constexpr bool kFused = false;
  float v[4];
};

#define TURNWISE_LANEWISE(expression)                                                                                  \
  F32 result;                                                                                                          \
  for (int i = 0; i < 4; ++i) result.v[i] = expression;                                                                \
  return result
TURNWISE_INLINE F32 broadcast(float a) {
  return {{a, a, a, a}};
}
TURNWISE_INLINE F32 load(const float* p) {
  return {{p[0], p[1], p[2], p[3]}};
}
TURNWISE_INLINE void store(float* p, F32 a) {
  std::memcpy(p, a.v, sizeof a.v);
}
TURNWISE_INLINE F32 add(F32 a, F32 b) {
  TURNWISE_LANEWISE(a.v[i] + b.v[i]);
}
TURNWISE_INLINE F32 sub(F32 a, F32 b) {
  TURNWISE_LANEWISE(a.v[i] - b.v[i]);
}
TURNWISE_INLINE F32 mul(F32 a, F32 b) {
  TURNWISE_LANEWISE(a.v[i] * b.v[i]);
}
TURNWISE_INLINE F32 max(F32 a, F32 b) {
  TURNWISE_LANEWISE(a.v[i] > b.v[i] ? a.v[i] : b.v[i]);
}
TURNWISE_INLINE F32 min(F32 a, F32 b) {
  TURNWISE_LANEWISE(a.v[i] < b.v[i] ? a.v[i] : b.v[i]);
}
TURNWISE_INLINE F32 lowBitsToExponent(F32 a) {
  TURNWISE_LANEWISE(floatOf(bitsOf(a.v[i]) << 23));
}
#undef TURNWISE_LANEWISE
TURNWISE_INLINE bool anyAbove(F32 a, F32 b) {
  return a.v[0] > b.v[0] || a.v[1] > b.v[1] || a.v[2] > b.v[2] || a.v[3] > b.v[3];
}

/// Lane sums in double.
struct F64Sum {
  double v[2] = {0, 0};

  TURNWISE_INLINE void add(F32 a) {
    v[0] += static_cast<double>(a.v[0]) + a.v[2];
    v[1] += static_cast<double>(a.v[1]) + a.v[3];
  }
  TURNWISE_INLINE void addScaled(const F64Sum& a, double factor) {
    v[0] += a.v[0] * factor;
    v[1] += a.v[1] * factor;
  }
  TURNWISE_INLINE void scale(double factor) {
    v[0] *= factor;
    v[1] *= factor;
  }
  TURNWISE_INLINE double total() const { return v[0] + v[1]; }
};

#endif

TURNWISE_INLINE F32 mulAdd(F32 a, F32 b, F32 c) {
  return add(mul(a, b), c);
}
TURNWISE_INLINE F32 mulSub(F32 a, F32 b, F32 c) {
  return sub(mul(a, b), c);
}

/// Lanes with 0 < |a| <= bound.
TURNWISE_INLINE unsigned countTiny(F32 a, float bound) {
  float lanes[4];
  store(lanes, a);
  unsigned count = 0;
  for (float lane : lanes) count += lane != 0 && lane <= bound && -lane <= bound;
  return count;
}

template <DType D>
TURNWISE_INLINE void loadPair(const unsigned char* p, F32& a, F32& b) {
  if constexpr (D == DType::f32) {
    float lanes[8];
    std::memcpy(lanes, p, sizeof lanes);
    a = load(lanes);
    b = load(lanes + 4);
  } else if constexpr (D == DType::bf16) {
    float even[4], odd[4];
    for (size_t i = 0; i < 4; ++i) {
      even[i] = loadElement(p, DType::bf16, 2 * i);
      odd[i] = loadElement(p, DType::bf16, 2 * i + 1);
    }
    a = load(even);
    b = load(odd);
  } else {
    float lanes[8];
    for (size_t i = 0; i < 8; ++i) lanes[i] = loadElement(p, DType::f16, i);
    a = load(lanes);
    b = load(lanes + 4);
  }
}

template <DType D>
TURNWISE_INLINE void storePair(unsigned char* p, F32 a, F32 b) {
  float lanes[8];
  store(lanes, a);
  store(lanes + 4, b);
  if constexpr (D == DType::f32) {
    std::memcpy(p, lanes, sizeof lanes);
  } else {
    for (size_t i = 0; i < 8; ++i) {
      const size_t lane = D == DType::bf16 ? i / 2 + 4 * (i % 2) : i;
      storeElement(p, D, i, lanes[lane]);
    }
  }
}

}  // namespace turnwise::cpu::TURNWISE_SIMD
