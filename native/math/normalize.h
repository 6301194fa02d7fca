// Centring and scaling of a value by the moments of its group.
#pragma once
#include <cmath>

#include "../ops.h"
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
template <class Value>
TURNWISE_HD GroupMoments groupMoments(size_t n, int ddof, const Value& value) {
  GroupMoments moments{n, 0.0, 0.0, true};
  if (n == 0) return moments;
  double smallest = value(0), largest = value(0);
  for (size_t i = 1; i < n; ++i) {
    const double x = value(i);
    smallest = x < smallest ? x : smallest;
    largest = x > largest ? x : largest;
  }
  moments.allEqual = smallest == largest;
  if (moments.allEqual) {
    moments.mean = smallest;
    return moments;
  }
  ReproducibleSum sum(n, -smallest > largest ? -smallest : largest);
  for (size_t i = 0; i < n; ++i) sum.add(value(i));
  moments.mean = sum.result() / static_cast<double>(n);

  const double mean = moments.mean;
  const double below = (smallest - mean) * (smallest - mean), above = (largest - mean) * (largest - mean);
  ReproducibleSum squares(n, below > above ? below : above);
  for (size_t i = 0; i < n; ++i) {
    const double deviation = value(i) - mean;
    squares.add(deviation * deviation);
  }
  moments.variance = squares.result() / (static_cast<double>(n) - ddof);
  return moments;
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

}  // namespace turnwise
