// Log-prob of each target, log-sum-exp and entropy of each row. Reads the logits once; no [N, V] array is written.
#include <new>

#include "cpu_features.h"
#include "rows/forward_pass.h"

namespace turnwise::cpu {

Status gatherLogProbs(const GatherLogProbs& args, Context& context) {
  if (const Status status = checkGather(args); !status) return status;
  try {
    return ForwardPass(args, rowKernels()).run(ThreadPool::instance(), context);
  } catch (const std::bad_alloc&) {
    return {StatusCode::outOfMemory, -1};
  }
}

}  // namespace turnwise::cpu
