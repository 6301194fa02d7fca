// Memory and copies: CUDA's runtime API for them.
#pragma once
#include "device.h"

namespace turnwise::emulation {

/// Whether both ends are what the direction says; cudaMemcpyDefault becomes what they are. Memory that nobody has
/// allocated here is pageable host memory.
inline bool endsFit(const void* to, const void* from, size_t bytes, cudaMemcpyKind& kind) {
  const bool toDevice = memory.touchesDevice(to, bytes);
  const bool fromDevice = memory.touchesDevice(from, bytes);
  if (toDevice && !memory.isDevice(to, bytes)) return false;
  if (fromDevice && !memory.isDevice(from, bytes)) return false;
  const cudaMemcpyKind is = toDevice ? (fromDevice ? cudaMemcpyDeviceToDevice : cudaMemcpyHostToDevice)
                                     : (fromDevice ? cudaMemcpyDeviceToHost : cudaMemcpyHostToHost);
  if (kind == cudaMemcpyDefault) kind = is;
  return kind == is;
}

inline void copyNow(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  DeviceRuns runs;
  std::memcpy(to, from, bytes);
  if (kind == cudaMemcpyHostToDevice) runtime.counters.bytesToDevice += bytes;
  if (kind == cudaMemcpyDeviceToHost) runtime.counters.bytesToHost += bytes;
  if (kind == cudaMemcpyDeviceToDevice) runtime.counters.bytesOnDevice += bytes;
}

inline cudaError_t allocate(void** to, size_t bytes, Memory::Kind kind) {
  if (to == nullptr) return cudaErrorInvalidValue;
  *to = nullptr;
  if (bytes == 0) return cudaSuccess;
  *to = memory.allocate(bytes, kind);
  return *to == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}

/// Releases after all work: the device may still use it.
inline cudaError_t releaseAfterAll(void* address, Memory::Kind kind) {
  if (address == nullptr) return cudaSuccess;
  const Memory::Allocation* found = memory.find(address, 0);
  if (found == nullptr || found->kind != kind) return cudaErrorInvalidValue;
  if (runtime.sticky == cudaSuccess) drainAll();
  return memory.release(address, kind) ? cudaSuccess : cudaErrorInvalidValue;
}

}  // namespace turnwise::emulation

inline cudaError_t cudaMalloc(void** to, size_t bytes) {
  return turnwise::emulation::callOutsideCapture(
      [&] { return turnwise::emulation::allocate(to, bytes, turnwise::emulation::Memory::Kind::device); });
}
inline cudaError_t cudaFree(void* address) {
  return turnwise::emulation::callOutsideCapture(
      [&] { return turnwise::emulation::releaseAfterAll(address, turnwise::emulation::Memory::Kind::device); }, true);
}

inline cudaError_t cudaHostAlloc(void** to, size_t bytes, unsigned) {
  return turnwise::emulation::callOutsideCapture(
      [&] { return turnwise::emulation::allocate(to, bytes, turnwise::emulation::Memory::Kind::pinned); });
}
inline cudaError_t cudaMallocHost(void** to, size_t bytes) {
  return cudaHostAlloc(to, bytes, cudaHostAllocDefault);
}
inline cudaError_t cudaFreeHost(void* address) {
  return turnwise::emulation::callOutsideCapture(
      [&] { return turnwise::emulation::releaseAfterAll(address, turnwise::emulation::Memory::Kind::pinned); }, true);
}

/// The address is there at once; nothing checks that other streams wait for the allocation.
inline cudaError_t cudaMallocAsync(void** to, size_t bytes, cudaStream_t handle) {
  return turnwise::emulation::callOutsideCapture([&] {
    if (turnwise::emulation::streamOf(handle) == nullptr) return cudaErrorInvalidResourceHandle;
    return turnwise::emulation::allocate(to, bytes, turnwise::emulation::Memory::Kind::device);
  });
}
inline cudaError_t cudaFreeAsync(void* address, cudaStream_t handle) {
  using turnwise::emulation::Memory;
  return turnwise::emulation::callOutsideCapture(
      [&] {
        CUstream_st* stream = turnwise::emulation::streamOf(handle);
        if (stream == nullptr) return cudaErrorInvalidResourceHandle;
        if (address == nullptr) return cudaSuccess;
        if (!turnwise::emulation::memory.isDevice(address, 0)) return cudaErrorInvalidValue;
        turnwise::emulation::enqueue(*stream, [address] {
          if (!turnwise::emulation::memory.release(address, Memory::Kind::device))
            turnwise::emulation::fail("cudaFreeAsync of %p, which is not the start of device memory, or a second time",
                                      address);
        });
        return cudaSuccess;
      },
      true);
}

template <class T>
cudaError_t cudaMalloc(T** to, size_t bytes) {
  return cudaMalloc(reinterpret_cast<void**>(to), bytes);
}
template <class T>
cudaError_t cudaMallocAsync(T** to, size_t bytes, cudaStream_t stream) {
  return cudaMallocAsync(reinterpret_cast<void**>(to), bytes, stream);
}
template <class T>
cudaError_t cudaHostAlloc(T** to, size_t bytes, unsigned flags) {
  return cudaHostAlloc(reinterpret_cast<void**>(to), bytes, flags);
}
template <class T>
cudaError_t cudaMallocHost(T** to, size_t bytes) {
  return cudaMallocHost(reinterpret_cast<void**>(to), bytes);
}

inline cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return turnwise::emulation::callOutsideCapture([&] {
    if (bytes == 0) return cudaSuccess;
    if (!turnwise::emulation::endsFit(to, from, bytes, kind)) return cudaErrorInvalidValue;
    ++turnwise::emulation::runtime.counters.hostSynchronisations;
    // As work of the default stream, which comes after what all blocking streams have been given.
    CUstream_st& stream = turnwise::emulation::runtime.defaultStream;
    turnwise::emulation::enqueue(stream, [=] { turnwise::emulation::copyNow(to, from, bytes, kind); });
    turnwise::emulation::drain(stream);
    return cudaSuccess;
  });
}

/// Pageable memory is read at the call, pinned memory and the device's when the copy executes; host memory of either
/// kind is written when it executes. A captured copy reads and writes at every launch of its graph.
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                                   cudaStream_t handle = nullptr) {
  return turnwise::emulation::callRuntime([&] {
    CUstream_st* stream = turnwise::emulation::streamOf(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (bytes == 0) return cudaSuccess;
    if (!turnwise::emulation::endsFit(to, from, bytes, kind)) return cudaErrorInvalidValue;
    const bool pageable = turnwise::emulation::memory.find(from, bytes) == nullptr;
    if (pageable && stream->capture == nullptr) {
      const auto* first = static_cast<const unsigned char*>(from);
      const auto staged = std::make_shared<std::vector<unsigned char>>(first, first + bytes);
      turnwise::emulation::enqueue(*stream, [=] { turnwise::emulation::copyNow(to, staged->data(), bytes, kind); });
    } else {
      turnwise::emulation::enqueue(*stream, [=] { turnwise::emulation::copyNow(to, from, bytes, kind); });
    }
    return cudaSuccess;
  });
}

inline cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t handle = nullptr) {
  return turnwise::emulation::callRuntime([&] {
    CUstream_st* stream = turnwise::emulation::streamOf(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (bytes == 0) return cudaSuccess;
    if (turnwise::emulation::memory.find(to, bytes) == nullptr) return cudaErrorInvalidValue;
    turnwise::emulation::enqueue(*stream, [=] { std::memset(to, value, bytes); });
    return cudaSuccess;
  });
}

inline cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  return turnwise::emulation::callRuntime([&] {
    *total = turnwise::emulation::memory.capacity();
    *available = *total - turnwise::emulation::memory.used();
    return cudaSuccess;
  });
}

inline cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  using turnwise::emulation::Memory;
  return turnwise::emulation::callRuntime([&] {
    const Memory::Allocation* found = turnwise::emulation::memory.find(pointer, 0);
    void* address = const_cast<void*>(pointer);
    if (found == nullptr) {
      *attributes = {cudaMemoryTypeUnregistered, -1, nullptr, address};
    } else if (found->kind == Memory::Kind::device) {
      *attributes = {cudaMemoryTypeDevice, 0, address, nullptr};
    } else {
      *attributes = {cudaMemoryTypeHost, 0, address, address};
    }
    return cudaSuccess;
  });
}
