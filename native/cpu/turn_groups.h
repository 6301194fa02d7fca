// Who is compared with whom: group keys become dense ids, ids become contiguous runs of members.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../ops.h"

namespace turnwise::cpu {

/// Dense ids 0 .. count - 1 of some keys, numbered by first appearance.
struct DenseIds {
  std::vector<uint32_t> ids;
  uint32_t count = 0;
};

/// Ids of the prompts of the trajectories, `groups` [M].
DenseIds promptIds(View<const int32_t> groups);
/// Ids of (prompt of the trajectory, index) of the turns.
DenseIds promptTurnIds(const DenseIds& prompts, const std::vector<int32_t>& trajectory, View<const int32_t> index);

/// The members of every group, in CSR: group g owns members[offsets[g] .. offsets[g + 1]).
struct GroupMembers {
  std::vector<uint32_t> offsets;  // [groups + 1]
  std::vector<uint32_t> members;  // positions, ascending within a group
};

/// Counting sort of the positions of the values that are not NaN. `idOf(i)` < groupCount.
template <class IdOf>
void groupMembers(const std::vector<double>& values, uint32_t groupCount, const IdOf& idOf, GroupMembers& grouped) {
  auto& offsets = grouped.offsets;
  offsets.assign(groupCount + size_t{1}, 0);
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] == values[i]) ++offsets[idOf(i) + size_t{1}];
  }
  for (size_t g = 0; g < groupCount; ++g) offsets[g + 1] += offsets[g];
  grouped.members.resize(offsets[groupCount]);
  // While filling, offsets[g] is the cursor of group g; afterwards its end, so everything moves up by one.
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] == values[i]) grouped.members[offsets[idOf(i)]++] = static_cast<uint32_t>(i);
  }
  for (size_t g = groupCount; g > 0; --g) offsets[g] = offsets[g - 1];
  offsets[0] = 0;
}

}  // namespace turnwise::cpu
