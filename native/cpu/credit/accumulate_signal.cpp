// The recursions of math/accumulate.h over trajectories, or over turns where observations reset them.
#include "accumulate_signal.h"

#include "../../math/accumulate.h"

namespace turnwise::cpu {

namespace {

/// visit(first, end, trajectory, isLast) of the entries that a recursion goes through, the last part of a trajectory
/// first: the whole trajectory, or with observation reset the loss tokens of each of its turns. None is empty.
template <class Visit>
void forEachPart(const Layout& layout, const Channel& channel, const Visit& visit) {
  const bool resets = channel.level == Level::token && channel.observation == Observation::reset;
  if (!resets) {
    layout.forEachRun(channel.level, [&](const Run& run) {
      if (run.first == run.end || layout.excluded(run.trajectory)) return;
      visit(run.first, run.end, run.trajectory, true);
    });
    return;
  }
  layout.forEachRun(Level::turn, [&](const Run& run) {
    if (layout.excluded(run.trajectory)) return;
    bool isLast = true;
    for (size_t k = run.end; k-- > run.first;) {
      const size_t first = layout.firstOfTurn(Level::token, k), end = layout.firstOfTurn(Level::token, k + 1);
      if (first == end) continue;
      visit(first, end, run.trajectory, isLast);
      isLast = false;
    }
  });
}

}  // namespace

void discountSignal(const Layout& layout, const Channel& channel, std::vector<double>& values) {
  forEachPart(layout, channel, [&](size_t first, size_t end, size_t m, bool isLast) {
    const double beyond = isLast && channel.bootstrap == Bootstrap::outcome ? layout.outcome()[m] : 0.0;
    turnwise::discountSignal(channel, first, end, beyond, values.data());
  });
}

void estimateAdvantages(const TurnStatistics& args, const Layout& layout, const Channel& channel,
                        std::vector<double>& values) {
  const auto baseline = [&](size_t e) { return channel.values[layout.position(channel.level, e)]; };
  forEachPart(layout, channel, [&](size_t first, size_t end, size_t m, bool isLast) {
    const double beyond = isLast ? valueBeyond(args, channel, m, baseline(end - 1)) : 0.0;
    turnwise::estimateAdvantages(channel, first, end, beyond, baseline, values.data());
  });
}

}  // namespace turnwise::cpu
