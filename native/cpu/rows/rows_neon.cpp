// Row kernels for NEON, which every aarch64 has.
#include "row_kernels.h"

#if defined(__aarch64__)

#define TURNWISE_SIMD neon
#include "../simd/neon.h"
#include "kernels-inl.h"

namespace turnwise::cpu {
const RowKernels* neonKernels() {
  return &neon::kTable;
}
}  // namespace turnwise::cpu

#else

namespace turnwise::cpu {
const RowKernels* neonKernels() {
  return nullptr;
}
}  // namespace turnwise::cpu

#endif
