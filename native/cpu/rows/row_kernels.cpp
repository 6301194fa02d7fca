// What the row kernels of every SIMD target share, in plain double.
#include "row_kernels.h"

#include "../../math/libm.h"
#include "../simd/half.h"

namespace turnwise::cpu {

RowScale::RowScale(double t) : temperature(t), perUnit(kLog2E / t), k(static_cast<float>(perUnit)) {
  // 16 significant bits: times an integer of 8 bits it is exact.
  stepHigh = floatOf(bitsOf(static_cast<float>(kLn2 * t)) & 0xffffff00u);
  stepLow = static_cast<float>(kLn2 * t - stepHigh);
}

double powerOfTwo(double x) {
  return turnwise::exp(x * kLn2);
}

}  // namespace turnwise::cpu
