// The device in use: what launch geometries are chosen by.
#pragma once
#include "launch.h"

namespace turnwise::cuda {

struct Device {
  int ordinal = 0;
  int capability = 0;  // 10 * major + minor
  unsigned multiprocessors = 0;
  size_t sharedPerBlock = 0;     // most dynamic shared memory of one block
  unsigned threadsPerBlock = 0;  // at most
  unsigned largestCluster = 1;   // blocks; a power of two
  char name[128] = "";

  bool hasClusters() const { return capability >= 90; }
};

/// The process's device (the current one at first use). Throws Failure.
const Device& device();

/// Of a kernel with a Team (device/team.cuh): one cluster. `extraShared` follows Team::kSharedBytes.
Geometry teamGeometry(const Device& device, size_t extraShared = 0);

}  // namespace turnwise::cuda
