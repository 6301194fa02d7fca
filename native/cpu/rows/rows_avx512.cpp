// Row kernels for AVX512. The build passes no flags for it: everything after the pragma is compiled for the target.
#include "row_kernels.h"

#if (defined(__x86_64__) || defined(_M_X64)) && (defined(__GNUC__) || defined(__clang__))
// Before the region: a header first seen inside it would compile its inline functions for the target, under names
// shared with the rest of the binary.
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 warns of its own header: the undefined operand of an unmasked intrinsic (gcc.gnu.org/PR105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,popcnt"))),       \
                             apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,popcnt")
#endif

#define TURNWISE_SIMD avx512
#include "../simd/avx512.h"
#include "kernels-inl.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif

namespace turnwise::cpu {
const RowKernels* avx512Kernels() {
  return &avx512::kTable;
}
}  // namespace turnwise::cpu

#else

namespace turnwise::cpu {
const RowKernels* avx512Kernels() {
  return nullptr;
}
}  // namespace turnwise::cpu

#endif
