// Before the first term: turns checked, units, aggregation and frozen weights, dLoss/dEntropy, outputs and terms empty.
#pragma once
#include "../../native/checks/arguments.h"
#include "../../native/loss/frozen_weights.h"
#include "loss_step.cuh"

namespace turnwise::cuda {

/// What the CPU asks of the turns (native/cpu/valid_turns.h), of each turn and the one before it.
__device__ inline bool validTurn(const Surrogate& args, size_t k) {
  const Turns& turns = args.turns;
  const int32_t previousEnd = k == 0 ? 0 : turns.ends[k - 1];
  const int32_t previousTrajectory = k == 0 ? 0 : turns.trajectory[k - 1];
  const int64_t start = turns.starts[k], end = turns.ends[k];
  const bool span =
      followsSpan(previousEnd, start, end, turns.tokens[k]) && end <= static_cast<int64_t>(args.logProbs.size);
  const bool prompt = !readsPrompts(args) || turns.trajectory[k] < static_cast<int64_t>(args.groups.size);
  return span && turns.trajectory[k] >= previousTrajectory && prompt;
}

__device__ inline bool validTurns(const Team& team, const Surrogate& args) {
  bool valid = true;
  team.forEach(args.turns.starts.size, [&](size_t k) { valid = valid && validTurn(args, k); });
  return team.all(valid);
}

__device__ inline void findTrajectories(const Team& team, const LossStep& step) {
  const View<const int32_t>& trajectory = step.batch.args.turns.trajectory;
  const size_t turns = step.batch.turnCount();
  const auto begins = [&](size_t k) -> uint64_t { return k == 0 || trajectory[k] != trajectory[k - 1] ? 1 : 0; };
  const auto place = [&](size_t k, uint64_t before) {
    const uint64_t m = before + begins(k) - 1;
    step.trajectoryOfTurn[k] = static_cast<uint32_t>(m);
    if (begins(k)) step.trajectoryBounds[m] = static_cast<uint32_t>(k);
    step.unitRowsLeft[k] = 0;
  };
  const uint64_t count = team.scan(turns, begins, place);
  if (team.rank() == 0) {
    step.trajectoryBounds[count] = static_cast<uint32_t>(turns);
    *step.trajectoryCount = static_cast<uint32_t>(count);
  }
  team.sync();
}

/// How many prompts have a trajectory with a loss token.
__device__ inline size_t countPrompts(const Team& team, const LossStep& step) {
  const uint32_t* const list = step.sorting.order;
  const auto promptOf = [&](uint32_t m) { return step.batch.promptOf(step.trajectoryBounds[m]); };
  const size_t size = listChosen(team, *step.trajectoryCount, step.sorting.order, [&](size_t m) {
    return countTrajectory(step.batch, step.trajectory(m)).sequences > 0;
  });
  team.sort(size, step.sorting.order, step.sorting.other, step.sorting.counts,
            [&](uint32_t m) -> uint64_t { return static_cast<uint32_t>(promptOf(m)); });
  uint64_t prompts = 0;
  team.forEach(size, [&](size_t i) { prompts += i == 0 || promptOf(list[i]) != promptOf(list[i - 1]) ? 1 : 0; });
  return team.sum(prompts);
}

TURNWISE_NOT_INLINED __device__ inline double denominatorOf(const Team& team, const LossStep& step) {
  const LossBatch& batch = step.batch;
  if (batch.args.denominators) return lossDenominator(batch.args.aggregate, *batch.args.denominators);
  LossCounts counts;
  team.forEach(*step.trajectoryCount, [&](size_t m) { counts = counts + countTrajectory(batch, step.trajectory(m)); });
  counts = team.reduce(counts, LossCounts(), Plus());
  return countedDenominator(batch, counts, countsPrompts(batch.args) ? countPrompts(team, step) : 0);
}

__device__ inline void aggregate(const Team& team, const LossStep& step) {
  const double denominator = denominatorOf(team, step);
  if (team.rank() == 0) *step.batch.denominator = denominator;
  team.sync();
  team.forEach(*step.trajectoryCount, [&](size_t m) { aggregateTrajectory(step.batch, step.trajectory(m)); });
  team.sync();
}

/// A turn's tokens and those between it and the turn before, which belong to no turn.
__device__ inline void layTokens(const Warp& warp, const LossStep& step, size_t turn) {
  const LossBatch& batch = step.batch;
  const Turns& turns = batch.args.turns;
  const bool behindLast = turn == batch.turnCount();
  const size_t first = turn == 0 ? 0 : static_cast<size_t>(turns.ends[turn - 1]);
  const size_t start = behindLast ? batch.tokenCount() : static_cast<size_t>(turns.starts[turn]);
  const size_t end = behindLast ? start : static_cast<size_t>(turns.ends[turn]);
  const double entropyCoefficient = behindLast ? 0.0 : batch.entropyCoefficient(turn);
  uint64_t lossTokens = 0;
  for (size_t n = first + warp.rank(); n < end; n += warp.size()) {
    const bool inTurn = n >= start;
    const bool inLoss = inTurn && batch.inLoss(n);
    lossTokens += inLoss ? 1 : 0;
    step.turnOfToken[n] = inTurn ? static_cast<int32_t>(turn) : -1;
    batch.terms[n].flags = 0;
    batch.args.coefficients[n] = 0;
    if (batch.args.entropyCoefficients) batch.args.entropyCoefficients[n] = inLoss ? entropyCoefficient : 0.0;
    if (!batch.weightProduct) continue;
    batch.weightProduct[n] = 1;
    batch.weightTruncated[n] = 0;
  }
  lossTokens = warp.sum(lossTokens);
  if (warp.rank() != 0 || lossTokens == 0) return;
  atomicAdd(&step.unitRowsLeft[step.unitOfTurn(turn)], static_cast<unsigned>(lossTokens));
}

__device__ inline void multiplyWeights(const Team& team, const LossStep& step) {
  const LossBatch& batch = step.batch;
  for (size_t i = 0; i < batch.args.weights.size; ++i) {
    const Weight& weight = batch.args.weights[i];
    if (weight.kind == WeightKind::offPolicyMask) continue;
    team.sync();  // another member may have had the token for the weight before
    if (isPerToken(weight)) {
      team.forEach(batch.tokenCount(), [&](size_t n) {
        if (step.turnOfToken[n] >= 0 && batch.inLoss(n)) weighToken(batch, n, weight);
      });
    } else if (weight.level == Level::turn) {
      forEachByWarp(team, batch.turnCount(), [&](size_t k) { weighUnit(Warp(), batch, TurnRange{k, k + 1}, weight); });
    } else {
      forEachByWarp(team, *step.trajectoryCount,
                    [&](size_t m) { weighUnit(Warp(), batch, step.trajectory(m), weight); });
    }
  }
}

static __global__ void __launch_bounds__(Team::kMostThreads, 1)
    prepareLossKernel(const LossStep* step, ErrorWord* error) {
  if (failed(error)) return;
  const Team team;
  if (!validTurns(team, step->batch.args)) {
    if (team.rank() == 0) report(error, StatusCode::invalidArgument);
    return;
  }
  findTrajectories(team, *step);
  aggregate(team, *step);
  forEachByWarp(team, step->batch.turnCount() + 1, [&](size_t k) { layTokens(Warp(), *step, k); });
  multiplyWeights(team, *step);
}

/// Takes the workspace of a step's loss and lists the kernel that prepares it. Sizes have been checked.
inline LossStep prepareLoss(Lane& lane, const Surrogate& args) {
  LossStep step;
  step.batch = LossBatch(args);
  const size_t tokens = step.batch.tokenCount(), turns = step.batch.turnCount();
  step.batch.terms = lane.take<Term>(tokens);
  step.batch.denominator = lane.take<double>(1);
  step.batch.turnWeight = lane.take<double>(turns);
  step.batch.turnShare = lane.take<double>(turns);
  if (args.weights.size > 0) {
    step.batch.weightProduct = lane.take<double>(tokens);
    step.batch.weightTruncated = lane.take<uint8_t>(tokens);
  }
  step.turnOfToken = lane.take<int32_t>(tokens);
  step.trajectoryOfTurn = lane.take<uint32_t>(turns);
  step.trajectoryBounds = lane.take<uint32_t>(turns + 1);
  step.trajectoryCount = lane.take<uint32_t>(1);
  step.unitRowsLeft = lane.take<unsigned>(turns);
  const Geometry geometry = teamGeometry(device());
  if (readsPrompts(args)) {
    step.sorting.order = lane.take<uint32_t>(turns);
    step.sorting.other = lane.take<uint32_t>(turns);
    step.sorting.counts = lane.take<uint32_t>(Team::sortCounts(size_t{geometry.blocks} * geometry.threads));
  }
  lane.launch(geometry, prepareLossKernel, lane.parameters(step), lane.error());
  return step;
}

}  // namespace turnwise::cuda
