// Log-prob of each target, log-sum-exp and entropy of each row (native/ops.h). Two kernels: the rows are checked and
// listed, then read once.
#include "../native/checks/gather_log_probs.h"
#include "rows/launch_rows.h"
#include "rows/list_rows.cuh"
#include "runtime/step.h"

namespace turnwise::cuda {

namespace {

__global__ void __launch_bounds__(Team::kMostThreads, 1) listForwardKernel(const RowParameters* parameters) {
  const GatherLogProbs& args = parameters->gather;
  listRows(
      *parameters, args.targets.size,
      [&](size_t n) {
        if (inMask(args.actionMask, n)) {
          checkTarget(*parameters, args.targets, args.logits.width, n);
          return;
        }
        args.logProbs[n] = 0;
        if (args.logSumExp) args.logSumExp[n] = 0;
        if (args.entropy) args.entropy[n] = 0;
      },
      [&](size_t n) { return inMask(args.actionMask, n); });
}

}  // namespace

void listForward(Lane& lane, const RowParameters* parameters) {
  lane.launch(teamGeometry(device()), listForwardKernel, parameters);
}

void enqueueGather(Lane& lane, const GatherLogProbs& args, bool forGradient) {
  RowParameters host = rowParameters(lane, args);
  host.forGradient = forGradient;
  const RowParameters* const parameters = lane.parameters(host);
  listForward(lane, parameters);
  launchRows<NoHook>(lane, host, parameters, parameters);
}

void enqueue(Lane& lane, const GatherLogProbs& args) {
  enqueueGather(lane, args, false);
}

Status gatherLogProbs(const GatherLogProbs& args, Context& context) {
  if (!validArguments(args)) return {StatusCode::invalidArgument, -1};
  return runStep(args, context);
}

}  // namespace turnwise::cuda
