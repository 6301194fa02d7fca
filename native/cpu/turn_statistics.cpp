// Grouped, normalised, accumulated turn signals: advantages and clip scales (native/ops.h).
//
// Channel by channel over one [K] (or [M]) work array: signal, sums over later turns, z within its group, sums again,
// weighted into the advantages. Every sum over a group is order-independent and every other sum stays inside a
// trajectory, so the bits do not depend on the order of trajectories. Extra memory O(K + M), never [K, channels].
#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <new>
#include <vector>

#include "../backend.h"
#include "../math/accumulate.h"
#include "../math/clip_scale.h"
#include "../math/normalize.h"
#include "turn_groups.h"
#include "valid_turns.h"

namespace turnwise::cpu {

namespace {

constexpr double kAbsent = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool isAbsent(double signal) {
  return signal != signal;
}

/// What stands for a signal whose arithmetic overflowed to NaN: that would read as no signal, and vanish. Infinity
/// reaches the advantages, where the caller sees it.
double present(double value) {
  return isAbsent(value) ? kInfinity : value;
}

class TurnCredit {
 public:
  explicit TurnCredit(const TurnStatistics& args) : args_(args), turnCount_(args.turns.trajectory.size) {}

  bool valid() const {
    for (size_t c = 0; c < std::min(args_.channels.size, args_.channels.capacity); ++c) {
      if (!validChannel(args_.channels[c])) return false;
    }
    const size_t trajectories = args_.groups.size;
    const auto fits = [](auto view, size_t size) { return !view || view.size == size; };
    return sameLengths(args_.turns) && turnCount_ < std::numeric_limits<uint32_t>::max() &&
           trajectories < std::numeric_limits<uint32_t>::max() && fits(args_.outcome, trajectories) &&
           fits(args_.turnRewards, turnCount_) && fits(args_.informationGain, turnCount_) &&
           args_.advantages.size == turnCount_ && args_.clipScale.size == turnCount_ &&
           args_.normalizedSignal.size == turnCount_ && args_.channels.size <= args_.channels.capacity &&
           args_.groupStats.size == args_.channels.size * EnumNames<GroupStat>::count &&
           args_.normalizedChannel < static_cast<int64_t>(args_.channels.size) && !outputsOverlap();
  }

  Status run(const Context& context) {
    trajectory_ = ownCopy(args_.turns.trajectory);
    if (!validTrajectories(trajectory_)) return {StatusCode::invalidArgument, -1};
    if (turnCount_ > 0 && static_cast<size_t>(trajectory_.back()) >= args_.groups.size) {
      return {StatusCode::invalidArgument, -1};
    }
    std::fill_n(args_.advantages.data, turnCount_, 0.0);
    if (args_.normalizedChannel < 0) {
      std::fill_n(args_.clipScale.data, turnCount_, 1.0);
      std::fill_n(args_.normalizedSignal.data, turnCount_, kAbsent);
    }
    for (size_t c = 0; c < args_.channels.size; ++c) {
      if (context.aborted()) return {StatusCode::aborted, -1};
      const Channel& channel = args_.channels[c];
      readSignal(channel);
      if (channel.matchOutcomeStd) matchOutcomeStd(channel);
      if (channel.accumulate == Accumulate::discounted && !isOutcome(channel)) accumulate(channel);
      const Status status = normalizeGroups(channel, &args_.groupStats[c * EnumNames<GroupStat>::count]);
      if (!status) return status;
      if (static_cast<int64_t>(c) == args_.normalizedChannel) expose(channel);
      isOutcome(channel) ? addOutcome(channel) : addTurns(channel);
    }
    if (args_.combine == Combine::join) join();
    return {};
  }

 private:
  static bool isOutcome(const Channel& channel) { return channel.signal == Signal::outcome; }
  static double weightOf(const Channel& channel, size_t turn, size_t end) {
    return turn + 1 == end ? channel.lastWeight : channel.weight;
  }

  /// Every array that the channel reads is there.
  bool validChannel(const Channel& channel) const {
    const bool readsGain = channel.signal == Signal::informationGain || channel.signal == Signal::joined;
    const bool readsOutcome = isOutcome(channel) || channel.signal == Signal::joined || channel.matchOutcomeStd ||
                              (channel.accumulate == Accumulate::discounted && channel.bootstrap == Bootstrap::outcome);
    // A missing array of length 0 is as good as an empty one.
    return (!readsGain || args_.informationGain || turnCount_ == 0) &&
           (channel.signal != Signal::turnReward || args_.turnRewards || turnCount_ == 0) &&
           (!readsOutcome || args_.outcome || args_.groups.size == 0);
  }

  bool outputsOverlap() const {
    const Turns& turns = args_.turns;
    return anyOverlap({args_.advantages, args_.clipScale, args_.normalizedSignal, args_.groupStats},
                      {turns.starts, turns.ends, turns.tokens, turns.trajectory, turns.index, args_.groups,
                       args_.outcome, args_.turnRewards, args_.informationGain});
  }

  bool isExcluded(size_t trajectory) const { return args_.outcome && isAbsent(args_.outcome[trajectory]); }

  /// visit(first, last, trajectory) of every trajectory that has turns [first, last).
  template <class Visit>
  void forEachTrajectory(const Visit& visit) const {
    for (size_t first = 0, last = 0; first < turnCount_; first = last) {
      while (last < turnCount_ && trajectory_[last] == trajectory_[first]) ++last;
      visit(first, last, static_cast<size_t>(trajectory_[first]));
    }
  }

  void readSignal(const Channel& channel) {
    if (isOutcome(channel)) {
      values_.assign(args_.outcome.data, args_.outcome.data + args_.outcome.size);
      return;
    }
    const auto& source = channel.signal == Signal::turnReward ? args_.turnRewards : args_.informationGain;
    values_.assign(source.data, source.data + source.size);
    forEachTrajectory([&](size_t first, size_t last, size_t m) {
      if (isExcluded(m)) {
        std::fill(values_.begin() + first, values_.begin() + last, kAbsent);
      } else if (channel.signal == Signal::joined) {
        values_[last - 1] = args_.outcome[m];
      }
    });
  }

  void matchOutcomeStd(const Channel& channel) {
    const double outcomeStd = flooredStd(presentMoments(args_.outcome.data, args_.outcome.size), channel.stdFloor);
    const double signalStd = flooredStd(presentMoments(values_.data(), values_.size()), channel.stdFloor);
    const double scale = outcomeStd / signalStd;
    // A standard deviation beyond float64 has no ratio.
    const bool overflowed = std::isinf(outcomeStd) || std::isinf(signalStd);
    for (double& value : values_) value = overflowed && !isAbsent(value) ? kInfinity : value * scale;
  }

  GroupMoments presentMoments(const double* values, size_t size) {
    present_.clear();
    std::remove_copy_if(values, values + size, std::back_inserter(present_), isAbsent);
    return groupMoments(present_.size(), 0, [&](size_t i) { return present_[i]; });
  }

  void accumulate(const Channel& channel) {
    forEachTrajectory([&](size_t first, size_t last, size_t m) {
      const double bootstrap = channel.bootstrap == Bootstrap::outcome && !isExcluded(m) ? args_.outcome[m] : 0.0;
      discounted(
          first, last, channel.gamma, bootstrap, [&](size_t k) { return values_[k]; },
          [&](size_t k, double sum) {
            if (!isAbsent(values_[k])) values_[k] = present(sum);
          });
    });
  }

  void groupSignal(const Channel& channel) {
    if (channel.group == GroupBy::batch) {
      groupMembers(
          values_, 1, [](size_t) { return 0u; }, grouped_);
      return;
    }
    if (prompts_.ids.empty()) prompts_ = promptIds(args_.groups);
    if (isOutcome(channel)) {  // has no turn index: by prompt, whatever the finer key
      groupMembers(
          values_, prompts_.count, [&](size_t m) { return prompts_.ids[m]; }, grouped_);
    } else if (channel.group == GroupBy::prompt) {
      const auto promptOf = [&](size_t k) { return prompts_.ids[trajectory_[k]]; };
      groupMembers(values_, prompts_.count, promptOf, grouped_);
    } else {
      if (promptTurns_.ids.empty()) promptTurns_ = promptTurnIds(prompts_, trajectory_, args_.turns.index);
      groupMembers(
          values_, promptTurns_.count, [&](size_t k) { return promptTurns_.ids[k]; }, grouped_);
    }
  }

  /// Replaces every present value by its z; fills the channel's row of groupStats.
  Status normalizeGroups(const Channel& channel, double* stats) {
    groupSignal(channel);
    const auto stat = [&](GroupStat s) -> double& { return stats[static_cast<size_t>(s)]; };
    std::fill_n(stats, EnumNames<GroupStat>::count, 0.0);
    Status status;
    for (size_t g = 0; g + 1 < grouped_.offsets.size(); ++g) {
      const size_t count = grouped_.offsets[g + 1] - grouped_.offsets[g];
      if (count == 0) continue;
      const uint32_t* members = &grouped_.members[grouped_.offsets[g]];
      present_.resize(count);
      for (size_t i = 0; i < count; ++i) present_[i] = values_[members[i]];
      const GroupMoments moments = groupMoments(count, channel.ddof, [&](size_t i) { return present_[i]; });
      for (size_t i = 0; i < count; ++i) {
        // Of an infinite signal nothing is left to compare: not even equal ones have z = 0.
        const double x = present_[i];
        values_[members[i]] = std::isinf(x) ? x : present(normalize(x, moments, channel));
      }

      const double size = static_cast<double>(count);
      stat(GroupStat::smallest) = stat(GroupStat::groups) == 0 ? size : std::min(stat(GroupStat::smallest), size);
      stat(GroupStat::largest) = std::max(stat(GroupStat::largest), size);
      stat(GroupStat::groups) += 1;
      stat(GroupStat::members) += size;
      stat(GroupStat::zeroVariance) += count > 1 && moments.allEqual;
      if (count > 1) continue;
      stat(GroupStat::singletons) += 1;
      const int64_t position = members[0];
      if (channel.singleton == Singleton::fail && (status || position < status.position)) {
        status = {StatusCode::groupOfOne, position};
      }
    }
    return status;
  }

  /// Shows z as normalizedSignal and clip scale: taken here, before sums over later turns blur it.
  void expose(const Channel& channel) {
    for (size_t k = 0; k < turnCount_; ++k) {
      const double z = values_[isOutcome(channel) ? static_cast<size_t>(trajectory_[k]) : k];
      args_.normalizedSignal[k] = z;
      args_.clipScale[k] = clipScale(z, args_.clipScaleBeta);
    }
  }

  void addTurns(const Channel& channel) {
    forEachTrajectory([&](size_t first, size_t last, size_t) {
      const auto z = [&](size_t k) { return values_[k]; };
      const auto add = [&](size_t k, double value) { args_.advantages[k] += weightOf(channel, k, last) * value; };
      if (channel.then == Accumulate::none) {
        for (size_t k = first; k < last; ++k) add(k, isAbsent(z(k)) ? 0.0 : z(k));
      } else if (channel.thenDivide == Divide::sqrtTerms) {
        discountedBySqrtTerms(first, last, channel.thenGamma, z, add);
      } else {
        discounted(first, last, channel.thenGamma, 0.0, z, add);
      }
    });
  }

  /// To every turn of the trajectory; joined to the turns' sequence: on the last one only, whence the sum carries it
  /// back.
  void addOutcome(const Channel& channel) {
    forEachTrajectory([&](size_t first, size_t last, size_t m) {
      const double z = values_[m];
      if (isAbsent(z)) return;
      for (size_t k = args_.combine == Combine::join ? last - 1 : first; k < last; ++k) {
        args_.advantages[k] += weightOf(channel, k, last) * z;
      }
    });
  }

  void join() {
    forEachTrajectory([&](size_t first, size_t last, size_t) {
      discounted(
          first, last, args_.joinGamma, 0.0, [&](size_t k) { return present(args_.advantages[k]); },
          [&](size_t k, double sum) { args_.advantages[k] = sum; });
    });
  }

  const TurnStatistics& args_;
  const size_t turnCount_;
  // As checked, while the caller's may change meanwhile. Groups and turn indices need no copy: each is read once, and
  // never as an index.
  std::vector<int32_t> trajectory_;
  DenseIds prompts_, promptTurns_;
  std::vector<double> values_;  // the channel at work: [K], or [M] of an outcome; NaN = absent
  GroupMembers grouped_;
  std::vector<double> present_;  // the values of one group side by side
};

}  // namespace

Status turnStatistics(const TurnStatistics& args, Context& context) {
  TurnCredit credit(args);
  if (!credit.valid()) return {StatusCode::invalidArgument, -1};
  try {
    return credit.run(context);
  } catch (const std::bad_alloc&) {
    return {StatusCode::outOfMemory, -1};
  }
}

}  // namespace turnwise::cpu
