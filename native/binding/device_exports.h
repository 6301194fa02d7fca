// Device memory for JavaScript (lib/backend/native.ts):
//   allocate(bytes, zeroed): Status and { block?: DeviceBlock }
//   refer(address: bigint, bytes): DeviceBlock | null           somebody else's memory; null: not the device's
//   release(block)
//   toDevice(block, typedArray): Status                         and toHost(block, typedArray)
//   toHostAsync(block, typedArray): Promise<Status>             and toDeviceAsync
//   errorName(code): string    deviceName(): string    space(): Status and { free, total }
#pragma once
#include <napi.h>

#include "../backend.h"

namespace turnwise::binding {

Napi::Object deviceExports(Napi::Env env, const DeviceMemory& memory);

}  // namespace turnwise::binding
