// Which SIMD target runs: the best that this machine has, chosen once, or the one that a test asks for.
#pragma once
#include <vector>

#include "rows/row_kernels.h"

namespace turnwise::cpu {

/// Targets of this machine and build, best first: "avx512", "avx2", "neon", "baseline". Baseline is always there.
const std::vector<const char*>& simdTargets();
/// The target in use.
const char* simdTarget();
/// Uses another target from the next op on, in every thread of the process; false where there is none of this name.
bool setSimdTarget(const char* name);

/// The row kernels of the target in use. Read once per op: it may change between two calls.
const RowKernels& rowKernels();

}  // namespace turnwise::cpu
