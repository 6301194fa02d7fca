// From an op's arguments to its kernels and back: what every cuda::<op> of native/backend.h does.
#pragma once
#include "workplace.h"

namespace turnwise::cuda {

/// Lists an op's kernels on a lane; all arrays of `args` are device memory. One per op, defined beside its kernels.
#define TURNWISE_ENQUEUE_OP(Record, name) void enqueue(Lane& lane, const Record& args);
TURNWISE_OPS(TURNWISE_ENQUEUE_OP)
#undef TURNWISE_ENQUEUE_OP

/// Runs an op whose sizes have been checked: host arrays are copied to the device and back, the kernels run, and the
/// first error of the device, or of the runtime, becomes the status.
#define TURNWISE_RUN_OP(Record, name) Status runStep(const Record& args, const Context& context);
TURNWISE_OPS(TURNWISE_RUN_OP)
#undef TURNWISE_RUN_OP

}  // namespace turnwise::cuda
