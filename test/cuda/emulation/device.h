// The device that is emulated, and what every call of the runtime API has in common: the lock, planned failures, the
// last error.
//
// TURNWISE_EMULATION_DEVICE = 90 (default) | 80 | 120 | none | old-driver
// TURNWISE_EMULATION_SHARED = bytes of shared memory that a block may have
// TURNWISE_EMULATION_MEMORY = bytes of device memory
// TURNWISE_EMULATION_THREADS = threads that a block may have (1024)
// TURNWISE_EMULATION_MULTIPROCESSORS (4)
// They are read at the first call.
#pragma once
#include <thread>
#include <utility>

#include "streams.h"

namespace turnwise::emulation {

struct Device {
  cudaError_t absent = cudaSuccess;  // or why there is none
  int capability = 90;
  size_t sharedBytes = 0;
  int multiProcessors = 4;
  int threadsPerBlock = kMaxThreads;
  int threadsPerMultiProcessor = 2048;
  size_t sharedPerMultiProcessor = 0;
  size_t l2Bytes = 4 << 20;

  Device() {
    const char* setting = std::getenv("TURNWISE_EMULATION_DEVICE");
    const std::string kind = setting == nullptr || *setting == '\0' ? "90" : setting;
    if (kind == "none") {
      absent = cudaErrorNoDevice;
    } else if (kind == "old-driver") {
      absent = cudaErrorInsufficientDriver;
    } else if (kind == "90" || kind == "80" || kind == "120") {
      capability = std::atoi(kind.c_str());
    } else {
      fail("TURNWISE_EMULATION_DEVICE is 90, 80, 120, none or old-driver, not '%s'", setting);
    }
    if (capability == 120) threadsPerMultiProcessor = 1536;
    const size_t usual = capability == 90 ? 232448 : capability == 80 ? 166912 : 101376;
    sharedBytes = numberFrom("TURNWISE_EMULATION_SHARED", usual);
    if (sharedBytes > kMaxShared) fail("TURNWISE_EMULATION_SHARED is at most %zu", kMaxShared);
    sharedPerMultiProcessor = sharedBytes + 1024;
    memory.limit(numberFrom("TURNWISE_EMULATION_MEMORY", size_t{4} << 30));
    threadsPerBlock = static_cast<int>(numberFrom("TURNWISE_EMULATION_THREADS", kMaxThreads));
    multiProcessors = static_cast<int>(numberFrom("TURNWISE_EMULATION_MULTIPROCESSORS", 4));
  }

 private:
  static size_t numberFrom(const char* name, size_t usual) {
    const char* setting = std::getenv(name);
    return setting == nullptr || *setting == '\0' ? usual : std::strtoull(setting, nullptr, 10);
  }
};

inline const Device& device() {
  static const Device& only = *new Device;
  return only;
}

inline thread_local cudaError_t lastError = cudaSuccess;
/// The host thread that runs device work: a host function must not call the runtime API.
inline thread_local bool inHostFunction = false;

inline bool isSticky(cudaError_t error) {
  return error == cudaErrorIllegalAddress || error == cudaErrorLaunchFailure;
}

/// Of a call that does what `body` does. `always` bodies run in spite of a sticky error, which is what is returned: a
/// process that lost its device still gives back memory.
template <class Body>
cudaError_t callRuntime(Body body, bool always = false) {
  if (inHostFunction) return lastError = cudaErrorNotPermitted;
  if (device().absent != cudaSuccess) return lastError = device().absent;
  const std::lock_guard<std::mutex> lock(runtime.mutex);
  Quiet quiet;
  if (runtime.sticky != cudaSuccess) {
    if (always) body();
    return lastError = runtime.sticky;
  }
  if (runtime.next != cudaSuccess && runtime.callsBefore-- == 0) {
    const cudaError_t error = std::exchange(runtime.next, cudaSuccess);
    if (isSticky(error)) runtime.sticky = error;
    return lastError = error;
  }
  const cudaError_t error = body();
  if (error != cudaSuccess && error != cudaErrorNotReady) lastError = error;
  return error;
}

/// Of a call that synchronises or allocates, and so may not come while a stream is captured.
template <class Body>
cudaError_t callOutsideCapture(Body body, bool always = false) {
  const auto guarded = [&] {
    if (!capturing()) return body();
    for (CUstream_st* stream : runtime.streams)
      if (stream->capture != nullptr) stream->capture->invalid = true;
    return cudaErrorStreamCaptureUnsupported;
  };
  return callRuntime(guarded, always);
}

}  // namespace turnwise::emulation

// ------------------------------------------------------------------------------------------------------- for tests

extern "C" {
/// Of the calls of the runtime API, `after` more succeed and the next fails. 700 and 719 stay.
__attribute__((used, visibility("default"))) inline void emulatedFailNext(cudaError_t error, int after) {
  const std::lock_guard<std::mutex> lock(turnwise::emulation::runtime.mutex);
  turnwise::emulation::runtime.next = error;
  turnwise::emulation::runtime.callsBefore = after;
}

__attribute__((used, visibility("default"))) inline EmulatedCounters emulatedCounters() {
  const std::lock_guard<std::mutex> lock(turnwise::emulation::runtime.mutex);
  return turnwise::emulation::runtime.counters;
}
}

// ------------------------------------------------------------------------------------------------------- errors

inline const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define TURNWISE_ERROR(name)                                                                                           \
  case name:                                                                                                           \
    return #name;
    TURNWISE_ERROR(cudaSuccess)
    TURNWISE_ERROR(cudaErrorInvalidValue)
    TURNWISE_ERROR(cudaErrorMemoryAllocation)
    TURNWISE_ERROR(cudaErrorInvalidConfiguration)
    TURNWISE_ERROR(cudaErrorInsufficientDriver)
    TURNWISE_ERROR(cudaErrorNoDevice)
    TURNWISE_ERROR(cudaErrorInvalidDevice)
    TURNWISE_ERROR(cudaErrorInvalidResourceHandle)
    TURNWISE_ERROR(cudaErrorNotReady)
    TURNWISE_ERROR(cudaErrorIllegalAddress)
    TURNWISE_ERROR(cudaErrorLaunchFailure)
    TURNWISE_ERROR(cudaErrorNotPermitted)
    TURNWISE_ERROR(cudaErrorStreamCaptureUnsupported)
    TURNWISE_ERROR(cudaErrorStreamCaptureInvalidated)
    TURNWISE_ERROR(cudaErrorStreamCaptureUnjoined)
    TURNWISE_ERROR(cudaErrorStreamCaptureIsolation)
#undef TURNWISE_ERROR
  }
  return "unrecognized error code";
}

inline const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorInsufficientDriver:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorInvalidResourceHandle:
      return "invalid resource handle";
    case cudaErrorNotReady:
      return "device not ready";
    case cudaErrorIllegalAddress:
      return "an illegal memory access was encountered";
    case cudaErrorLaunchFailure:
      return "unspecified launch failure";
    default:
      return cudaGetErrorName(error);
  }
}

inline cudaError_t cudaPeekAtLastError() {
  return turnwise::emulation::lastError;
}
inline cudaError_t cudaGetLastError() {
  const cudaError_t error = turnwise::emulation::lastError;
  if (!turnwise::emulation::isSticky(error)) turnwise::emulation::lastError = cudaSuccess;
  return error;
}

// ------------------------------------------------------------------------------------------------------- the device

inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  return turnwise::emulation::callRuntime([&] {
    *count = 1;
    return cudaSuccess;
  });
}

inline cudaError_t cudaGetDevice(int* number) {
  return turnwise::emulation::callRuntime([&] {
    *number = 0;
    return cudaSuccess;
  });
}

inline cudaError_t cudaSetDevice(int number) {
  return turnwise::emulation::callRuntime([&] { return number == 0 ? cudaSuccess : cudaErrorInvalidDevice; });
}

inline cudaError_t cudaDriverGetVersion(int* version) {
  *version = turnwise::emulation::device().absent == cudaErrorInsufficientDriver ? 11000 : 13000;
  return cudaSuccess;
}

inline cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int number) {
  return turnwise::emulation::callRuntime([&] {
    const auto& device = turnwise::emulation::device();
    if (number != 0) return cudaErrorInvalidDevice;
    switch (attribute) {
      case cudaDevAttrMaxThreadsPerBlock:
        return *value = device.threadsPerBlock, cudaSuccess;
      case cudaDevAttrMaxSharedMemoryPerBlock:
        return *value = 48 << 10, cudaSuccess;
      case cudaDevAttrWarpSize:
        return *value = warpSize, cudaSuccess;
      case cudaDevAttrMultiProcessorCount:
        return *value = device.multiProcessors, cudaSuccess;
      case cudaDevAttrL2CacheSize:
        return *value = static_cast<int>(device.l2Bytes), cudaSuccess;
      case cudaDevAttrMaxThreadsPerMultiProcessor:
        return *value = device.threadsPerMultiProcessor, cudaSuccess;
      case cudaDevAttrComputeCapabilityMajor:
        return *value = device.capability / 10, cudaSuccess;
      case cudaDevAttrComputeCapabilityMinor:
        return *value = device.capability % 10, cudaSuccess;
      case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        return *value = static_cast<int>(device.sharedPerMultiProcessor), cudaSuccess;
      case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        return *value = static_cast<int>(device.sharedBytes), cudaSuccess;
      case cudaDevAttrReservedSharedMemoryPerBlock:
        return *value = 1024, cudaSuccess;
      case cudaDevAttrCooperativeLaunch:
      case cudaDevAttrMemoryPoolsSupported:
        return *value = 1, cudaSuccess;
      case cudaDevAttrClusterLaunch:
        return *value = device.capability >= 90, cudaSuccess;
    }
    return cudaErrorInvalidValue;
  });
}

inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int number) {
  return turnwise::emulation::callRuntime([&] {
    const auto& device = turnwise::emulation::device();
    if (number != 0) return cudaErrorInvalidDevice;
    *properties = {};
    std::snprintf(properties->name, sizeof properties->name, "Emulated CUDA device %d.%d", device.capability / 10,
                  device.capability % 10);
    properties->totalGlobalMem = turnwise::emulation::memory.capacity();
    properties->sharedMemPerBlock = 48 << 10;
    properties->sharedMemPerBlockOptin = device.sharedBytes;
    properties->warpSize = warpSize;
    properties->maxThreadsPerBlock = turnwise::emulation::kMaxThreads;
    properties->maxThreadsPerMultiProcessor = device.threadsPerMultiProcessor;
    properties->major = device.capability / 10;
    properties->minor = device.capability % 10;
    properties->multiProcessorCount = device.multiProcessors;
    properties->l2CacheSize = static_cast<int>(device.l2Bytes);
    return cudaSuccess;
  });
}
