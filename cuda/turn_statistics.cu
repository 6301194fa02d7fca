// Credit assignment (native/ops.h) in one kernel: a team that goes through the stages pass by pass, as
// native/cpu/credit goes through them loop by loop, with barriers in between and the same bits. Groups come from
// sorting; a warp works on one, or the whole team where it is large. Never materialised: an array over entries and
// channels, or over nodes and their descendants.
#include "credit/channel_signal.cuh"
#include "credit/combine_channels.cuh"
#include "credit/finish_advantages.cuh"
#include "credit/normalize_groups.cuh"
#include "credit/tree.cuh"
#include "runtime/step.h"

namespace turnwise::cuda {

namespace {

/// Numbers the prompts 0, 1, ...; returns how many there are. Synchronised after.
__device__ size_t numberPrompts(const Batch& batch) {
  const CreditWork& work = batch.work;
  const View<const int32_t>& ids = batch.args.groups;
  const Groups prompts = groupItems(
      batch.team, work.sort, work.groups, ids.size, [](size_t) { return true; },
      [&](size_t m) { return uint64_t{static_cast<uint32_t>(ids[m])}; });
  batch.team.forEach(prompts.items, [&](size_t i) { work.prompt[work.groups.members[i]] = work.sort.groupOf[i]; });
  batch.team.sync();
  return prompts.count;
}

/// What the trajectories of the tree end in, into work.leaves.
__device__ void readLeaves(const Batch& batch, const Channel& channel) {
  batch.team.forEach(batch.layout.trajectoryCount(), [&](size_t m) {
    batch.work.leaves[m] = batch.layout.excluded(m) ? kAbsent : channel.trajectorySignal[m];
  });
  batch.team.sync();
}

__device__ void accumulate(const Batch& batch, const Tree& tree, const Channel& channel) {
  if (channel.accumulate == Accumulate::none) return;
  if (channel.accumulate == Accumulate::tree) {
    readLeaves(batch, channel);
    tree.backUp(channel);
  } else {
    accumulateSignal(batch, channel);
  }
  batch.team.sync();
}

/// After the statistics; returns the level of the values from there on.
__device__ Level then(const Batch& batch, const Tree& tree, const Channel& channel) {
  if (channel.then == Then::tree) {
    batch.team.forEach(batch.layout.trajectoryCount(), [&](size_t m) { batch.work.leaves[m] = batch.work.values[m]; });
    batch.team.sync();
    tree.backUp(channel);
    batch.team.sync();
    return Level::turn;
  }
  // One value per trajectory has nothing after it.
  if (channel.then == Then::discounted && channel.level != Level::sequence) {
    sumLater(batch, channel);
    batch.team.sync();
  }
  return channel.level;
}

/// Channel c into the results. Synchronised before and after.
__device__ void assign(const Batch& batch, const Tree& tree, size_t c, ErrorWord* error) {
  const Team& team = batch.team;
  const Channel& channel = batch.args.channels[c];
  team.forEach(batch.layout.size(channel.level), [&](size_t e) { batch.work.values[e] = signalAt(batch, channel, e); });
  team.sync();
  if (channel.matchOutcomeStd) {
    matchOutcomeStd(batch, channel);
    team.sync();
  }
  accumulate(batch, tree, channel);
  GroupNormalizer(batch, tree, channel).run(&batch.args.groupStats[c * EnumNames<GroupStat>::count], error);
  team.sync();
  if (static_cast<int64_t>(c) == batch.args.normalizedChannel) expose(batch, channel.level);
  team.sync();
  const Level level = then(batch, tree, channel);
  if (channel.capEps > 0 || channel.gateTemperature > 0) {
    capAndGate(batch, channel, level);
    team.sync();
  }
  addChannel(batch, channel, level);
  team.sync();
}

__global__ void __launch_bounds__(kCreditThreads, 1) turnStatisticsKernel(const CreditStep* step, ErrorWord* error) {
  if (failed(error)) return;
  const Team team;
  const TurnStatistics& args = step->args;
  Layout layout(args, step->work);
  if (!layout.read(team)) {
    if (team.rank() == 0) report(error, StatusCode::invalidArgument);
    return;
  }
  const Batch batch{team, args, step->work, layout};
  Tree tree(batch, numberPrompts(batch));
  if (readsTree(args)) tree.build(error);
  if (failed(error)) return;
  clearResults(batch);
  team.sync();
  for (size_t c = 0; c < args.channels.size; ++c) {
    assign(batch, tree, c, error);
    if (failed(error)) return;
  }
  finishCombination(batch);
  team.sync();
  modulateAdvantages(batch);
  whitenAdvantages(batch);
}

}  // namespace

void enqueue(Lane& lane, const TurnStatistics& args) {
  Geometry geometry = teamGeometry(device());
  geometry.threads = std::min(geometry.threads, kCreditThreads);
  const CreditStep step{args, takeCreditWork(lane, args, size_t{geometry.blocks} * geometry.threads)};
  lane.launch(geometry, turnStatisticsKernel, lane.parameters(step), lane.error());
}

Status turnStatistics(const TurnStatistics& args, Context& context) {
  if (!validArguments(args)) return {StatusCode::invalidArgument, -1};
  return runStep(args, context);
}

}  // namespace turnwise::cuda
