// Launches of kernels: CUDA's runtime API for them.
#pragma once
#include <tuple>
#include <type_traits>

#include "bulk_copies.h"
#include "device.h"

namespace turnwise::emulation {

constexpr size_t kUsualShared = 48 << 10;  // more needs cudaFuncSetAttribute

/// What the hardware would refuse is refused.
inline cudaError_t geometryOf(const cudaLaunchConfig_t& config, const void* kernel, Geometry& geometry) {
  const dim3& grid = config.gridDim;
  const dim3& block = config.blockDim;
  geometry = {grid, block, 1, config.dynamicSmemBytes};
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    if (config.attrs[i].id != cudaLaunchAttributeClusterDimension) continue;
    const auto& size = config.attrs[i].val.clusterDim;
    if (size.y != 1 || size.z != 1 || size.x == 0) return cudaErrorInvalidValue;
    geometry.cluster = size.x;
  }
  const size_t threads = size_t{block.x} * block.y * block.z;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    return cudaErrorInvalidConfiguration;
  if (threads == 0 || threads > kMaxThreads || block.z > 64) return cudaErrorInvalidConfiguration;
  if (geometry.cluster > 1 && device().capability < 90) return cudaErrorInvalidValue;
  if (geometry.cluster > kMaxCluster || grid.x % geometry.cluster != 0) return cudaErrorInvalidValue;
  const auto allowed = runtime.sharedBytesOf.find(kernel);
  const size_t most = allowed == runtime.sharedBytesOf.end() ? kUsualShared : std::max(kUsualShared, allowed->second);
  return geometry.sharedBytes > most ? cudaErrorInvalidValue : cudaSuccess;
}

/// A pointer that a kernel gets points to memory that the device can reach.
template <class T>
void checkArgument(T value, size_t position) {
  if constexpr (std::is_pointer_v<T> && !std::is_function_v<std::remove_pointer_t<T>>) {
    const void* address = const_cast<const void*>(static_cast<const volatile void*>(value));
    // The end of an allocation is where an empty array may lie.
    const auto* before = static_cast<const unsigned char*>(address) - 1;
    if (address != nullptr && memory.find(address, 0) == nullptr && memory.find(before, 1) == nullptr)
      fail("argument %zu of a kernel points to neither device memory nor pinned memory", position);
  }
}

/// Converts as a call of the kernel would, and no further.
template <class T>
T implicitly(T value) {
  return value;
}

template <class Arguments, size_t... kPositions>
void checkArguments(const Arguments& arguments, std::index_sequence<kPositions...>) {
  (checkArgument(std::get<kPositions>(arguments), kPositions), ...);
}

inline size_t blocksPerMultiProcessor(size_t threads, size_t sharedBytes) {
  const size_t warps = (threads + 31) / 32;
  const size_t byThreads = static_cast<size_t>(device().threadsPerMultiProcessor) / 32 / std::max<size_t>(warps, 1);
  return std::min({byThreads, device().sharedPerMultiProcessor / (sharedBytes + 1024), size_t{32}});
}

}  // namespace turnwise::emulation

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  using namespace turnwise::emulation;
  struct Call {
    void (*kernel)(Parameters...);
    std::tuple<std::decay_t<Parameters>...> arguments;
    Geometry geometry;
    static void body(const void* self) {
      const Call& call = *static_cast<const Call*>(self);
      std::apply(call.kernel, call.arguments);
    }
  };
  static_assert(sizeof(std::tuple<std::decay_t<Parameters>...>) <= 32764, "more arguments than a kernel may have");
  return callRuntime([&] {
    CUstream_st* stream = streamOf(config->stream);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    Geometry geometry;
    const cudaError_t refused = geometryOf(*config, reinterpret_cast<const void*>(kernel), geometry);
    if (refused != cudaSuccess) return refused;
    Call call{kernel, {implicitly<std::decay_t<Parameters>>(arguments)...}, geometry};
    checkArguments(call.arguments, std::index_sequence_for<Parameters...>{});
    if (stream->capture == nullptr) ++runtime.counters.kernelLaunches;
    enqueue(*stream, [call] {
      ++runtime.counters.kernelsRun;
      runKernel(call.geometry, Call::body, &call);
    });
    return cudaSuccess;
  });
}

inline cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  return turnwise::emulation::callRuntime([&] {
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
    if (value < 0 || static_cast<size_t>(value) > turnwise::emulation::device().sharedBytes)
      return cudaErrorInvalidValue;
    turnwise::emulation::runtime.sharedBytesOf[kernel] = static_cast<size_t>(value);
    return cudaSuccess;
  });
}
template <class... Parameters>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Parameters...), cudaFuncAttribute attribute, int value) {
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), attribute, value);
}

/// As if all clusters found a place on one processing cluster: at least one fits.
template <class... Parameters>
cudaError_t cudaOccupancyMaxActiveClusters(int* count, void (*kernel)(Parameters...),
                                           const cudaLaunchConfig_t* config) {
  return turnwise::emulation::callRuntime([&] {
    turnwise::emulation::Geometry geometry;
    const cudaError_t refused =
        turnwise::emulation::geometryOf(*config, reinterpret_cast<const void*>(kernel), geometry);
    if (refused != cudaSuccess) return refused;
    const dim3& block = config->blockDim;
    const size_t blocks =
        turnwise::emulation::blocksPerMultiProcessor(size_t{block.x} * block.y * block.z, geometry.sharedBytes) *
        static_cast<size_t>(turnwise::emulation::device().multiProcessors);
    *count = static_cast<int>(std::max<size_t>(blocks / geometry.cluster, 1));
    return cudaSuccess;
  });
}

template <class... Parameters>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* count, void (*)(Parameters...), int threads,
                                                          size_t sharedBytes) {
  return turnwise::emulation::callRuntime([&] {
    if (threads <= 0 || threads > static_cast<int>(turnwise::emulation::kMaxThreads)) return cudaErrorInvalidValue;
    *count = static_cast<int>(turnwise::emulation::blocksPerMultiProcessor(static_cast<size_t>(threads), sharedBytes));
    return cudaSuccess;
  });
}
