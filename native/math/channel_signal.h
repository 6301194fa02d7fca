// What makes up the signal of one entry of a channel.
#pragma once
#include <cmath>

#include "absent.h"
#include "kl.h"
#include "normalize.h"

namespace turnwise {

/// The sum of what is there.
TURNWISE_HD inline void addSignal(double& sum, double contribution) {
  if (isAbsent(contribution)) return;
  sum = isAbsent(sum) ? contribution : present(sum + contribution);
}

/// The reward of loss token n for staying near the reference policy.
TURNWISE_HD inline double klPenalty(const TurnStatistics& args, const Channel& channel, size_t n) {
  const double x = static_cast<double>(args.oldLogProbs[n]) - static_cast<double>(args.refLogProbs[n]);
  return -channel.klPenalty.coef * klTerm(x, channel.klPenalty).value;
}

/// Brings a signal to the standard deviation of the outcomes.
struct StdMatch {
  double scale;
  bool overflowed;  // a standard deviation beyond float64 has no ratio
  TURNWISE_HD double operator()(double signal) const {
    return overflowed && !isAbsent(signal) ? HUGE_VAL : signal * scale;
  }
};

TURNWISE_HD inline StdMatch stdMatch(const GroupMoments& outcomes, const GroupMoments& signals, double floor) {
  const double outcomeStd = flooredStd(outcomes, floor), signalStd = flooredStd(signals, floor);
  return {outcomeStd / signalStd, std::isinf(outcomeStd) || std::isinf(signalStd)};
}

}  // namespace turnwise
