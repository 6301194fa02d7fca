// The seam between the binding and a backend: one function per op of ops.h, collected in a table.
#pragma once
#include <atomic>

#include "ops.h"

namespace turnwise {

/// How an op ended. `position` is the first offending row, token, turn or span, -1 where there is none.
struct Status {
  StatusCode code = StatusCode::ok;
  int64_t position = -1;
  explicit operator bool() const { return code == StatusCode::ok; }
};

/// What an op may know of its call beyond its arguments.
struct Context {
  /// Raised by the caller to stop a running op between rows; null = cannot be stopped.
  const std::atomic<int32_t>* abort = nullptr;
  bool aborted() const { return abort && abort->load(std::memory_order_relaxed) != 0; }
};

// A definition whose parameters drift from ops.h becomes another overload, and the table below does not link.
#define TURNWISE_DECLARE_OP(Record, name) Status name(const Record& args, Context& context);
namespace cpu {
TURNWISE_OPS(TURNWISE_DECLARE_OP)
}
namespace cuda {
TURNWISE_OPS(TURNWISE_DECLARE_OP)
}
#undef TURNWISE_DECLARE_OP

/// Memory that a backend's ops reach and the host does not.
struct DeviceMemory {
  /// Ready for the ops when this returns; `zeroed`, or with whatever was there.
  Status (*allocate)(size_t bytes, bool zeroed, void** data);
  void (*release)(void* data);
  Status (*toDevice)(void* to, const void* from, size_t bytes);
  Status (*toHost)(void* to, const void* from, size_t bytes);
  /// Whether all of [data, data + bytes) is memory of the device.
  bool (*isDevice)(const void* data, size_t bytes);
  /// Of an error code (StatusCode::deviceError), and of the device.
  const char* (*errorName)(int64_t error);
  const char* (*deviceName)();
  /// Bytes that are free, or kept for the next allocations, and that there are.
  Status (*space)(size_t* free, size_t* total);
};

struct Backend {
  const char* name;
#define TURNWISE_BACKEND_SLOT(Record, name) Status (*name)(const Record&, Context&);
  TURNWISE_OPS(TURNWISE_BACKEND_SLOT)
#undef TURNWISE_BACKEND_SLOT
  /// Null where ops work on host memory. A backend that has one takes host memory too, and copies.
  const DeviceMemory* memory = nullptr;
};

/// The CPU backend; always there.
const Backend& cpuBackend();
/// The CUDA backend, or null; `*why` then says why in a sentence. The first call looks for a device, which loads the
/// driver: milliseconds, and a process that forks afterwards cannot use it in the child.
const Backend* cudaBackend(const char** why);

}  // namespace turnwise
