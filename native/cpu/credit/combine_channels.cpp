// The stages after z of one channel, and the sum over channels.
#include "combine_channels.h"

#include <algorithm>
#include <cmath>

#include "../../math/absent.h"
#include "../../math/accumulate.h"
#include "../../math/channel_factors.h"
#include "../../math/clip_scale.h"
#include "../../math/weighted_moments.h"

namespace turnwise::cpu {

namespace {

double deviationOf(const double* values, const std::vector<double>& lossTokens) {
  return tokenDeviation(
      Solo(), lossTokens.size(), [&](size_t i) { return values[i]; }, [&](size_t i) { return lossTokens[i]; });
}

}  // namespace

void sumLater(const Layout& layout, const Channel& channel, Entries& entries) {
  // One value per trajectory has nothing after it.
  if (channel.then != Then::discounted || entries.level == Level::sequence) return;
  layout.forEachRun(entries.level, [&](const Run& run) {
    if (!layout.excluded(run.trajectory)) sumLater(channel, run.first, run.end, entries.values.data());
  });
}

ChannelCombiner::ChannelCombiner(const TurnStatistics& args, const Layout& layout, GroupKeys& keys)
    : args_(args), layout_(layout), keys_(keys), advantages_(args.advantages.data) {
  const size_t size = layout.size(args.resultLevel);
  if (args.ratioTargets) ratioTargets_ = args.ratioTargets.data;
  if (perToken()) {
    ownAdvantages_.resize(size);
    advantages_ = ownAdvantages_.data();
    if (ratioTargets_) ownTargets_.resize(size);
    if (ratioTargets_) ratioTargets_ = ownTargets_.data();
  }
  if (args.combine == Combine::weightedMean) weights_.resize(size);
  std::fill_n(advantages_, size, 0.0);
  if (ratioTargets_) std::fill_n(ratioTargets_, size, 0.0);
  if (args.normalizedChannel < 0 || perToken()) {
    std::fill_n(args.clipScale.data, args.clipScale.size, 1.0);
    std::fill_n(args.normalizedSignal.data, args.normalizedSignal.size, kAbsent);
  }
}

const double* ChannelCombiner::atResultLevel(const Entries& entries) {
  if (entries.level == args_.resultLevel) return entries.values.data();
  layout_.spread(entries.level, entries.values, args_.resultLevel, kAbsent, spread_);
  return spread_.data();
}

void ChannelCombiner::expose(const Entries& z) {
  const double* signal = atResultLevel(z);
  const size_t size = layout_.size(args_.resultLevel);
  for (size_t e = 0; e < size; ++e) {
    const size_t n = layout_.position(args_.resultLevel, e);
    args_.normalizedSignal[n] = signal[e];
    args_.clipScale[n] = clipScale(signal[e], args_.clipScaleBeta);
  }
}

void ChannelCombiner::capAndGate(const Channel& channel, Entries& entries) {
  const bool caps = channel.capEps > 0, gated = channel.gateTemperature > 0;
  if (!caps && !gated) return;
  double cap = 1.0;
  if (caps) {
    const double soFar = deviationOf(advantages_, layout_.lossTokens(args_.resultLevel));
    const double own = deviationOf(entries.values.data(), layout_.lossTokens(entries.level));
    cap = capFactor(soFar, own, channel.capEps);
  }
  std::vector<double> gate;
  if (gated) gate = gates(channel.gateTemperature);
  layout_.forEachRun(entries.level, [&](const Run& run) {
    const double own = gated ? gate[run.trajectory] : 1.0;
    for (size_t e = run.first; e < run.end; ++e) entries.values[e] = damped(entries.values[e], cap, own);
  });
}

/// Of every trajectory, from the outcomes of its prompt.
std::vector<double> ChannelCombiner::gates(double temperature) {
  const DenseIds& prompts = keys_.prompts();
  const std::vector<double>& outcome = layout_.outcome();
  GroupMembers grouped;
  groupMembers(
      prompts.ids, prompts.count, [&](size_t m) { return !isAbsent(outcome[m]); }, grouped);
  std::vector<double> ofPrompt(prompts.count), ofTrajectory(prompts.ids.size());
  for (size_t g = 0; g < prompts.count; ++g) {
    const uint32_t* members = grouped.members.data() + grouped.offsets[g];
    const size_t size = grouped.offsets[g + 1] - grouped.offsets[g];
    const GroupMoments moments = groupMoments(size, 1, [&](size_t i) { return outcome[members[i]]; });
    ofPrompt[g] = gateFactor(std::sqrt(moments.variance), temperature);
  }
  for (size_t m = 0; m < ofTrajectory.size(); ++m) ofTrajectory[m] = ofPrompt[prompts.ids[m]];
  return ofTrajectory;
}

void ChannelCombiner::add(const Channel& channel, const Entries& entries) {
  const bool isTarget = channel.use == ChannelUse::ratioTarget;
  if (!isTarget && args_.combine == Combine::join && entries.level == Level::sequence) {
    addJoined(channel, entries);
  } else if (entries.level == Level::sequence) {
    const std::vector<double>& values = entries.values;
    addValues(channel, [&](const Run& run, size_t) { return values[run.trajectory]; });
  } else {
    const double* values = atResultLevel(entries);
    addValues(channel, [=](const Run&, size_t e) { return values[e]; });
  }
}

template <class Value>
void ChannelCombiner::addValues(const Channel& channel, const Value& value) {
  double* sums = channel.use == ChannelUse::ratioTarget ? ratioTargets_ : advantages_;
  layout_.forEachRun(args_.resultLevel, [&](const Run& run) {
    for (size_t e = run.first; e < run.lastTurn; ++e) sums[e] += contribution(channel, false, value(run, e));
    for (size_t e = run.lastTurn; e < run.end; ++e) sums[e] += contribution(channel, true, value(run, e));
  });
  if (args_.combine != Combine::weightedMean || sums != advantages_) return;
  layout_.forEachRun(args_.resultLevel, [&](const Run& run) {
    for (size_t e = run.first; e < run.end; ++e) {
      weights_[e] += weightInForce(channel, e >= run.lastTurn, value(run, e));
    }
  });
}

/// On the last turn only, whence the sum carries it back.
void ChannelCombiner::addJoined(const Channel& channel, const Entries& entries) {
  layout_.forEachRun(args_.resultLevel, [&](const Run& run) {
    advantages_[run.end - 1] += contribution(channel, true, entries.values[run.trajectory]);
  });
}

void ChannelCombiner::finish() {
  if (args_.combine == Combine::join) {
    layout_.forEachRun(args_.resultLevel,
                       [&](const Run& run) { sumJoined(run.first, run.end, args_.joinGamma, advantages_); });
  }
  for (size_t e = 0; e < weights_.size(); ++e) advantages_[e] = meanByWeight(advantages_[e], weights_[e]);
}

void ChannelCombiner::write() {
  if (!perToken()) return;
  std::fill_n(args_.advantages.data, args_.advantages.size, 0.0);
  for (size_t e = 0; e < ownAdvantages_.size(); ++e) args_.advantages[layout_.tokenAt(e)] = ownAdvantages_[e];
  if (!args_.ratioTargets) return;
  std::fill_n(args_.ratioTargets.data, args_.ratioTargets.size, 0.0);
  for (size_t e = 0; e < ownTargets_.size(); ++e) args_.ratioTargets[layout_.tokenAt(e)] = ownTargets_[e];
}

}  // namespace turnwise::cpu
