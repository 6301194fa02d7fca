// The CUDA backend's table, or the sentence that says why this machine has none.
#include <cstdio>

#include "../native/backend.h"
#include "runtime/device.h"
#include "runtime/device_memory.h"

namespace turnwise {

namespace {

constexpr int kOldestCapability = 80;  // Ampere: older cards have no bf16 conversions

/// Filled once, by the first call.
struct Probe {
  bool available = false;
  char why[320] = "";
};

void refuse(Probe& probe, const char* problem, const char* remedy) {
  std::snprintf(probe.why, sizeof probe.why, "%s%s", problem, remedy);
}

/// Whatever the runtime answers but success means: no CUDA. A newer runtime may have codes that this one has no name
/// for, and a machine without a driver answers the same as one whose driver is too old.
void refuse(Probe& probe, cudaError_t error) {
  const char* remedy = error == cudaErrorInsufficientDriver
                           ? ": there is no NVIDIA driver, or one older than this binary needs (580)"
                       : error == cudaErrorNoDevice ? ": the driver shows no device to this process"
                                                    : "";
  char problem[200];
  std::snprintf(problem, sizeof problem, "CUDA error %d, %s", static_cast<int>(error), cudaGetErrorString(error));
  refuse(probe, problem, remedy);
}

Probe look() {
  Probe probe;
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    cudaGetLastError();
    refuse(probe, error);
    return probe;
  }
  if (count == 0) {
    refuse(probe, cudaErrorNoDevice);
    return probe;
  }
  try {
    const cuda::Device& device = cuda::device();
    probe.available = device.capability >= kOldestCapability;
    if (!probe.available) {
      std::snprintf(probe.why, sizeof probe.why, "%s has compute capability %d.%d; 8.0 is the oldest that is supported",
                    device.name, device.capability / 10, device.capability % 10);
    }
  } catch (const cuda::Failure& failure) {
    refuse(probe, failure.error);
  }
  return probe;
}

}  // namespace

const Backend* cudaBackend(const char** why) {
  static const Probe probe = look();
#define TURNWISE_CUDA_SLOT(Record, name) cuda::name,
  static const Backend backend{"cuda", TURNWISE_OPS(TURNWISE_CUDA_SLOT) & cuda::kDeviceMemory};
#undef TURNWISE_CUDA_SLOT
  *why = probe.available ? nullptr : probe.why;
  return probe.available ? &backend : nullptr;
}

}  // namespace turnwise
