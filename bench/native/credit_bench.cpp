// Phase A alone: turnStatistics of the A2TGPO estimator (turn-group-v1d), 1e6 turns in 64 000 groups of one prompt and
// turn, on the calling thread.
//
//   SOURCES="bench/native/credit_bench.cpp $(ls native/cpu/credit/*.cpp native/checks/*.cpp)"
//   g++ -std=c++17 -O3 -ffp-contract=off -fno-math-errno $SOURCES -o build/credit_bench
//   build/credit_bench [repeats]
//
// Prints one line for people and one JSON line. The same batch as bench/run.ts gives to estimateAdvantages.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "../../native/backend.h"

using namespace turnwise;

namespace {

constexpr size_t kPrompts = 16'000, kTrajectories = 200'000, kTurnsEach = 5, kTurns = kTrajectories * kTurnsEach;

template <class T>
View<const T> viewOf(const std::vector<T>& values) {
  return {values.data(), values.size()};
}

template <class T>
View<T> viewOf(std::vector<T>& values) {
  return {values.data(), values.size()};
}

/// z = (x - mean) / (sqrt(var + 1e-8) + 1e-6)
Channel normalized(Level level, GroupBy group) {
  Channel channel{};
  channel.level = level;
  channel.group = group;
  channel.center = Center::mean;
  channel.scale = Scale::std;
  channel.eps = 1e-6;
  channel.varianceFloor = 1e-8;
  channel.weight = channel.lastWeight = 1;
  return channel;
}

struct Batch {
  std::vector<int32_t> starts, ends, tokens, trajectory, index, groups;
  std::vector<double> outcome, gain;
  std::vector<double> advantages, clipScale, normalizedSignal, groupStats;

  Batch() : tokens(kTurns, 1) {
    for (size_t k = 0; k < kTurns; ++k) {
      starts.push_back(static_cast<int32_t>(k));
      ends.push_back(static_cast<int32_t>(k + 1));
      trajectory.push_back(static_cast<int32_t>(k / kTurnsEach));
      index.push_back(static_cast<int32_t>(k % kTurnsEach));
      // The last turn carries the outcome.
      gain.push_back(k % kTurnsEach == kTurnsEach - 1 ? NAN : std::cos(static_cast<double>(k)));
    }
    for (size_t m = 0; m < kTrajectories; ++m) {
      groups.push_back(static_cast<int32_t>(m * kPrompts / kTrajectories));
      outcome.push_back(std::sin(static_cast<double>(m)));
    }
    for (auto* result : {&advantages, &clipScale, &normalizedSignal}) result->resize(kTurns);
    groupStats.resize(2 * EnumNames<GroupStat>::count);
  }

  TurnStatistics args() {
    TurnStatistics args{};
    args.turns = {viewOf(std::as_const(starts)), viewOf(std::as_const(ends)), viewOf(std::as_const(tokens)),
                  viewOf(std::as_const(trajectory)), viewOf(std::as_const(index))};
    args.groups = viewOf(std::as_const(groups));
    args.outcome = viewOf(std::as_const(outcome));
    Channel gains = normalized(Level::turn, GroupBy::promptTurn);
    gains.turnSignal = viewOf(std::as_const(gain));
    gains.then = Then::discounted;
    gains.thenGamma = 1;
    gains.thenDivide = Divide::sqrtTerms;
    gains.weight = gains.lastWeight = 0.3;
    Channel outcomes = normalized(Level::sequence, GroupBy::prompt);
    outcomes.trajectorySignal = viewOf(std::as_const(outcome));
    args.channels.items[0] = gains;
    args.channels.items[1] = outcomes;
    args.channels.size = 2;
    args.clipScaleBeta = 0.3;
    args.resultLevel = Level::turn;
    args.advantages = viewOf(advantages);
    args.clipScale = viewOf(clipScale);
    args.normalizedSignal = viewOf(normalizedSignal);
    args.groupStats = viewOf(groupStats);
    return args;
  }
};

}  // namespace

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? std::atoi(argv[1]) : 15;
  Batch batch;
  const TurnStatistics args = batch.args();
  std::vector<double> times;
  for (int i = 0; i <= repeats; ++i) {
    Context context;
    const auto begin = std::chrono::steady_clock::now();
    const Status status = cpu::turnStatistics(args, context);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (!status) {
      std::printf("turnStatistics: status %d\n", static_cast<int>(status.code));
      return 1;
    }
    if (i > 0) times.push_back(seconds);  // the first one touches the results' pages
  }
  std::sort(times.begin(), times.end());
  const double fastest = times.front(), median = times[times.size() / 2];
  const double perTurn = 1e9 / static_cast<double>(kTurns);
  std::printf(
      "turnStatistics, a2tgpo, 1e6 turns in %.0f groups, 1 thread   min %.2f ms = %.1f ns/turn   median %.2f ms\n",
      batch.groupStats[static_cast<size_t>(GroupStat::groups)], fastest * 1e3, fastest * perTurn, median * 1e3);
  std::printf(
      "{\"bench\":\"turnStatistics\",\"turns\":%zu,\"groups\":%.0f,\"threads\":1,\"ms\":%.3f,\"msMedian\":%.3f}\n",
      kTurns, batch.groupStats[static_cast<size_t>(GroupStat::groups)], fastest * 1e3, median * 1e3);
  return 0;
}
