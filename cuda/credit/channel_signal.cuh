// The signal of a channel at its level, brought to the spread of the outcomes and summed over later entries: everything
// before the statistics but trees (tree.cuh). Passes that depend on nothing but their own entry are one thread per
// entry, recursions one per trajectory, or per turn where observations reset them.
#pragma once
#include "../../native/math/accumulate.h"
#include "../../native/math/channel_signal.h"
#include "layout.cuh"

namespace turnwise::cuda {

/// What was given at any level, placed on the entry or summed into it; NaN = no signal, so in excluded trajectories.
__device__ inline double signalAt(const Batch& batch, const Channel& channel, size_t e) {
  const Layout& layout = batch.layout;
  const Level level = channel.level;
  const size_t m = layout.trajectoryOf(level, e);
  double signal = kAbsent;
  if (layout.excluded(m)) return signal;
  const bool onEvery = channel.place == Place::every;
  const auto addSumOf = [&](size_t first, size_t end, const auto& value) {
    double sum = kAbsent;
    for (size_t i = first; i < end; ++i) addSignal(sum, value(i));
    addSignal(signal, sum);
  };
  if (channel.trajectorySignal && (onEvery || e + 1 == layout.end(level, m))) {
    addSignal(signal, channel.trajectorySignal[m]);
  }
  if (channel.turnSignal) {
    if (level == Level::sequence) {
      addSumOf(layout.first(Level::turn, m), layout.end(Level::turn, m),
               [&](size_t k) { return channel.turnSignal[k]; });
    } else {
      const size_t k = layout.turnOf(level, e);
      if (onEvery || e + 1 == layout.firstOfTurn(level, k + 1)) addSignal(signal, channel.turnSignal[k]);
    }
  }
  if (channel.tokenSignal) {
    const auto ofToken = [&](size_t i) { return channel.tokenSignal[layout.position(Level::token, i)]; };
    if (level == Level::token)
      addSignal(signal, ofToken(e));
    else if (level == Level::turn)
      addSumOf(layout.firstOfTurn(Level::token, e), layout.firstOfTurn(Level::token, e + 1), ofToken);
    else
      addSumOf(layout.first(Level::token, m), layout.end(Level::token, m), ofToken);
  }
  if (channel.klPenalty.coef != 0) {
    addSignal(signal, klPenalty(batch.args, channel, layout.position(Level::token, e)));
  }
  return signal;
}

/// Population moments of what is there of value(0..n-1); by all members.
template <class Value>
__device__ GroupMoments presentMoments(const Batch& batch, size_t n, const Value& value) {
  uint32_t* const there = batch.work.sorted;
  const size_t count = batch.team.scan(
      n, [&](size_t i) { return !isAbsent(value(i)); },
      [&](size_t i, uint64_t before) {
        if (!isAbsent(value(i))) there[before] = static_cast<uint32_t>(i);
      });
  return groupMoments(batch.team, count, 0, [&](size_t i) { return value(there[i]); });
}

/// A2TGPO turn-group (arXiv 2605.06200), over the batch.
TURNWISE_NOT_INLINED __device__ inline void matchOutcomeStd(const Batch& batch, const Channel& channel) {
  double* const values = batch.work.values;
  const size_t size = batch.layout.size(channel.level);
  const GroupMoments outcomes =
      presentMoments(batch, batch.args.outcome.size, [&](size_t m) { return batch.args.outcome[m]; });
  const GroupMoments signals = presentMoments(batch, size, [&](size_t e) { return values[e]; });
  const StdMatch match = stdMatch(outcomes, signals, channel.stdFloor);
  batch.team.forEach(size, [&](size_t e) { values[e] = match(values[e]); });
}

/// visit(first, end, m, isLast) of the entries that a recursion goes through: a trajectory, or with observation reset
/// the loss tokens of a turn. None is empty.
template <class Visit>
__device__ void forEachPart(const Batch& batch, const Channel& channel, const Visit& visit) {
  const Layout& layout = batch.layout;
  const bool resets = channel.level == Level::token && channel.observation == Observation::reset;
  batch.team.forEach(resets ? layout.turnCount() : layout.trajectoryCount(), [&](size_t unit) {
    const size_t m = resets ? layout.trajectoryOf(Level::turn, unit) : unit;
    const size_t first = resets ? layout.firstOfTurn(Level::token, unit) : layout.first(channel.level, m);
    const size_t end = resets ? layout.firstOfTurn(Level::token, unit + 1) : layout.end(channel.level, m);
    if (first == end || layout.excluded(m)) return;
    visit(first, end, m, end == layout.end(channel.level, m));
  });
}

/// Discounted, or generalised advantage estimation.
TURNWISE_NOT_INLINED __device__ inline void accumulateSignal(const Batch& batch, const Channel& channel) {
  const TurnStatistics& args = batch.args;
  const bool isGae = channel.accumulate == Accumulate::gae;
  const auto baseline = [&](size_t e) { return channel.values[batch.layout.position(channel.level, e)]; };
  forEachPart(batch, channel, [&](size_t first, size_t end, size_t m, bool isLast) {
    if (isGae) {
      const double beyond = isLast ? valueBeyond(args, channel, m, baseline(end - 1)) : 0.0;
      estimateAdvantages(channel, first, end, beyond, baseline, batch.work.values);
    } else {
      const double beyond = isLast && channel.bootstrap == Bootstrap::outcome ? args.outcome[m] : 0.0;
      discountSignal(channel, first, end, beyond, batch.work.values);
    }
  });
}

}  // namespace turnwise::cuda
