// Ratio at its level, gate, weights, KL, entropy bonus and aggregation: loss, metrics, dLoss/dLogProb and
// dLoss/dEntropy of a batch (native/ops.h). Three kernels: prepare, all terms, metrics; a coupled gate has one more.
#include "../native/checks/surrogate.h"
#include "loss/evaluate_loss.cuh"
#include "loss/finish_loss.cuh"
#include "runtime/step.h"

namespace turnwise::cuda {

void enqueue(Lane& lane, const Surrogate& args) {
  const LossStep step = prepareLoss(lane, args);
  evaluateLoss(lane, step);
  finishLoss(lane, step);
}

Status surrogate(const Surrogate& args, Context& context) {
  if (!validArguments(args)) return {StatusCode::invalidArgument, -1};
  return runStep(args, context);
}

}  // namespace turnwise::cuda
