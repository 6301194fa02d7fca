// One group at a time: its values side by side, so that transform, center and scale run over contiguous memory.
#include "normalize_groups.h"

#include <algorithm>

#include "../../math/absent.h"
#include "../../math/weighted_moments.h"
#include "group_statistics.h"

namespace turnwise::cpu {

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

Status GroupNormalizer::normalizeGroup(const Channel& channel, const Group& group, std::vector<double>& values,
                                       double* stats) {
  load(channel, group, values);
  const double* members = statistics(channel);
  const size_t n = channel.members == Members::first ? firsts_.size() : x_.size();
  const GroupMoments moments = groupMoments(n, channel.ddof, [&](size_t i) { return members[i]; });
  countGroup(stats, moments);
  const GroupRule rule = groupRule(
      channel, moments, batchVariance_, [&] { return medianOf(members, n); },
      [&] {
        const uint32_t* entries = channel.members == Members::first ? firstEntries_.data() : group.entries;
        return lengthWeightedMean(
            Solo(), moments, [&](size_t i) { return members[i]; }, [&](size_t i) { return weights_[entries[i]]; });
      });
  for (size_t i = 0; i < group.size; ++i) {
    const size_t e = group.entries[i];
    const double center = rule.usesBaseline ? channel.baseline[layout_.position(channel.level, e)] : rule.center;
    values[e] = rule(values[e], x_[i], center);
  }
  if (n > 1 || channel.singleton != Singleton::fail) return {};
  return {StatusCode::groupOfOne, static_cast<int64_t>(layout_.position(channel.level, group.entries[0]))};
}

}  // namespace turnwise::cpu
