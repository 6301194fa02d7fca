// Ratio at its level, gate, KL and aggregation: loss, metrics and dLoss/dLogProb of a batch (native/ops.h).
// O(N) beside the O(N V) of the rows, so one thread does it.
#include "../backend.h"
#include "loss_terms.h"

namespace turnwise::cpu {

Status surrogate(const Surrogate& args, Context& context) {
  LossTerms terms(args);
  if (!terms.status()) return terms.status();
  for (size_t u = 0; u < terms.unitCount(); ++u) {
    if (context.aborted()) return {StatusCode::aborted, -1};
    terms.evaluate(terms.unit(u));
  }
  return terms.finish();
}

}  // namespace turnwise::cpu
