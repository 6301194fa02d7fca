#include <cstdio>

#include "../device/team.cuh"
#include "device.h"

namespace turnwise::cuda {

namespace {

int attribute(cudaDeviceAttr which, int ordinal) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, ordinal));
  return value;
}

Device query() {
  Device device;
  check(cudaGetDevice(&device.ordinal));
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, device.ordinal));
  std::snprintf(device.name, sizeof device.name, "%.127s", properties.name);
  device.capability = 10 * properties.major + properties.minor;
  device.multiprocessors = static_cast<unsigned>(attribute(cudaDevAttrMultiProcessorCount, device.ordinal));
  device.sharedPerBlock = static_cast<size_t>(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device.ordinal));
  device.threadsPerBlock = static_cast<unsigned>(attribute(cudaDevAttrMaxThreadsPerBlock, device.ordinal));
  // The size that every device with clusters can run, unless it has fewer multiprocessors.
  if (device.hasClusters()) {
    while (device.largestCluster < Team::kMaxBlocks && 2 * device.largestCluster <= device.multiprocessors) {
      device.largestCluster *= 2;
    }
  }
  return device;
}

}  // namespace

const Device& device() {
  static const Device instance = query();  // tried again at the next call where it throws
  return instance;
}

Geometry teamGeometry(const Device& device, size_t extraShared) {
  // Half of what a block may have, so that a thread may use as many registers as a long program needs.
  return {device.largestCluster, device.threadsPerBlock / 2, device.largestCluster, Team::kSharedBytes + extraShared};
}

}  // namespace turnwise::cuda
