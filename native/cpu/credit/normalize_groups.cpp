// One group at a time: its values side by side, so that transform, center and scale run over contiguous memory.
#include "normalize_groups.h"

#include <algorithm>
#include <cmath>

#include "../../math/weighted_moments.h"
#include "absent.h"
#include "group_statistics.h"

namespace turnwise::cpu {

namespace {

/// One group's line in the channel's row of groupStats.
void count(double* stats, size_t members, bool allEqual) {
  const auto stat = [&](GroupStat s) -> double& { return stats[static_cast<size_t>(s)]; };
  const double size = static_cast<double>(members);
  stat(GroupStat::smallest) = stat(GroupStat::groups) == 0 ? size : std::min(stat(GroupStat::smallest), size);
  stat(GroupStat::largest) = std::max(stat(GroupStat::largest), size);
  stat(GroupStat::groups) += 1;
  stat(GroupStat::members) += size;
  stat(GroupStat::singletons) += members == 1;
  stat(GroupStat::zeroVariance) += members > 1 && allEqual;
}

}  // namespace

Status GroupNormalizer::run(const Channel& channel, std::vector<double>& values, double* stats) {
  group(channel, values);
  if (channel.members == Members::first) {
    owner_.resize(values.size());
    layout_.forEachRun(channel.level, [&](const Run& run) {
      std::fill(owner_.begin() + run.first, owner_.begin() + run.end, static_cast<uint32_t>(run.trajectory));
    });
  }
  if (channel.center == Center::lengthWeighted) weights_ = layout_.lossTokens(channel.level);
  batchVariance_ = channel.scale == Scale::batchStd ? batchVariance(channel, values) : 0.0;
  std::fill_n(stats, EnumNames<GroupStat>::count, 0.0);
  Status status;
  for (size_t g = 0; g < grouped_.groups(); ++g) {
    if (groupAt(g).size == 0) continue;
    const Status alone = normalizeGroup(channel, groupAt(g), values, stats);
    if (!alone && (status || alone.position < status.position)) status = alone;
  }
  if (channel.group == GroupBy::parent) {
    for (size_t k = 0; k < values.size(); ++k) {
      if (!isAbsent(values[k])) values[k] = values[sameAs_[k]];
    }
  }
  return status;
}

void GroupNormalizer::group(const Channel& channel, const std::vector<double>& values) {
  const DenseIds& ids = keys_.of(channel, channel.level);
  if (channel.group != GroupBy::parent) {
    groupMembers(
        ids.ids, ids.count, [&](size_t i) { return !isAbsent(values[i]); }, grouped_);
    return;
  }
  // Every node once, through the first of its turns that has a value.
  std::vector<uint32_t> firstTurn(tree_.nodeCount(), static_cast<uint32_t>(values.size()));
  sameAs_.resize(values.size());
  for (size_t k = 0; k < values.size(); ++k) {
    uint32_t& first = firstTurn[tree_.nodeOf(k)];
    if (!isAbsent(values[k])) first = std::min(first, static_cast<uint32_t>(k));
    sameAs_[k] = first;
  }
  groupMembers(
      ids.ids, ids.count, [&](size_t k) { return sameAs_[k] == k; }, grouped_);
}

/// The group's values into x_, and what its statistics are over.
void GroupNormalizer::load(const Channel& channel, const Group& group, const std::vector<double>& values) {
  x_.resize(group.size);
  for (size_t i = 0; i < group.size; ++i) x_[i] = values[group.entries[i]];
  if (channel.transform == Transform::rankGauss && group.size > 1) rankGauss(x_);
  if (channel.members == Members::first) loadFirsts(group);
}

/// Entries of a trajectory stand together, so the first of each is where the trajectory changes.
void GroupNormalizer::loadFirsts(const Group& group) {
  firsts_.clear();
  firstEntries_.clear();
  for (size_t i = 0; i < group.size; ++i) {
    if (i > 0 && owner_[group.entries[i]] == owner_[group.entries[i - 1]]) continue;
    firsts_.push_back(x_[i]);
    firstEntries_.push_back(group.entries[i]);
  }
}

/// Over what the statistics of all groups are over, groups of one included; 0 for fewer than two.
double GroupNormalizer::batchVariance(const Channel& channel, const std::vector<double>& values) {
  std::vector<double> all;
  for (size_t g = 0; g < grouped_.groups(); ++g) {
    load(channel, groupAt(g), values);
    // The transform of a group of one: the quantile of 1/2.
    if (x_.size() == 1 && channel.transform == Transform::rankGauss) x_[0] = 0.0;
    const std::vector<double>& members = channel.members == Members::first ? firsts_ : x_;
    all.insert(all.end(), members.begin(), members.end());
  }
  return all.size() < 2 ? 0.0 : groupMoments(all.size(), channel.ddof, [&](size_t i) { return all[i]; }).variance;
}

/// x_ minus the center of the group.
void GroupNormalizer::subtractCenter(const Channel& channel, const Group& group, const GroupMoments& moments) {
  switch (channel.center) {
    case Center::none:
      return;
    case Center::mean:
      return shift(moments.mean);
    case Center::leaveOneOut: {
      // RLOO (arXiv 2402.14740): x minus the mean of the others.
      const double n = static_cast<double>(moments.count);
      shift(moments.mean);
      for (double& x : x_) x = x * n / (n - 1);
      return;
    }
    case Center::median:
      return shift(medianOf(statistics(channel), moments.count));
    case Center::lengthWeighted:
      return shift(lengthWeightedMean(channel, group, moments));
    case Center::given:
      for (size_t i = 0; i < group.size; ++i) {
        x_[i] -= channel.baseline[layout_.position(channel.level, group.entries[i])];
      }
      return;
  }
}

void GroupNormalizer::shift(double center) {
  for (double& x : x_) x -= center;
}

/// OPO (arXiv 2505.23585); the plain mean where nothing has weight.
double GroupNormalizer::lengthWeightedMean(const Channel& channel, const Group& group,
                                           const GroupMoments& moments) const {
  const double* x = statistics(channel);
  const uint32_t* entries = channel.members == Members::first ? firstEntries_.data() : group.entries;
  const WeightedMoments weighted = weightedMoments(
      moments.count, 0, [&](size_t i) { return x[i]; }, [&](size_t i) { return weights_[entries[i]]; });
  return weighted.weight > 0 ? weighted.mean : moments.mean;
}

Status GroupNormalizer::normalizeGroup(const Channel& channel, const Group& group, std::vector<double>& values,
                                       double* stats) {
  load(channel, group, values);
  const double* members = statistics(channel);
  const size_t n = channel.members == Members::first ? firsts_.size() : x_.size();
  const GroupMoments moments = groupMoments(n, channel.ddof, [&](size_t i) { return members[i]; });
  count(stats, n, moments.allEqual);
  if (n == 1 && channel.singleton == Singleton::raw) {
    // A given baseline compares with nobody, so it is taken off all the same.
    if (channel.center != Center::given) return {};
    subtractCenter(channel, group, moments);
    for (size_t i = 0; i < group.size; ++i) values[group.entries[i]] = present(x_[i]);
    return {};
  }
  double divisor = 1.0;
  const bool equal = moments.allEqual && centersOnMembers(channel.center);
  if (n == 1) {
    shift(members[0]);  // the only entry, or as far as others are from it
  } else if (equal && (channel.scale == Scale::none || channel.leastStd > 0)) {
    shift(members[0]);
    divisor = divisorOf(0.0, channel);
  } else if (equal) {
    std::fill(x_.begin(), x_.end(), 0.0);  // no spread to measure others by
  } else {
    subtractCenter(channel, group, moments);
    divisor = divisorOf(channel.scale == Scale::batchStd ? batchVariance_ : moments.variance, channel);
  }
  for (size_t i = 0; i < group.size; ++i) {
    double& value = values[group.entries[i]];
    // Of an infinite signal nothing is left to compare: not even equal ones have z = 0.
    value = std::isinf(value) ? value : present(scaled(x_[i], divisor));
  }
  if (n > 1 || channel.singleton != Singleton::fail) return {};
  return {StatusCode::groupOfOne, static_cast<int64_t>(layout_.position(channel.level, group.entries[0]))};
}

}  // namespace turnwise::cpu
