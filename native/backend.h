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

struct Backend {
  const char* name;
#define TURNWISE_BACKEND_SLOT(Record, name) Status (*name)(const Record&, Context&);
  TURNWISE_OPS(TURNWISE_BACKEND_SLOT)
#undef TURNWISE_BACKEND_SLOT
};

/// The CPU backend; always there.
const Backend& cpuBackend();
/// The CUDA backend, or null; `*why` then says why in a sentence.
const Backend* cudaBackend(const char** why);

}  // namespace turnwise
