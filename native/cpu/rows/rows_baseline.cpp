// Row kernels that run on any machine.
#include "row_kernels.h"

#define TURNWISE_SIMD baseline
#include "../simd/baseline.h"
#include "kernels-inl.h"

namespace turnwise::cpu {
const RowKernels* baselineKernels() {
  return &baseline::kTable;
}
}  // namespace turnwise::cpu
