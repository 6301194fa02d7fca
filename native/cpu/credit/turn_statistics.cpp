// Credit assignment: grouped, normalised, accumulated signals; advantages and clip scales (native/ops.h).
//
//   signal -> accumulate -> group -> transform, center, scale (z) -> then -> cap, gate -> weight, combined over
//   channels
//   -> modulate -> whiten
//
// Channel by channel over one work array with an entry per loss token, turn or trajectory. Every sum over a group is
// order-independent and every other sum stays inside a trajectory, so the bits do not depend on the order of
// trajectories. Never materialised: an array over entries and channels, or over nodes and their descendants.
#include "../../checks/turn_statistics.h"

#include <new>

#include "accumulate_signal.h"
#include "channel_signal.h"
#include "combine_channels.h"
#include "finish_advantages.h"
#include "layout.h"
#include "normalize_groups.h"
#include "turn_groups.h"
#include "turn_tree.h"

namespace turnwise::cpu {

namespace {

class CreditAssignment {
 public:
  CreditAssignment(const TurnStatistics& args, const Layout& layout)
      : args_(args),
        layout_(layout),
        tree_(args, layout),
        keys_(args, layout, tree_),
        normalizer_(layout, keys_, tree_),
        combiner_(args, layout, keys_) {}

  Status run(const Context& context) {
    if (readsTree(args_)) {
      if (const Status status = tree_.build(keys_); !status) return status;
    }
    for (size_t c = 0; c < args_.channels.size; ++c) {
      if (context.aborted()) return {StatusCode::aborted, -1};
      if (const Status status = assign(args_.channels[c], static_cast<int64_t>(c)); !status) return status;
    }
    combiner_.finish();
    modulateAdvantages(args_, layout_, combiner_.advantages());
    whitenAdvantages(args_, layout_, combiner_.advantages());
    combiner_.write();
    return {};
  }

 private:
  Status assign(const Channel& channel, int64_t c) {
    entries_.level = channel.level;
    readSignal(args_, layout_, channel, entries_.values);
    if (channel.matchOutcomeStd) matchOutcomeStd(layout_, channel, entries_.values);
    accumulate(channel);
    double* stats = args_.groupStats.data + static_cast<size_t>(c) * EnumNames<GroupStat>::count;
    if (const Status status = normalizer_.run(channel, entries_.values, stats); !status) return status;
    if (c == args_.normalizedChannel) combiner_.expose(entries_);
    then(channel);
    combiner_.capAndGate(channel, entries_);
    combiner_.add(channel, entries_);
    return {};
  }

  void accumulate(const Channel& channel) {
    switch (channel.accumulate) {
      case Accumulate::none:
        return;
      case Accumulate::discounted:
        return discountSignal(layout_, channel, entries_.values);
      case Accumulate::gae:
        return estimateAdvantages(args_, layout_, channel, entries_.values);
      case Accumulate::tree:
        return tree_.backUp(channel, leafValues(channel), entries_.values);
    }
  }

  /// What the trajectories of the tree end in.
  std::vector<double> leafValues(const Channel& channel) const {
    Channel leaves;
    leaves.level = Level::sequence;
    leaves.trajectorySignal = channel.trajectorySignal;
    std::vector<double> values;
    readSignal(args_, layout_, leaves, values);
    return values;
  }

  void then(const Channel& channel) {
    if (channel.then != Then::tree) return sumLater(layout_, channel, entries_);
    std::vector<double> leaves;
    leaves.swap(entries_.values);
    tree_.backUp(channel, leaves, entries_.values);
    entries_.level = Level::turn;
  }

  const TurnStatistics& args_;
  const Layout& layout_;
  TurnTree tree_;
  GroupKeys keys_;
  GroupNormalizer normalizer_;
  ChannelCombiner combiner_;
  Entries entries_;  // the channel at work
};

}  // namespace

Status turnStatistics(const TurnStatistics& args, Context& context) {
  if (!validArguments(args)) return {StatusCode::invalidArgument, -1};
  try {
    Layout layout;
    if (!layout.read(args)) return {StatusCode::invalidArgument, -1};
    return CreditAssignment(args, layout).run(context);
  } catch (const std::bad_alloc&) {
    return {StatusCode::outOfMemory, -1};
  }
}

}  // namespace turnwise::cpu
