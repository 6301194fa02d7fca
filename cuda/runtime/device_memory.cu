#include "block_cache.h"
#include "device.h"
#include "device_memory.h"
#include "step.h"

namespace turnwise::cuda {

namespace {

/// Runs `body` on a workplace's stream and waits for it.
template <class Body>
Status onDevice(const Body& body) {
  return guarded([&](Workplace& workplace) {
    body(workplace);
    check(cudaStreamSynchronize(workplace.lane.stream()));
    return Status{};
  });
}

void release(void* data) {
  BlockCache::instance().release(data);
}

Status allocate(size_t bytes, bool zeroed, void** data) {
  *data = nullptr;
  const Status status = onDevice([&](Workplace& workplace) {
    *data = BlockCache::instance().take(bytes);
    if (zeroed) check(cudaMemsetAsync(*data, 0, bytes, workplace.lane.stream()));
  });
  if (!status && *data) {
    release(*data);
    *data = nullptr;
  }
  return status;
}

Status toDevice(void* to, const void* from, size_t bytes) {
  return onDevice([&](Workplace& workplace) { workplace.transfer.toDevice(to, from, bytes, workplace.lane.stream()); });
}

Status toHost(void* to, const void* from, size_t bytes) {
  return onDevice([&](Workplace& workplace) {
    workplace.transfer.toHost(to, from, bytes, workplace.lane.stream());
    workplace.transfer.finish();
  });
}

bool isDevice(const void* data, size_t bytes) {
  const auto isAt = [](const void* address) {
    cudaPointerAttributes attributes;
    if (cudaPointerGetAttributes(&attributes, address) != cudaSuccess) {
      cudaGetLastError();
      return false;
    }
    return attributes.type == cudaMemoryTypeDevice && attributes.device == device().ordinal;
  };
  return isAt(data) && (bytes == 0 || isAt(static_cast<const unsigned char*>(data) + bytes - 1));
}

const char* errorName(int64_t error) {
  return cudaGetErrorName(static_cast<cudaError_t>(error));
}

const char* deviceName() {
  return device().name;
}

Status space(size_t* free, size_t* total) {
  return onDevice([&](Workplace&) {
    check(cudaMemGetInfo(free, total));
    *free += BlockCache::instance().keptBytes();
  });
}

}  // namespace

const DeviceMemory kDeviceMemory{allocate, release, toDevice, toHost, isDevice, errorName, deviceName, space};

}  // namespace turnwise::cuda
