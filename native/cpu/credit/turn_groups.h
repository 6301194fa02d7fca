// Who is compared with whom: group keys become dense ids, ids become contiguous runs of members.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../../ops.h"
#include "layout.h"

namespace turnwise::cpu {

class TurnTree;

/// Ids below `count`, one per distinct key; not every number needs to be taken.
struct DenseIds {
  std::vector<uint32_t> ids;
  uint32_t count = 0;
};

/// Ids of the pairs (ids[i], keys[i]), written over the former.
DenseIds pairIds(DenseIds ids, const View<const int32_t>& keys);

/// The group of every entry of a channel. What several channels may ask for is kept.
class GroupKeys {
 public:
  GroupKeys(const TurnStatistics& args, const Layout& layout, const TurnTree& tree)
      : args_(args), layout_(layout), tree_(tree) {}

  /// The prompt of every trajectory.
  const DenseIds& prompts();
  /// The prompt of every turn.
  DenseIds turnPrompts();
  /// The group of every entry at `level`, as the channel says; valid until the next call.
  const DenseIds& of(const Channel& channel, Level level);

 private:
  const DenseIds& ofTurns(const Channel& channel);

  const TurnStatistics& args_;
  const Layout& layout_;
  const TurnTree& tree_;
  DenseIds prompts_, promptTurns_;
  DenseIds own_;  // of the channel at work
};

/// The members of every group, in CSR: group g owns members[offsets[g] .. offsets[g + 1]).
struct GroupMembers {
  std::vector<uint32_t> offsets;  // [groups + 1]
  std::vector<uint32_t> members;  // entries, ascending within a group
  size_t groups() const { return offsets.size() - 1; }
};

/// Counting sort of the entries i with isMember(i), by ids[i] < groupCount.
template <class IsMember>
void groupMembers(const std::vector<uint32_t>& ids, size_t groupCount, const IsMember& isMember,
                  GroupMembers& grouped) {
  auto& offsets = grouped.offsets;
  offsets.assign(groupCount + 1, 0);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (isMember(i)) ++offsets[ids[i] + size_t{1}];
  }
  for (size_t g = 0; g < groupCount; ++g) offsets[g + 1] += offsets[g];
  grouped.members.resize(offsets[groupCount]);
  // While filling, offsets[g] is the cursor of group g; afterwards its end, so everything moves up by one.
  for (size_t i = 0; i < ids.size(); ++i) {
    if (isMember(i)) grouped.members[offsets[ids[i]]++] = static_cast<uint32_t>(i);
  }
  for (size_t g = groupCount; g > 0; --g) offsets[g] = offsets[g - 1];
  offsets[0] = 0;
}

}  // namespace turnwise::cpu
