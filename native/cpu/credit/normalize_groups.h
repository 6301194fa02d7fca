// z of every signal among those it is compared with: transform, center and scale of one channel's groups.
#pragma once
#include <vector>

#include "../../backend.h"
#include "../../math/normalize.h"
#include "layout.h"
#include "turn_groups.h"
#include "turn_tree.h"

namespace turnwise::cpu {

class GroupNormalizer {
 public:
  GroupNormalizer(const Layout& layout, GroupKeys& keys, const TurnTree& tree)
      : layout_(layout), keys_(keys), tree_(tree) {}

  /// Replaces every present value by its z and fills the channel's row of groupStats. group-of-one: where the channel
  /// refuses one.
  Status run(const Channel& channel, std::vector<double>& values, double* stats);

 private:
  struct Group {
    const uint32_t* entries;
    size_t size;
  };

  void group(const Channel& channel, const std::vector<double>& values);
  Group groupAt(size_t g) const {
    return {grouped_.members.data() + grouped_.offsets[g], grouped_.offsets[g + 1] - grouped_.offsets[g]};
  }
  void load(const Channel& channel, const Group& group, const std::vector<double>& values);
  void loadFirsts(const Group& group);
  double batchVariance(const Channel& channel, const std::vector<double>& values);
  Status normalizeGroup(const Channel& channel, const Group& group, std::vector<double>& values, double* stats);
  const double* statistics(const Channel& channel) const {
    return channel.members == Members::first ? firsts_.data() : x_.data();
  }

  const Layout& layout_;
  GroupKeys& keys_;
  const TurnTree& tree_;

  // Of the channel at work.
  std::vector<uint32_t> sameAs_;  // group parent: the turn whose z each turn takes
  std::vector<uint32_t> owner_;   // members first: trajectory of every entry
  std::vector<double> weights_;   // center length-weighted: loss tokens of every entry
  GroupMembers grouped_;
  double batchVariance_ = 0;
  // Of the group at work.
  std::vector<double> x_;               // values side by side, transformed
  std::vector<double> firsts_;          // those that the statistics are over, where they are not all
  std::vector<uint32_t> firstEntries_;  // and their entries
};

}  // namespace turnwise::cpu
