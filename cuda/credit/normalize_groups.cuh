// z of every signal among those it is compared with (native/cpu/credit/normalize_groups.h): transform, center and scale
// of one channel's groups, whose values stand side by side.
//
// A place is an index into the sorted members of all groups. What needs values in order, ranks and medians, sorts
// places by value and then, stably, by group.
#pragma once
#include "../../native/math/normal_quantile.h"
#include "../../native/math/normalize.h"
#include "../../native/math/weighted_moments.h"
#include "tree.cuh"

namespace turnwise::cuda {

/// In ascending order of the doubles, which are not NaN.
__device__ inline uint64_t orderedBits(double x) {
  uint64_t word;
  memcpy(&word, &x, sizeof word);
  return word >> 63 ? ~word : word | uint64_t{1} << 63;
}

class GroupNormalizer {
 public:
  __device__ GroupNormalizer(const Batch& batch, const Tree& tree, const Channel& channel)
      : batch_(batch), tree_(tree), channel_(channel) {}

  /// Replaces every present value by its z and fills the channel's row of groupStats. Reports group-of-one where the
  /// channel refuses one. By all members, after a barrier.
  TURNWISE_NOT_INLINED __device__ void run(double* stats, ErrorWord* error) {
    const CreditWork& work = batch_.work;
    group();
    batch_.team.forEach(groups_.items, [&](size_t i) { work.x[i] = work.values[work.groups.members[i]]; });
    if (channel_.members == Members::first) findFirsts();
    batch_.team.sync();
    if (channel_.transform == Transform::rankGauss)
      rankGauss();
    else if (channel_.center == Center::median)
      sortSample();
    const double batchVariance = channel_.scale == Scale::batchStd ? varianceOfBatch() : 0.0;

    double counts[EnumNames<GroupStat>::count] = {};
    forEachGroup(batch_.team, work.sort, groups_,
                 [&](const auto& crew, size_t g) { normalizeGroup(crew, g, batchVariance, counts, error); });
    writeStats(counts, stats);  // also a barrier
    if (channel_.group == GroupBy::parent) {
      batch_.team.forEach(batch_.layout.turnCount(), [&](size_t k) {
        const uint32_t same = work.sameAs[k];
        if (same != k && !isAbsent(work.values[k])) work.values[k] = work.values[same];
      });
    }
  }

 private:
  __device__ void group() {
    const CreditWork& work = batch_.work;
    const bool byParent = channel_.group == GroupBy::parent;
    if (byParent) tree_.findFirsts(work.values);  // every node once
    groups_ = groupItems(
        batch_.team, work.sort, work.groups, batch_.layout.size(channel_.level),
        [&](size_t e) { return byParent ? work.sameAs[e] == e : !isAbsent(work.values[e]); },
        [&](size_t e) { return keyOf(e); });
    sampleSize_ = groups_.items;
  }

  __device__ uint64_t keyOf(size_t e) const {
    if (channel_.group == GroupBy::batch) return 0;
    const size_t m = batch_.layout.trajectoryOf(channel_.level, e);
    const uint64_t prompt = batch_.work.prompt[m];
    const auto with = [&](int32_t key) { return prompt << 32 | static_cast<uint32_t>(key); };
    if (channel_.level == Level::sequence) {  // an outcome has no turn: by prompt alone
      return channel_.group == GroupBy::promptKey ? with(channel_.keys[m]) : prompt;
    }
    const size_t k = batch_.layout.turnOf(channel_.level, e);
    switch (channel_.group) {
      case GroupBy::promptTurn:
        return with(batch_.args.turns.index[k]);
      case GroupBy::promptKey:
        return with(channel_.keys[k]);
      case GroupBy::parent:
        return tree_.parentOf(k);
      case GroupBy::batch:
      case GroupBy::prompt:
        break;
    }
    return prompt;
  }

  // What the statistics are over: all places, or with members first those of the first entry of each trajectory in
  // its group. Entries of a trajectory stand together.
  __device__ size_t samplePlace(size_t j) const {
    return channel_.members == Members::first ? batch_.work.sample[j] : j;
  }
  __device__ size_t sampleFirst(size_t g) const {
    return channel_.members == Members::first ? batch_.work.sampleOffsets[g] : groups_.first(g);
  }
  __device__ void findFirsts() {
    const CreditWork& work = batch_.work;
    const auto begins = [&](size_t i) { return i == 0 || work.sort.groupOf[i] != work.sort.groupOf[i - 1]; };
    const auto owner = [&](size_t i) { return batch_.layout.trajectoryOf(channel_.level, work.groups.members[i]); };
    const auto isFirst = [&](size_t i) { return begins(i) || owner(i) != owner(i - 1); };
    sampleSize_ = batch_.team.scan(groups_.items, isFirst, [&](size_t i, uint64_t before) {
      if (isFirst(i)) work.sample[before] = static_cast<uint32_t>(i);
      if (begins(i)) work.sampleOffsets[work.sort.groupOf[i]] = static_cast<uint32_t>(before);
    });
    if (batch_.team.rank() == 0) work.sampleOffsets[groups_.count] = static_cast<uint32_t>(sampleSize_);
  }

  /// work.sorted: the places of the sample by group and value.
  __device__ void sortSample() const {
    const SortWork& work = batch_.work.sort;
    uint32_t* const sorted = batch_.work.sorted;
    batch_.team.forEach(sampleSize_, [&](size_t j) {
      const size_t place = samplePlace(j);
      sorted[j] = static_cast<uint32_t>(place);
      work.keys[place] = orderedBits(batch_.work.x[place]);
    });
    sortByKeys(batch_.team, work, sampleSize_, sorted);
    batch_.team.forEach(groups_.items, [&](size_t i) { work.keys[i] = work.groupOf[i]; });
    sortByKeys(batch_.team, work, sampleSize_, sorted);
  }

  /// Every x becomes the quantile of its rank; their order stays.
  __device__ void rankGauss() const {
    const CreditWork& work = batch_.work;
    sortSample();
    const auto bound = [&](size_t first, size_t end, const auto& isBefore) {
      while (first < end) {
        const size_t middle = first + (end - first) / 2;
        if (isBefore(work.x[work.sorted[middle]]))
          first = middle + 1;
        else
          end = middle;
      }
      return first;
    };
    batch_.team.forEach(groups_.items, [&](size_t i) {
      const size_t g = work.sort.groupOf[i], first = groups_.first(g), n = groups_.size(g);
      const double x = work.x[i];
      const size_t lower = bound(first, first + n, [&](double other) { return other < x; });
      const size_t upper = bound(lower, first + n, [&](double other) { return !(x < other); });
      work.spare[i] = n > 1 ? rankQuantile(lower - first, upper - first, n) : x;
    });
    batch_.team.sync();
    batch_.team.forEach(groups_.items, [&](size_t i) { work.x[i] = work.spare[i]; });
    batch_.team.sync();
  }

  /// Over what the statistics of all groups are over, groups of one included; 0 for fewer than two.
  __device__ double varianceOfBatch() const {
    if (sampleSize_ < 2) return 0.0;
    const CreditWork& work = batch_.work;
    const bool isTransformed = channel_.transform == Transform::rankGauss;
    return groupMoments(batch_.team, sampleSize_, channel_.ddof,
                        [&](size_t j) {
                          const size_t place = samplePlace(j);
                          // The transform of a group of one: the quantile of 1/2.
                          return isTransformed && groups_.size(work.sort.groupOf[place]) == 1 ? 0.0 : work.x[place];
                        })
        .variance;
  }

  template <class Crew>
  __device__ void normalizeGroup(const Crew& crew, size_t g, double batchVariance, double* counts,
                                 ErrorWord* error) const {
    const CreditWork& work = batch_.work;
    const Layout& layout = batch_.layout;
    const Level level = channel_.level;
    const size_t begin = sampleFirst(g), n = sampleFirst(g + 1) - begin;
    const auto member = [&](size_t i) { return work.x[samplePlace(begin + i)]; };
    const GroupMoments moments = groupMoments(crew, n, channel_.ddof, member);
    const GroupRule rule = groupRule(
        channel_, moments, batchVariance,
        [&] { return medianOf(n, [&](size_t rank) { return work.x[work.sorted[begin + rank]]; }); },
        [&] {
          return lengthWeightedMean(crew, moments, member, [&](size_t i) {
            return layout.lossTokens(level, work.groups.members[samplePlace(begin + i)]);
          });
        });
    const size_t first = groups_.first(g);
    for (size_t i = first + crew.rank(); i < first + groups_.size(g); i += crew.size()) {
      const size_t e = work.groups.members[i];
      const double center = rule.usesBaseline ? channel_.baseline[layout.position(level, e)] : rule.center;
      work.values[e] = rule(work.values[e], work.x[i], center);
    }
    if (crew.rank() != 0) return;
    countGroup(counts, moments);
    if (n > 1 || channel_.singleton != Singleton::fail) return;
    report(error, StatusCode::groupOfOne, static_cast<int64_t>(layout.position(level, work.groups.members[first])));
  }

  /// The counts of all members together.
  __device__ void writeStats(const double* counts, double* stats) const {
    const Team& team = batch_.team;
    const auto mine = [&](GroupStat s) { return counts[static_cast<size_t>(s)]; };
    const auto write = [&](GroupStat s, double value) {
      if (team.rank() == 0) stats[static_cast<size_t>(s)] = value;
    };
    for (const GroupStat s : {GroupStat::groups, GroupStat::singletons, GroupStat::zeroVariance, GroupStat::members}) {
      write(s, static_cast<double>(team.sum(static_cast<uint64_t>(mine(s)))));
    }
    const double smallest = team.smallest(mine(GroupStat::groups) > 0 ? mine(GroupStat::smallest) : HUGE_VAL);
    write(GroupStat::smallest, smallest < HUGE_VAL ? smallest : 0.0);
    write(GroupStat::largest, team.largest(mine(GroupStat::largest)));
  }

  const Batch& batch_;
  const Tree& tree_;
  const Channel& channel_;
  Groups groups_{};
  size_t sampleSize_ = 0;
};

}  // namespace turnwise::cuda
