#include "turn_statistics.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "arguments.h"

namespace turnwise {

namespace {

size_t sizeOf(const TurnStatistics& args, Level level) {
  switch (level) {
    case Level::token:
      return args.actionMask.size;
    case Level::turn:
      return args.turns.trajectory.size;
    case Level::sequence:
      break;
  }
  return args.groups.size;
}

template <class T>
bool fits(const TurnStatistics& args, const View<T>& view, Level level) {
  return !view || view.size == sizeOf(args, level);
}

/// A missing array of length 0 is as good as an empty one.
template <class T>
bool has(const TurnStatistics& args, const View<T>& view, Level level) {
  return view.size == sizeOf(args, level);
}

Level keyLevel(const Channel& channel) {
  return channel.level == Level::sequence ? Level::sequence : Level::turn;
}

/// Settings that mean something only at one level.
bool hasPlaces(const TurnStatistics& args) {
  const bool perToken = args.resultLevel == Level::token;
  if (args.resultLevel == Level::sequence || (perToken && args.combine == Combine::join)) return false;
  return args.whiten.kind == WhitenKind::none || args.whiten.over == Level::token || !perToken;
}

bool hasPlaces(const TurnStatistics& args, const Channel& channel) {
  if (channel.level == Level::token && args.resultLevel != Level::token) return false;
  if (channel.accumulate == Accumulate::tree && channel.level != Level::turn) return false;
  if (channel.group == GroupBy::parent && channel.level != Level::turn) return false;
  if (channel.then == Then::tree && channel.level != Level::sequence) return false;
  if (channel.transform == Transform::rankGauss && channel.members != Members::all) return false;
  return channel.klPenalty.coef == 0 || channel.level == Level::token;
}

bool hasSizes(const TurnStatistics& args, const Channel& channel) {
  return fits(args, channel.trajectorySignal, Level::sequence) && fits(args, channel.turnSignal, Level::turn) &&
         fits(args, channel.tokenSignal, Level::token) && fits(args, channel.values, channel.level) &&
         fits(args, channel.baseline, channel.level) && fits(args, channel.keys, keyLevel(channel));
}

bool hasInputs(const TurnStatistics& args, const Channel& channel) {
  const bool isTree = channel.accumulate == Accumulate::tree || channel.then == Then::tree;
  const bool isGae = channel.accumulate == Accumulate::gae;
  const bool readsOutcome = channel.matchOutcomeStd || channel.gateTemperature > 0 ||
                            (channel.accumulate == Accumulate::discounted && channel.bootstrap == Bootstrap::outcome);
  const auto given = [&](bool isRead, const auto& view, Level level) { return !isRead || has(args, view, level); };
  return given(readsOutcome, args.outcome, Level::sequence) &&
         given(channel.accumulate == Accumulate::tree, channel.trajectorySignal, Level::sequence) &&
         given(isTree && channel.treeBackup == TreeBackup::childSoftmax, args.turnEntropies, Level::turn) &&
         given(isGae, channel.values, channel.level) &&
         given(isGae && channel.bootstrap == Bootstrap::carry, args.truncated, Level::sequence) &&
         given(isGae && channel.bootstrap == Bootstrap::given, args.bootstrapValues, Level::sequence) &&
         given(channel.group == GroupBy::promptKey, channel.keys, keyLevel(channel)) &&
         given(channel.center == Center::given, channel.baseline, channel.level) &&
         given(channel.klPenalty.coef != 0, args.oldLogProbs, Level::token) &&
         given(channel.klPenalty.coef != 0, args.refLogProbs, Level::token) &&
         given(channel.use == ChannelUse::ratioTarget, args.ratioTargets, args.resultLevel);
}

bool validChannel(const TurnStatistics& args, const Channel& channel) {
  return hasPlaces(args, channel) && hasSizes(args, channel) && hasInputs(args, channel);
}

bool hasSizes(const TurnStatistics& args) {
  return sameLengths(args.turns) && fits(args, args.outcome, Level::sequence) &&
         fits(args, args.turnEntropies, Level::turn) && fits(args, args.nodes, Level::turn) &&
         fits(args, args.bootstrapValues, Level::sequence) && fits(args, args.truncated, Level::sequence) &&
         fits(args, args.ratioTargets, args.resultLevel) && has(args, args.advantages, args.resultLevel) &&
         has(args, args.clipScale, args.resultLevel) && has(args, args.normalizedSignal, args.resultLevel) &&
         args.groupStats.size == args.channels.size * EnumNames<GroupStat>::count;
}

/// Entries are numbered in 32 bits.
bool isCountable(const TurnStatistics& args) {
  const size_t limit = std::numeric_limits<uint32_t>::max();
  return args.groups.size < limit && args.turns.trajectory.size < limit && args.actionMask.size < limit;
}

bool outputsOverlap(const TurnStatistics& args) {
  const Turns& turns = args.turns;
  const auto overlaps = [&](std::initializer_list<Extent> inputs) {
    return anyOverlap({args.advantages, args.clipScale, args.ratioTargets, args.normalizedSignal, args.groupStats},
                      inputs);
  };
  const auto ofChannel = [&](const Channel& channel) {
    return overlaps({channel.trajectorySignal, channel.turnSignal, channel.tokenSignal, channel.values, channel.keys,
                     channel.baseline});
  };
  return overlaps({turns.starts, turns.ends, turns.tokens, turns.trajectory, turns.index, args.groups, args.outcome,
                   args.actionMask, args.oldLogProbs, args.refLogProbs, args.turnEntropies, args.nodes,
                   args.bootstrapValues, args.truncated}) ||
         std::any_of(args.channels.items, args.channels.items + args.channels.size, ofChannel);
}

}  // namespace

bool validArguments(const TurnStatistics& args) {
  if (args.channels.size > ChannelList::capacity) return false;
  const bool readsEntropies = args.modulation.kind != Modulate::none;
  return isCountable(args) && hasPlaces(args) && hasSizes(args) &&
         (!readsEntropies || has(args, args.turnEntropies, Level::turn)) &&
         args.normalizedChannel < static_cast<int64_t>(args.channels.size) &&
         std::all_of(args.channels.items, args.channels.items + args.channels.size,
                     [&](const Channel& channel) { return validChannel(args, channel); }) &&
         !outputsOverlap(args);
}

}  // namespace turnwise
