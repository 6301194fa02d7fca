// After the last term: the metrics, and the first token whose log-probs are not finite.
#pragma once
#include "../../native/loss/term_metrics.h"
#include "loss_step.cuh"
#include "squad.cuh"

namespace turnwise::cuda {

struct FinishLoss {
  LossBatch batch;
  Squad::Slot* slots;  // [Squad::kSlots]
};

/// The sums, as many at a time as there are warps for.
__device__ inline void writeSums(const Team& team, const FinishLoss& record, size_t count) {
  const size_t warps = team.size() / kWarpSize;
  const size_t squads = warps < kSummedMetrics ? warps : kSummedMetrics;
  const Squad squad(team, squads, record.slots);
  for (size_t first = 0; first < kSummedMetrics; first += squads) {
    // A squad for which nothing is left still takes part in the barriers.
    const size_t i = first + squad.index();
    const bool idle = i >= kSummedMetrics;
    const Metric metric = summedMetric(idle ? 0 : static_cast<int>(i));
    const double sum = sumOfTerms(squad, record.batch, metric, idle ? 0 : record.batch.tokenCount(), count);
    if (!idle && squad.rank() == 0) metricOf(record.batch, metric) = sum;
  }
}

static __global__ void __launch_bounds__(Team::kMostThreads, 1)
    finishLossKernel(const FinishLoss* record, ErrorWord* error) {
  if (failed(error)) return;
  const Team team;
  const LossBatch& batch = record->batch;
  uint64_t count = 0;
  TermCounts counts;
  TermExtremes extremes;
  double largest = 0;
  uint64_t bad = ErrorWord::kNone;
  team.forEach(batch.tokenCount(), [&](size_t n) {
    const Term& term = batch.terms[n];
    if (!(term.flags & Term::kEvaluated)) return;
    ++count;
    counts.add(term);
    extremes.add(batch, term);
    largest = largerCoefficient(batch, largest, term);
    if (term.flags & Term::kNonFinite && bad == ErrorWord::kNone) bad = n;
  });
  count = team.sum(count);
  counts = team.reduce(counts, TermCounts(), Plus());
  extremes = team.reduce(extremes, TermExtremes(), Plus());
  largest = team.largest(largest);
  writeSums(team, *record, count);
  team.sync();
  if (team.rank() == 0) writeRest(batch, count, counts, extremes, largest);
  if (batch.args.nonFinite != NonFinite::propagate && bad != ErrorWord::kNone) {
    report(error, StatusCode::nonFiniteLogProb, static_cast<int64_t>(bad));
  }
}

/// Lists the kernel that turns the terms into metrics.
inline void finishLoss(Lane& lane, const LossStep& step) {
  const FinishLoss record{step.batch, lane.take<Squad::Slot>(Squad::kSlots)};
  lane.launch(teamGeometry(device()), finishLossKernel, lane.parameters(record), lane.error());
}

}  // namespace turnwise::cuda
