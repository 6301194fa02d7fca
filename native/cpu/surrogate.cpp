// Ratio at its level, gate, weights, KL, entropy bonus and aggregation: loss, metrics, dLoss/dLogProb and
// dLoss/dEntropy of a batch (native/ops.h). O(N) beside the O(N V) of the rows, so one thread does it.
#include <new>

#include "../backend.h"
#include "loss/loss_terms.h"

namespace turnwise::cpu {

Status surrogate(const Surrogate& args, Context& context) {
  LossTerms terms(args);
  if (!terms.status()) return terms.status();
  try {
    if (!terms.evaluateAll(context)) return {StatusCode::aborted, -1};
  } catch (const std::bad_alloc&) {
    return {StatusCode::outOfMemory, -1};
  }
  return terms.finish();
}

}  // namespace turnwise::cpu
