// What a channel's z becomes in the result (native/cpu/credit/combine_channels.h): cap and gate, its weighted share of
// the advantages or ratio targets, and what shows of it. Results are summed where the caller's arrays hold them, in
// passes over the entries of the result level: loss tokens or turns.
#pragma once
#include "../../native/math/accumulate.h"
#include "../../native/math/channel_factors.h"
#include "../../native/math/clip_scale.h"
#include "../../native/math/weighted_moments.h"
#include "groups.cuh"
#include "layout.cuh"

namespace turnwise::cuda {

/// Everywhere what holds where nobody says anything.
__device__ inline void clearResults(const Batch& batch) {
  const TurnStatistics& args = batch.args;
  batch.team.forEach(args.advantages.size, [&](size_t i) {
    args.advantages[i] = 0.0;
    if (args.ratioTargets) args.ratioTargets[i] = 0.0;
    args.clipScale[i] = 1.0;
    args.normalizedSignal[i] = kAbsent;
  });
  if (args.combine == Combine::weightedMean) {
    batch.team.forEach(batch.layout.size(args.resultLevel), [&](size_t e) { batch.work.weights[e] = 0.0; });
  }
}

/// The value of a channel of `level` at an entry of the result.
__device__ inline double valueAt(const Batch& batch, Level level, size_t e) {
  const Level result = batch.args.resultLevel;
  if (level == result) return batch.work.values[e];
  const Layout& layout = batch.layout;
  return batch.work.values[level == Level::turn ? layout.turnOf(result, e) : layout.trajectoryOf(result, e)];
}

/// Shows z as normalizedSignal and clip scale: before sums over later turns blur it.
__device__ inline void expose(const Batch& batch, Level level) {
  const TurnStatistics& args = batch.args;
  batch.team.forEach(batch.layout.size(args.resultLevel), [&](size_t e) {
    const size_t at = batch.layout.position(args.resultLevel, e);
    const double z = valueAt(batch, level, e);
    args.normalizedSignal[at] = z;
    args.clipScale[at] = clipScale(z, args.clipScaleBeta);
  });
}

/// z summed over later entries of its trajectory.
__device__ inline void sumLater(const Batch& batch, const Channel& channel) {
  const Layout& layout = batch.layout;
  batch.team.forEach(layout.trajectoryCount(), [&](size_t m) {
    if (layout.excluded(m)) return;
    turnwise::sumLater(channel, layout.first(channel.level, m), layout.end(channel.level, m), batch.work.values);
  });
}

/// Into work.spare: the gate of every prompt, by its outcomes. Synchronised after.
__device__ inline void findGates(const Batch& batch, double temperature) {
  const CreditWork& work = batch.work;
  const View<const double>& outcome = batch.args.outcome;
  const Groups prompts = groupItems(
      batch.team, work.sort, work.groups, outcome.size, [&](size_t m) { return !isAbsent(outcome[m]); },
      [&](size_t m) { return uint64_t{work.prompt[m]}; });
  forEachGroup(batch.team, work.sort, prompts, [&](const auto& crew, size_t g) {
    const uint32_t* members = prompts.at.members + prompts.first(g);
    const GroupMoments moments = groupMoments(crew, prompts.size(g), 1, [&](size_t i) { return outcome[members[i]]; });
    if (crew.rank() == 0) work.spare[work.prompt[members[0]]] = gateFactor(std::sqrt(moments.variance), temperature);
  });
  batch.team.sync();
}

/// Times the cap by what was added so far, then times the gate of the prompt; values of `level`. After a barrier.
TURNWISE_NOT_INLINED __device__ inline void capAndGate(const Batch& batch, const Channel& channel, Level level) {
  const TurnStatistics& args = batch.args;
  const Layout& layout = batch.layout;
  double* const values = batch.work.values;
  const bool gated = channel.gateTemperature > 0;
  double cap = 1.0;
  if (channel.capEps > 0) {
    const auto deviation = [&](Level of, const auto& value) {
      return tokenDeviation(batch.team, layout.size(of), value, [&](size_t e) { return layout.lossTokens(of, e); });
    };
    const double soFar =
        deviation(args.resultLevel, [&](size_t e) { return args.advantages[layout.position(args.resultLevel, e)]; });
    const double own = deviation(level, [&](size_t e) { return values[e]; });
    cap = capFactor(soFar, own, channel.capEps);
  }
  if (gated) findGates(batch, channel.gateTemperature);
  batch.team.forEach(layout.size(level), [&](size_t e) {
    if (isAbsent(values[e])) return;
    const double gate = gated ? batch.work.spare[batch.work.prompt[layout.trajectoryOf(level, e)]] : 1.0;
    values[e] = damped(values[e], cap, gate);
  });
}

/// Adds the values of `level` to the result. After a barrier.
TURNWISE_NOT_INLINED __device__ inline void addChannel(const Batch& batch, const Channel& channel, Level level) {
  const TurnStatistics& args = batch.args;
  const Layout& layout = batch.layout;
  const bool isTarget = channel.use == ChannelUse::ratioTarget;
  if (!isTarget && args.combine == Combine::join && level == Level::sequence) {
    // On the last turn only, whence the sum carries it back.
    batch.team.forEach(layout.trajectoryCount(), [&](size_t m) {
      if (!layout.hasTurns(m)) return;
      args.advantages[layout.end(Level::turn, m) - 1] += contribution(channel, true, batch.work.values[m]);
    });
    return;
  }
  const View<double>& sums = isTarget ? args.ratioTargets : args.advantages;
  batch.team.forEach(layout.size(args.resultLevel), [&](size_t e) {
    const double value = valueAt(batch, level, e);
    const bool onLastTurn = layout.isOnLastTurn(args.resultLevel, e);
    sums[layout.position(args.resultLevel, e)] += contribution(channel, onLastTurn, value);
    if (args.combine == Combine::weightedMean && !isTarget) {
      batch.work.weights[e] += weightInForce(channel, onLastTurn, value);
    }
  });
}

/// The joined sequence's sums, or the division by the weights in force. After a barrier.
__device__ inline void finishCombination(const Batch& batch) {
  const TurnStatistics& args = batch.args;
  const Layout& layout = batch.layout;
  if (args.combine == Combine::join) {
    batch.team.forEach(layout.trajectoryCount(), [&](size_t m) {
      sumJoined(layout.first(Level::turn, m), layout.end(Level::turn, m), args.joinGamma, args.advantages.data);
    });
  } else if (args.combine == Combine::weightedMean) {
    batch.team.forEach(layout.size(args.resultLevel), [&](size_t e) {
      double& advantage = args.advantages[layout.position(args.resultLevel, e)];
      advantage = meanByWeight(advantage, batch.work.weights[e]);
    });
  }
}

}  // namespace turnwise::cuda
