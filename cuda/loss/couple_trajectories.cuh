// Gate log-sum-exp: the trajectories of each prompt against each other (native/loss/coupled_gate.h).
#pragma once
#include "prepare_loss.cuh"

namespace turnwise::cuda {

struct CoupleTrajectories {
  LossStep step;
  CoupledTrajectory* trajectories = nullptr;  // [K] as numbered by LossStep
  uint32_t* promptBounds = nullptr;           // [K] where a prompt begins among those that are compared
};

static __global__ void __launch_bounds__(Team::kMostThreads, 1)
    coupleTrajectoriesKernel(const CoupleTrajectories* record, const ErrorWord* error) {
  if (failed(error)) return;
  const Team team;
  const LossStep& step = record->step;
  CoupledTrajectory* const trajectories = record->trajectories;
  uint32_t* const compared = step.sorting.order;  // by prompt and class
  const size_t count = *step.trajectoryCount;
  forEachByWarp(team, count, [&](size_t m) {
    const CoupledTrajectory trajectory = coupledTrajectory(Warp(), step.batch, step.trajectory(m));
    if (Warp().rank() == 0) trajectories[m] = trajectory;
  });
  const size_t size = listChosen(team, count, compared, [&](size_t m) { return trajectories[m].compared; });
  team.sort(size, step.sorting.order, step.sorting.other, step.sorting.counts,
            [&](uint32_t m) { return classKey(trajectories[m]); });
  const auto begins = [&](size_t i) {
    return i == 0 || trajectories[compared[i]].prompt != trajectories[compared[i - 1]].prompt;
  };
  const size_t prompts = listChosen(team, size, record->promptBounds, begins);
  forEachByWarp(team, prompts, [&](size_t p) {
    const size_t first = record->promptBounds[p], last = p + 1 < prompts ? record->promptBounds[p + 1] : size;
    const auto at = [&](size_t i) -> CoupledTrajectory& { return trajectories[compared[first + i]]; };
    couplePrompt(Warp(), last - first, at, step.batch.args.gate.temperature);
  });
}

/// Lists the kernel; where it leaves the trajectories.
inline const CoupledTrajectory* coupleTrajectories(Lane& lane, const LossStep& step) {
  const size_t turns = step.batch.turnCount();
  CoupleTrajectories record{step};
  record.trajectories = lane.take<CoupledTrajectory>(turns);
  record.promptBounds = lane.take<uint32_t>(turns);
  lane.launch(teamGeometry(device()), coupleTrajectoriesKernel, lane.parameters(record), lane.error());
  return record.trajectories;
}

}  // namespace turnwise::cuda
