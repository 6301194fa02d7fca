// The loss of a step on the device: what its kernels work on, and what the kernels of the rows call where a unit's last
// log-prob is known. The formulas are those of native/loss.
//
// prepareLoss lists the kernel that checks the turns and prepares everything that no log-prob of this step enters. Then
// either evaluateLoss lists a kernel for all terms, or other kernels form them unit by unit (evaluateUnit) or token by
// token (evaluateToken). finishLoss lists the kernel that adds the terms up.
#pragma once
#include "../../native/loss/coupled_gate.h"
#include "../device/team.cuh"
#include "../runtime/lane.h"

namespace turnwise::cuda {

/// A list of trajectories, and what a team needs to sort it.
struct Sorting {
  uint32_t* order = nullptr;   // [K]
  uint32_t* other = nullptr;   // [K]
  uint32_t* counts = nullptr;  // [Team::sortCounts]
};

/// Trivially copyable; other kernels' records may hold it.
struct LossStep {
  LossBatch batch;
  // Written by prepareLossKernel:
  int32_t* turnOfToken = nullptr;        // [N] -1 = in no turn
  uint32_t* trajectoryOfTurn = nullptr;  // [K] counted from 0 without gaps
  uint32_t* trajectoryBounds = nullptr;  // [K + 1] their first turns, and behind the last one K
  uint32_t* trajectoryCount = nullptr;   // [1] trajectories with a turn
  unsigned* unitRowsLeft = nullptr;      // [K] loss tokens of each unit, for kernels that count them down
  Sorting sorting;                       // where readsPrompts(batch.args)

  // Units as LossBatch::unitLevel says.
  __device__ bool unitsAreTrajectories() const { return batch.unitLevel() == Level::sequence; }
  __device__ size_t unitCount() const { return unitsAreTrajectories() ? *trajectoryCount : batch.turnCount(); }
  __device__ size_t unitOfTurn(size_t turn) const { return unitsAreTrajectories() ? trajectoryOfTurn[turn] : turn; }
  __device__ TurnRange trajectory(size_t m) const { return {trajectoryBounds[m], trajectoryBounds[m + 1]}; }
  __device__ TurnRange unit(size_t u) const { return unitsAreTrajectories() ? trajectory(u) : TurnRange{u, u + 1}; }
};

/// each(i) for all i < n by one warp of the team each; not synchronised.
template <class Each>
__device__ void forEachByWarp(const Team& team, size_t n, const Each& each) {
  for (size_t i = team.rank() / kWarpSize; i < n; i += team.size() / kWarpSize) each(i);
}

/// The numbers of the i < n with chosen(i), in order, to `list`; how many there are.
template <class Chosen>
__device__ size_t listChosen(const Team& team, size_t n, uint32_t* list, const Chosen& chosen) {
  return team.scan(
      n, [&](size_t i) -> uint64_t { return chosen(i) ? 1 : 0; },
      [&](size_t i, uint64_t before) {
        if (chosen(i)) list[before] = static_cast<uint32_t>(i);
      });
}

/// Term and coefficient of a token of a turn, by one thread; a token outside the loss is left alone. Only where
/// batch.perToken().
__device__ inline void evaluateToken(const LossStep& step, size_t turn, size_t token) {
  evaluateToken(step.batch, turn, token);
}

/// Terms and coefficients of a unit, by a whole warp; all its log-probs are known. Not where couplesUnits(batch.args).
__device__ inline void evaluateUnit(const LossStep& step, size_t unit, const Warp& warp) {
  evaluateUnit(warp, step.batch, step.unit(unit));
}

}  // namespace turnwise::cuda
