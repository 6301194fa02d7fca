// Who is compared with whom: items sorted by the key of their group, which then stand side by side, and crews of the
// size of a group that work on them.
#pragma once
#include "work.cuh"

namespace turnwise::cuda {

struct Groups {
  GroupWork at;
  size_t count, items;
  __device__ size_t first(size_t g) const { return at.offsets[g]; }
  __device__ size_t size(size_t g) const { return at.offsets[g + 1] - at.offsets[g]; }
};

/// Sorts order[0..n) by work.keys, stably. Synchronised before and after.
TURNWISE_NOT_INLINED __device__ inline void sortByKeys(const Team& team, const SortWork& work, size_t n,
                                                       uint32_t* order) {
  team.sort(n, order, work.other, work.counts, [&](uint32_t item) { return work.keys[item]; });
}

/// Groups of the items that to.members lists. Synchronised before and after.
TURNWISE_NOT_INLINED __device__ inline Groups groupListed(const Team& team, const SortWork& work, const GroupWork& to,
                                                          size_t items) {
  sortByKeys(team, work, items, to.members);
  const auto key = [&](size_t i) { return work.keys[to.members[i]]; };
  const auto isFirst = [&](size_t i) { return i == 0 || key(i) != key(i - 1); };
  const size_t count = team.scan(items, isFirst, [&](size_t i, uint64_t before) {
    const bool begins = isFirst(i);
    if (begins) to.offsets[before] = static_cast<uint32_t>(i);
    work.groupOf[i] = static_cast<uint32_t>(begins ? before : before - 1);
  });
  if (team.rank() == 0) to.offsets[count] = static_cast<uint32_t>(items);
  team.sync();
  return {to, count, items};
}

/// The items i < n with isMember(i) by keyOf(i), those of one group in ascending order. Afterwards work.keys has the
/// keys and work.groupOf the group of every place. Synchronised before and after.
template <class IsMember, class KeyOf>
__device__ Groups groupItems(const Team& team, const SortWork& work, const GroupWork& to, size_t n,
                             const IsMember& isMember, const KeyOf& keyOf) {
  const size_t items = team.scan(n, isMember, [&](size_t i, uint64_t before) {
    if (!isMember(i)) return;
    to.members[before] = static_cast<uint32_t>(i);
    work.keys[i] = keyOf(i);
  });
  return groupListed(team, work, to, items);
}

/// A warp or the whole team, so that what both do is compiled once.
class GroupCrew {
 public:
  __device__ GroupCrew(const Team& team, bool isWarp) : team_(team), isWarp_(isWarp) {}
  __device__ size_t rank() const { return isWarp_ ? warp_.rank() : team_.rank(); }
  __device__ size_t size() const { return isWarp_ ? warp_.size() : team_.size(); }
  __device__ double largest(double x) const { return isWarp_ ? warp_.largest(x) : team_.largest(x); }
  __device__ double smallest(double x) const { return isWarp_ ? warp_.smallest(x) : team_.smallest(x); }
  __device__ uint64_t sum(uint64_t count) const { return isWarp_ ? warp_.sum(count) : team_.sum(count); }
  __device__ bool all(bool flag) const { return isWarp_ ? warp_.all(flag) : team_.all(flag); }
  template <class Sum>
  __device__ Sum together(const Sum& sum) const {
    return isWarp_ ? warp_.together(sum) : team_.together(sum);
  }

 private:
  const Team& team_;
  Warp warp_;
  bool isWarp_;
};

template <class Visit>
TURNWISE_NOT_INLINED __device__ void visitGroup(const GroupCrew& crew, size_t g, const Visit& visit) {
  visit(crew, g);
}

/// visit(crew, g) of the groups begin <= g < end, by one warp or, if a group is large, by the whole team. Not
/// synchronised.
template <class Visit>
__device__ void forEachGroup(const Team& team, const SortWork& work, const Groups& groups, size_t begin, size_t end,
                             const Visit& visit) {
  const auto isLarge = [&](size_t g) { return groups.size(g) > kLargestOfWarp; };
  for (size_t g = begin + team.rank() / kWarpSize; g < end; g += team.size() / kWarpSize) {
    if (!isLarge(g)) visitGroup(GroupCrew(team, true), g, visit);
  }
  if (groups.items <= kLargestOfWarp) return;
  const size_t count = team.scan(
      end - begin, [&](size_t i) { return isLarge(begin + i); },
      [&](size_t i, uint64_t before) {
        if (isLarge(begin + i)) work.large[before] = static_cast<uint32_t>(begin + i);
      });
  for (size_t i = 0; i < count; ++i) visitGroup(GroupCrew(team, false), work.large[i], visit);
}

template <class Visit>
__device__ void forEachGroup(const Team& team, const SortWork& work, const Groups& groups, const Visit& visit) {
  forEachGroup(team, work, groups, 0, groups.count, visit);
}

}  // namespace turnwise::cuda
