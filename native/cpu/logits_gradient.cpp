// dLogits from the coefficient dLoss/dLogProb of each row. Reads and writes the logits' [N, V] once; no probabilities
// are stored.
#include <cmath>

#include "cpu_features.h"
#include "rows/gradient_pass.h"

namespace turnwise::cpu {

namespace {

/// The first active row whose probabilities cannot be formed from its log-sum-exp. Infinite and NaN ones give a NaN
/// gradient.
Status checkLogSumExp(const LogitsGradient& args) {
  for (size_t n = 0; n < args.logSumExp.size; ++n) {
    const bool active = !args.actionMask || args.actionMask[n] == 1;
    const bool tooLarge = std::fabs(args.logSumExp[n]) > kLargestLogSumExp && std::isfinite(args.logSumExp[n]);
    if (active && tooLarge) return {StatusCode::logitsTooLarge, static_cast<int64_t>(n)};
  }
  return {};
}

}  // namespace

Status logitsGradient(const LogitsGradient& args, Context& context) {
  if (const Status status = checkLogitsGradient(args); !status) return status;
  if (const Status status = checkLogSumExp(args); !status) return status;
  GradientPass pass(args, rowKernels());
  if (!pass.run(ThreadPool::instance(), context)) return {StatusCode::aborted, -1};
  pass.finish();
  return {};
}

}  // namespace turnwise::cpu
