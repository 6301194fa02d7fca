// Device memory for tensors (native/backend.h).
#pragma once
#include "../../native/backend.h"

namespace turnwise::cuda {

extern const DeviceMemory kDeviceMemory;

}  // namespace turnwise::cuda
