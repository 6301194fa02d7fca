// The inner loops over one row, or a column range of it: one table of functions per SIMD target.
//
// A table is chosen once per call of an op (cpu_features.h). Everything outside the inner loops is plain C++ in double.
#pragma once
#include <cmath>  // these two for the bodies, which cannot include them inside a target region
#include <cstring>

#include "../../rows/segment_sum.h"
#include "../../types.h"

namespace turnwise::cpu {

/// What depends on the temperature alone.
struct RowScale {
  explicit RowScale(double temperature);

  double temperature;
  double perUnit;           // log2(e) / T: powers of two per unit of a logit
  float k;                  // the same in f32
  float stepHigh, stepLow;  // T ln 2 = 1 / perUnit as a short float and its rest
};

// ---- 2^x, as exp2-inl.h computes it

/// Twice the coefficients of 2^f, constant term first.
constexpr double kExp2[6] = {2.0,
                             2 * 0.6931470036506653,
                             2 * 0.24022246897220612,
                             2 * 0.055507220327854156,
                             2 * 0.009671134874224663,
                             2 * 0.0013262276770547032};
/// Exponent bias of the scale: 127, less the one that the doubled polynomial holds.
constexpr int kExponentBias = 126;
/// 1.5 * 2^23: a float of this size counts in ones.
constexpr double kMagic = 12582912.0;
/// Integers c below this leave kMagic - c, and what is added to it, between 2^23 and 2^24.
constexpr double kLargestShift = 4e6;

/// Constants of out = 2^(k (z - base) - c) * factor, with the exponent's bias and the factor folded in. See exp2-inl.h.
/// Where entropy has a coefficient, out is times constant + linear x + quadratic x^2, x = z - near.
struct GradientRow {
  bool shifted;  // base is used
  float base;
  float magic;
  float floor;
  float polynomial[6];
  ptrdiff_t readAhead;  // bytes
  float near;           // base, where that is used
  float constant, linear, quadratic;
  float mayUnderflow;  // no logit from here on gives a value that bf16 rounds to 0
};

struct RowKernels {
  using Forward = SegmentSum (*)(const unsigned char* columns, size_t count, const RowScale& scale);
  /// Returns how many elements rounding to 16 bits made zero. `gradient` may be `columns`.
  using Gradient = uint64_t (*)(const unsigned char* columns, unsigned char* gradient, size_t count,
                                const RowScale& scale, const GradientRow& row);

  const char* name;
  bool fused;               // multiply-adds round once, so that k is applied to the logit itself
  Forward forward[3][2];    // [DType][entropy wanted]
  Gradient gradient[3][2];  // [DType][entropy has a coefficient]
};

/// Powers of two per unit of a logit, as the kernels of this table apply it.
inline double perUnit(const RowKernels& kernels, const RowScale& scale) {
  return kernels.fused ? static_cast<double>(scale.k) : scale.perUnit;
}

/// 2^x in double. A call, because nothing inline may be shared between SIMD targets.
double powerOfTwo(double x);

// Tables that this build may have; null where the compiler or architecture lacks the target.
const RowKernels* baselineKernels();
const RowKernels* avx2Kernels();
const RowKernels* avx512Kernels();
const RowKernels* neonKernels();

}  // namespace turnwise::cpu
