// The fused step (native/ops.h): everything from raw signals to dLogits in one list of kernels, nothing of which comes
// back to the host in between. Replayed as one graph.
//
//   segment? -> statistics? -> prepare loss -> rows -> ... -> metrics
//
// Token level: the row kernel forms a row's coefficient while the row is on chip, and writes its gradient: logits are
// read once and written once. Deferred row scale: likewise, with coefficient 1; the loss follows. Turn and sequence
// level: the rows are read; the warp that finishes the last row of a turn (or trajectory) evaluates the whole of it;
// then the gradient reads the rows again. A gate that compares trajectories waits for all of them.
#include "../native/checks/policy_loss.h"
#include "loss/evaluate_loss.cuh"
#include "loss/finish_loss.cuh"
#include "rows/launch_rows.h"
#include "runtime/step.h"
#include "turns/enqueue_exactly.h"

namespace turnwise::cuda {

namespace {

/// A row's coefficient from its own log-prob.
struct TokenLoss {
  using Parameters = LossStep;
  static constexpr bool kWritesGradient = true;
  const Parameters& step;

  __device__ explicit TokenLoss(const Parameters* parameters) : step(*parameters) {}
  __device__ RowCoefficients operator()(size_t n, const RowResult&) const {
    const Surrogate& args = step.batch.args;
    const int32_t turn = step.turnOfToken[n];
    if (turn >= 0 && threadIdx.x % kWarpSize == 0) evaluateToken(step, static_cast<size_t>(turn), n);
    __syncwarp();
    return {args.coefficients[n], args.entropyCoefficients ? args.entropyCoefficients[n] : 0.0, false};
  }
};

/// After a row: if it was the last of its unit, the unit's terms and coefficients.
struct UnitLoss {
  using Parameters = LossStep;
  static constexpr bool kWritesGradient = false;
  const Parameters& step;

  __device__ explicit UnitLoss(const Parameters* parameters) : step(*parameters) {}
  __device__ void operator()(size_t n, const RowResult&) const {
    const int32_t turn = step.turnOfToken[n];
    if (turn < 0 || !step.batch.inLoss(n)) return;
    const size_t unit = step.unitOfTurn(static_cast<size_t>(turn));
    unsigned left = 0;
    if (threadIdx.x % kWarpSize == 0) {
      __threadfence();  // this row's log-prob before the count, and the other rows' after it
      left = atomicAdd(&step.unitRowsLeft[unit], ~0u);
      __threadfence();
    }
    __syncwarp();  // and so for the other lanes: a shuffle orders no memory
    if (__shfl_sync(kAllLanes, left, 0) == 1) evaluateUnit(step, unit, Warp());
  }
};

enum class Plan { deferred, token, unit, coupled };

Plan planOf(const PolicyLoss& args) {
  if (!args.gradient.coefficients) return Plan::deferred;
  if (couplesUnits(args.surrogate)) return Plan::coupled;
  return LossBatch(args.surrogate).perToken() ? Plan::token : Plan::unit;
}

/// The row kernel with a hook, and the list that it walks through.
template <class Hook>
void listRowKernel(Lane& lane, const RowParameters& host, const typename Hook::Parameters* ofHook) {
  const RowParameters* const parameters = lane.parameters(host);
  listForward(lane, parameters);
  if constexpr (std::is_same_v<typename Hook::Parameters, RowParameters>) {
    launchRows<Hook>(lane, host, parameters, parameters);
  } else {
    launchRows<Hook>(lane, host, parameters, ofHook);
  }
}

}  // namespace

void enqueue(Lane& lane, const PolicyLoss& args) {
  if (args.segment) enqueueExactly(lane, *args.segment);
  if (args.statistics) enqueue(lane, *args.statistics);
  const LossStep step = prepareLoss(lane, args.surrogate);
  const Plan plan = planOf(args);
  // These two overwrite rows before all have been seen.
  const bool overwrites = plan == Plan::deferred || plan == Plan::token;
  if (overwrites && args.gather.nonFinite == NonFinite::checkFirst) enqueueGather(lane, args.gather, true);
  switch (plan) {
    case Plan::deferred:
      listRowKernel<DeferredScale>(lane, rowParameters(lane, args.gather, args.gradient), nullptr);
      evaluateLoss(lane, step);
      break;
    case Plan::token:
      listRowKernel<TokenLoss>(lane, rowParameters(lane, args.gather, args.gradient), lane.parameters(step));
      break;
    case Plan::unit: {
      RowParameters rows = rowParameters(lane, args.gather);
      rows.forGradient = true;
      listRowKernel<UnitLoss>(lane, rows, lane.parameters(step));
      enqueue(lane, args.gradient);
      break;
    }
    case Plan::coupled:
      enqueueGather(lane, args.gather, true);
      evaluateLoss(lane, step);
      enqueue(lane, args.gradient);
      break;
  }
  finishLoss(lane, step);
}

Status policyLoss(const PolicyLoss& args, Context& context) {
  if (!validArguments(args)) return {StatusCode::invalidArgument, -1};
  return runStep(args, context);
}

}  // namespace turnwise::cuda
