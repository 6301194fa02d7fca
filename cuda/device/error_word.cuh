// The first error of a step, as kernels find it: smallest position, then smallest code.
//
// It leaves the device with the results. A kernel that finds it set does nothing: what it would read may be nonsense.
#pragma once
#include "../../native/backend.h"
#include "platform.cuh"

namespace turnwise::cuda {

struct ErrorWord {
  static constexpr unsigned long long kNone = ~0ull;
  /// (position + 1) << 8 | code, so that an error without a position (-1) comes first.
  unsigned long long first;
};

__device__ inline void report(ErrorWord* error, StatusCode code, int64_t position = -1) {
  atomicMin(&error->first, static_cast<unsigned long long>(position + 1) << 8 | static_cast<unsigned long long>(code));
}

/// Of an earlier kernel of the step; ask before any block of this one may report.
__device__ inline bool failed(const ErrorWord* error) {
  return *reinterpret_cast<const volatile unsigned long long*>(&error->first) != ErrorWord::kNone;
}

inline Status statusOf(const ErrorWord& error) {
  if (error.first == ErrorWord::kNone) return {};
  return {static_cast<StatusCode>(error.first & 0xff), static_cast<int64_t>(error.first >> 8) - 1};
}

}  // namespace turnwise::cuda
