// Errors of the CUDA runtime on their way to a Status.
#pragma once
#include "../../native/backend.h"
#include "../device/platform.cuh"

namespace turnwise::cuda {

/// Thrown where a runtime call fails; step.h turns it into a status.
struct Failure {
  cudaError_t error;
};

inline void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // what is not sticky is reported once
  throw Failure{error};
}

}  // namespace turnwise::cuda
