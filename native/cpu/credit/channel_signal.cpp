// Signals of other levels are placed on the entries of the channel or summed into them, one source after the other.
#include "channel_signal.h"

#include <algorithm>
#include <iterator>

#include "../../math/channel_signal.h"

namespace turnwise::cpu {

namespace {

class SignalSum {
 public:
  SignalSum(const Layout& layout, const Channel& channel, std::vector<double>& values)
      : layout_(layout), channel_(channel), values_(values) {
    values_.clear();
  }

  /// One source, an array of entries of `level`.
  void addSource(Level level, const double* source) {
    if (level == channel_.level) {
      addOwn(source);
    } else if (isCoarser(level)) {
      addCoarser(level, source);
    } else {
      addFiner(level, source);
    }
  }

  void addOwn(const double* source) {
    const size_t size = layout_.size(channel_.level);
    if (values_.empty()) {
      values_.assign(source, source + size);
      return;
    }
    for (size_t e = 0; e < size; ++e) addSignal(values_[e], source[e]);
  }

  void finish() {
    begin();
    if (!layout_.anyExcluded()) return;
    layout_.forEachRun(channel_.level, [&](const Run& run) {
      if (layout_.excluded(run.trajectory)) std::fill(values_.begin() + run.first, values_.begin() + run.end, kAbsent);
    });
  }

 private:
  bool isCoarser(Level level) const { return static_cast<int>(level) > static_cast<int>(channel_.level); }
  void begin() {
    if (values_.empty()) values_.assign(layout_.size(channel_.level), kAbsent);
  }

  void addCoarser(Level level, const double* source) {
    begin();
    const bool onLast = channel_.place == Place::last;
    layout_.forEachUnit(level, channel_.level, [&](size_t unit, size_t first, size_t end) {
      if (first == end) return;
      for (size_t e = onLast ? end - 1 : first; e < end; ++e) addSignal(values_[e], source[unit]);
    });
  }

  void addFiner(Level level, const double* source) {
    begin();
    layout_.forEachUnit(channel_.level, level, [&](size_t unit, size_t first, size_t end) {
      double sum = kAbsent;
      for (size_t e = first; e < end; ++e) addSignal(sum, source[e]);
      addSignal(values_[unit], sum);
    });
  }

  const Layout& layout_;
  const Channel& channel_;
  std::vector<double>& values_;
};

GroupMoments presentMoments(const std::vector<double>& values) {
  std::vector<double> there;
  std::remove_copy_if(values.begin(), values.end(), std::back_inserter(there), isAbsent);
  return groupMoments(there.size(), 0, [&](size_t i) { return there[i]; });
}

}  // namespace

void readSignal(const TurnStatistics& args, const Layout& layout, const Channel& channel, std::vector<double>& values) {
  SignalSum sum(layout, channel, values);
  if (channel.trajectorySignal) sum.addSource(Level::sequence, channel.trajectorySignal.data);
  if (channel.turnSignal) sum.addSource(Level::turn, channel.turnSignal.data);
  std::vector<double> perToken(channel.tokenSignal || channel.klPenalty.coef != 0 ? layout.size(Level::token) : 0);
  if (channel.tokenSignal) {
    for (size_t e = 0; e < perToken.size(); ++e) perToken[e] = channel.tokenSignal[layout.tokenAt(e)];
    sum.addSource(Level::token, perToken.data());
  }
  if (channel.klPenalty.coef != 0) {
    for (size_t e = 0; e < perToken.size(); ++e) {
      perToken[e] = klPenalty(args, channel, layout.tokenAt(e));
    }
    sum.addOwn(perToken.data());
  }
  sum.finish();
}

void matchOutcomeStd(const Layout& layout, const Channel& channel, std::vector<double>& values) {
  const StdMatch match = stdMatch(presentMoments(layout.outcome()), presentMoments(values), channel.stdFloor);
  for (double& value : values) value = match(value);
}

}  // namespace turnwise::cpu
