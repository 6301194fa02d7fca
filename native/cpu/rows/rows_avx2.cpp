// Row kernels for AVX2. The build passes no flags for it: everything after the pragma is compiled for the target.
#include "row_kernels.h"

#if (defined(__x86_64__) || defined(_M_X64)) && (defined(__GNUC__) || defined(__clang__))
// Before the region: a header first seen inside it would compile its inline functions for the target, under names
// shared with the rest of the binary.
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,popcnt"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,popcnt")
#endif

#define TURNWISE_SIMD avx2
#include "../simd/avx2.h"
#include "kernels-inl.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif

namespace turnwise::cpu {
const RowKernels* avx2Kernels() {
  return &avx2::kTable;
}
}  // namespace turnwise::cpu

#else

namespace turnwise::cpu {
const RowKernels* avx2Kernels() {
  return nullptr;
}
}  // namespace turnwise::cpu

#endif
