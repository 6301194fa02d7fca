// dLogits from the coefficient dLoss/dLogProb of each row. Reads and writes the logits' [N, V] once; no probabilities
// are stored.
#include "cpu_features.h"
#include "rows/gradient_pass.h"

namespace turnwise::cpu {

Status logitsGradient(const LogitsGradient& args, Context& context) {
  if (const Status status = checkLogitsGradient(args); !status) return status;
  GradientPass pass(args, rowKernels());
  if (!pass.run(ThreadPool::instance(), context)) return {StatusCode::aborted, -1};
  pass.finish();
  return {};
}

}  // namespace turnwise::cpu
