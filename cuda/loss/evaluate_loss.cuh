// All terms of a batch whose log-probs are known.
#pragma once
#include "couple_trajectories.cuh"

namespace turnwise::cuda {

struct EvaluateLoss {
  LossStep step;
  const CoupledTrajectory* coupled = nullptr;  // [K], where trajectories are compared
};

constexpr unsigned kEvaluateThreads = 256;

/// Threads over tokens, or warps over units.
static __global__ void __launch_bounds__(kEvaluateThreads, 2)
    evaluateLossKernel(const EvaluateLoss* record, const ErrorWord* error) {
  if (failed(error)) return;
  const LossStep& step = record->step;
  const size_t thread = size_t{blockIdx.x} * blockDim.x + threadIdx.x, threads = size_t{gridDim.x} * blockDim.x;
  if (step.batch.perToken()) {
    for (size_t n = thread; n < step.batch.tokenCount(); n += threads) {
      if (step.turnOfToken[n] >= 0) evaluateToken(step, static_cast<size_t>(step.turnOfToken[n]), n);
    }
    return;
  }
  for (size_t u = thread / kWarpSize; u < step.unitCount(); u += threads / kWarpSize) {
    if (record->coupled) {
      spreadCoupled(Warp(), step.batch, step.unit(u), record->coupled[u]);
    } else {
      evaluateUnit(step, u, Warp());
    }
  }
}

/// Lists the kernels that form all terms from the log-probs.
inline void evaluateLoss(Lane& lane, const LossStep& step) {
  EvaluateLoss record{step};
  if (couplesUnits(step.batch.args)) record.coupled = coupleTrajectories(lane, step);
  const Geometry geometry{4 * device().multiprocessors, kEvaluateThreads};
  lane.launch(geometry, evaluateLossKernel, lane.parameters(record), lane.error());
}

}  // namespace turnwise::cuda
