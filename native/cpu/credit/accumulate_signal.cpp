// The recursions of math/accumulate.h over trajectories, or over turns where observations reset them.
#include "accumulate_signal.h"

#include "../../math/accumulate.h"
#include "absent.h"

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

/// V after the last entry: 0 where the trajectory ended, V of the last state where it was cut off (EGAE, arXiv
/// 2506.15050), or as given.
double valueBeyond(const TurnStatistics& args, const Channel& channel, size_t m, double lastValue) {
  if (channel.bootstrap == Bootstrap::carry) return args.truncated[m] == 1 ? lastValue : 0.0;
  return channel.bootstrap == Bootstrap::given ? valueOrZero(args.bootstrapValues[m]) : 0.0;
}

}  // namespace

void discountSignal(const Layout& layout, const Channel& channel, std::vector<double>& values) {
  const bool fills = channel.level == Level::token;
  forEachPart(layout, channel, [&](size_t first, size_t end, size_t m, bool isLast) {
    const double beyond = isLast && channel.bootstrap == Bootstrap::outcome ? layout.outcome()[m] : 0.0;
    discounted(
        first, end, channel.gamma, beyond, [&](size_t e) { return values[e]; },
        [&](size_t e, double sum) {
          if (fills || !isAbsent(values[e])) values[e] = present(sum);
        });
  });
}

void estimateAdvantages(const TurnStatistics& args, const Layout& layout, const Channel& channel,
                        std::vector<double>& values) {
  const auto value = [&](size_t e) { return values[e]; };
  const auto baseline = [&](size_t e) { return channel.values[layout.position(channel.level, e)]; };
  forEachPart(layout, channel, [&](size_t first, size_t end, size_t m, bool isLast) {
    const double beyond = isLast ? valueBeyond(args, channel, m, baseline(end - 1)) : 0.0;
    gae(first, end, channel.gamma, channel.lambda, beyond, value, baseline,
        [&](size_t e, double advantage) { values[e] = present(advantage); });
  });
}

}  // namespace turnwise::cpu
