// Centring and scaling of a value by the moments of its group.
#pragma once
#include <cmath>

#include "../ops.h"
#include "absent.h"
#include "reproducible_sum.h"

namespace turnwise {

struct GroupMoments {
  size_t count;
  double mean;
  double variance;
  bool allEqual;
};

/// Mean and variance (divided by n - ddof) of value(0..n-1); the same bits for any order of the members.
/// Two passes over deviations, never E[x^2] - E[x]^2. The extremes serve both sums as the bound of their terms,
/// rounding being monotone. Equal members are their own mean with variance 0: mean = sum / n can miss them by an ulp,
/// which eps = 1e-6 blows up to advantages of 1e-2 in fp32 releases (arXiv 2605.06200's and verl's GRPO).
template <class Crew, class Value>
TURNWISE_HD GroupMoments groupMoments(const Crew& crew, size_t n, int ddof, const Value& value) {
  GroupMoments moments{n, 0.0, 0.0, true};
  if (n == 0) return moments;
  const double first = value(0);
  double smallest = first, largest = first;
  for (size_t i = crew.rank(); i < n; i += crew.size()) {
    const double x = value(i);
    smallest = x < smallest ? x : smallest;
    largest = x > largest ? x : largest;
  }
  smallest = crew.smallest(smallest);
  largest = crew.largest(largest);
  moments.allEqual = smallest == largest;
  if (moments.allEqual) {
    moments.mean = first;
    return moments;
  }
  ReproducibleSum sum(n, -smallest > largest ? -smallest : largest);
  for (size_t i = crew.rank(); i < n; i += crew.size()) sum.add(value(i));
  moments.mean = crew.together(sum).result() / static_cast<double>(n);

  const double mean = moments.mean;
  const double below = (smallest - mean) * (smallest - mean), above = (largest - mean) * (largest - mean);
  ReproducibleSum squares(n, below > above ? below : above);
  for (size_t i = crew.rank(); i < n; i += crew.size()) {
    const double deviation = value(i) - mean;
    squares.add(deviation * deviation);
  }
  moments.variance = crew.together(squares).result() / (static_cast<double>(n) - ddof);
  return moments;
}
template <class Value>
TURNWISE_HD GroupMoments groupMoments(size_t n, int ddof, const Value& value) {
  return groupMoments(Solo(), n, ddof, value);
}

/// Members that are all equal have z = 0 exactly under these centers: the center is the members' own value.
TURNWISE_HD inline bool centersOnMembers(Center center) {
  return center != Center::none && center != Center::given;
}

/// (sd < leastStd ? 1 : sqrt(variance + varianceFloor)) + eps; 1 without scaling. MT-GRPO (arXiv 2505.11821) only
/// centres below a standard deviation of 1e-4, SIOP (arXiv 2605.04984) below its eps.
TURNWISE_HD inline double divisorOf(double variance, const Channel& channel) {
  if (channel.scale == Scale::none) return 1.0;
  const double root = std::sqrt(variance) < channel.leastStd ? 1.0 : std::sqrt(variance + channel.varianceFloor);
  return root + channel.eps;
}

/// centered / divisor. A spread beyond float64 would silently make every member 0: infinity is seen by whoever checks
/// the result (NaN would mean "no signal"). A divisor of 0 leaves 0 where there is nothing to scale, else infinity.
TURNWISE_HD inline double scaled(double centered, double divisor) {
  if (divisor == 0) return centered == 0 ? 0.0 : HUGE_VAL;
  return divisor - divisor == 0 ? centered / divisor : HUGE_VAL;
}

/// Population standard deviation of a whole batch, at least `floor`; 1 for fewer than two values. Turn-group mode of
/// A2TGPO (arXiv 2605.06200) scales the information gain by sd(outcome) / sd(information gain).
TURNWISE_HD inline double flooredStd(const GroupMoments& moments, double floor) {
  if (moments.count < 2) return 1.0;
  const double deviation = std::sqrt(moments.variance);
  return deviation < floor ? floor : deviation;
}

/// The middle of n >= 1 values, or the mean of the two middle ones; at(i) is the value of rank i.
template <class At>
TURNWISE_HD double medianOf(size_t n, const At& at) {
  const double middle = at(n / 2);
  // Halved before they are added: the sum of two finite values may not be finite.
  return n % 2 == 1 ? middle : 0.5 * at(n / 2 - 1) + 0.5 * middle;
}

/// What is done to the values of one group.
struct GroupRule {
  double center = 0;
  bool usesBaseline = false;  // center given: each value has its own
  double leaveOneOut = 0;     // RLOO (arXiv 2402.14740), x minus the mean of the others: the number of members; or 0
  bool isFlat = false;        // no spread to measure anything by
  double divisor = 1;

  /// z of x, the transformed `value`.
  TURNWISE_HD double operator()(double value, double x, double ownCenter) const {
    double centered = x - ownCenter;
    if (leaveOneOut > 0) centered = centered * leaveOneOut / (leaveOneOut - 1);
    // Of an infinite signal nothing is left to compare: not even equal ones have z = 0.
    return std::isinf(value) ? value : present(isFlat ? 0.0 : scaled(centered, divisor));
  }
};

/// From the moments of its members. median() and lengthWeightedMean() are asked where they are the center.
template <class Median, class LengthWeightedMean>
TURNWISE_HD GroupRule groupRule(const Channel& channel, const GroupMoments& moments, double batchVariance,
                                const Median& median, const LengthWeightedMean& lengthWeightedMean) {
  GroupRule rule;
  if (moments.count == 1) {
    if (channel.singleton == Singleton::raw) {
      // A given baseline compares with nobody, so it is taken off all the same.
      rule.usesBaseline = channel.center == Center::given;
    } else {
      rule.center = moments.mean;  // the only entry, or as far as others are from it
    }
    return rule;
  }
  if (moments.allEqual && centersOnMembers(channel.center)) {
    rule.center = moments.mean;
    rule.isFlat = channel.scale != Scale::none && !(channel.leastStd > 0);  // no spread to measure others by
    if (!rule.isFlat) rule.divisor = divisorOf(0.0, channel);
    return rule;
  }
  switch (channel.center) {
    case Center::none:
      break;
    case Center::mean:
      rule.center = moments.mean;
      break;
    case Center::leaveOneOut:
      rule.center = moments.mean;
      rule.leaveOneOut = static_cast<double>(moments.count);
      break;
    case Center::median:
      rule.center = median();
      break;
    case Center::lengthWeighted:
      rule.center = lengthWeightedMean();
      break;
    case Center::given:
      rule.usesBaseline = true;
      break;
  }
  rule.divisor = divisorOf(channel.scale == Scale::batchStd ? batchVariance : moments.variance, channel);
  return rule;
}

/// One group's line in the channel's row of groupStats.
TURNWISE_HD inline void countGroup(double* stats, const GroupMoments& moments) {
  const auto stat = [&](GroupStat s) -> double& { return stats[static_cast<size_t>(s)]; };
  const double size = static_cast<double>(moments.count);
  const double smallest = stat(GroupStat::smallest);
  stat(GroupStat::smallest) = stat(GroupStat::groups) > 0 && smallest < size ? smallest : size;
  if (size > stat(GroupStat::largest)) stat(GroupStat::largest) = size;
  stat(GroupStat::groups) += 1;
  stat(GroupStat::members) += size;
  stat(GroupStat::singletons) += moments.count == 1;
  stat(GroupStat::zeroVariance) += moments.count > 1 && moments.allEqual;
}

}  // namespace turnwise
