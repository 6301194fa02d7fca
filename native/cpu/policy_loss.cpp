// The fused step: logits are read once, and written once where a row's coefficient is known while the row is in cache.
//
// Token level, per row: forward, loss term, gradient. Deferred row scale, per row: forward, gradient with coefficient
// 1; loss terms afterwards. Turn and sequence level, per unit (a turn or a trajectory): forward of its rows, loss
// terms, gradient of its rows. A unit that fits one thread's cache is one thread's work; of larger ones all threads
// read the rows, then write.
//
// Equal bit for bit to the ops one after another, which 'check-first', batches of few rows, and a gate that compares
// trajectories with one another simply run.
#include "../checks/policy_loss.h"

#include <algorithm>
#include <new>
#include <vector>

#include "cpu_features.h"
#include "loss/loss_terms.h"
#include "rows/forward_pass.h"
#include "rows/gradient_pass.h"
#include "rows/parallel_rows.h"
#include "segment_turns.h"
#include "valid_turns.h"

namespace turnwise::cpu {

namespace {

/// Whether a row's gradient can be written before all rows have been read; if not, the ops run one after another.
bool runsFused(const PolicyLoss& args) {
  const GatherLogProbs& gather = args.gather;
  const Surrogate& surrogate = args.surrogate;
  if (gather.nonFinite == NonFinite::checkFirst || couplesUnits(surrogate)) return false;
  // The weights of all tokens are multiplied before the first row is read.
  if (anyOverlap({gather.logProbs, gather.logSumExp, gather.entropy},
                 {surrogate.oldLogProbs, surrogate.rolloutLogProbs, surrogate.tokenWeights}))
    return false;
  return !splitRows(ThreadPool::instance(), gather.targets.size, segmentCount(gather.logits.width));
}

class FusedStep {
 public:
  FusedStep(const PolicyLoss& args, LossTerms& terms, const RowKernels& kernels, Context& context)
      : args_(args),
        terms_(terms),
        context_(context),
        forward_(args.gather, kernels, true),
        gradient_(args.gradient, kernels) {}

  Status run() {
    const bool done = !args_.gradient.coefficients ? runDeferred() : terms_.perToken() ? runTokens() : runUnits();
    if (!done || context_.aborted()) return {StatusCode::aborted, -1};
    if (const Status status = forward_.status(); !status) return status;
    gradient_.finish();
    return terms_.finish();
  }

 private:
  /// Rows of one unit, and those before the next: every row belongs to one.
  struct Share {
    size_t unit, firstRow, lastRow;
  };

  bool runDeferred();
  bool runTokens();
  bool runUnits();
  std::vector<Share> shares() const;
  size_t turnBefore(size_t row) const;
  void runShare(const Share& share);
  bool runTogether(const Share* first, const Share* last);
  void evaluate(const Share& share) {
    if (share.unit < terms_.unitCount()) terms_.evaluate(terms_.unit(share.unit));
  }

  const PolicyLoss& args_;
  LossTerms& terms_;
  Context& context_;
  ThreadPool& pool_ = ThreadPool::instance();
  ForwardPass forward_;
  GradientPass gradient_;
};

bool FusedStep::runDeferred() {
  const bool done = forEachRow(pool_, context_, args_.gather.logits, [&](size_t n) {
    if (!forward_.failedBefore(n) && forward_.row(n)) gradient_.row(n, true);
  });
  return done && terms_.evaluateAll(context_);
}

/// The last turn that starts at or before `row`; the number of turns where there is none.
size_t FusedStep::turnBefore(size_t row) const {
  const auto& starts = terms_.turns().starts();
  const auto after = std::upper_bound(starts.begin(), starts.end(), static_cast<int64_t>(row));
  return after == starts.begin() ? starts.size() : static_cast<size_t>(after - starts.begin()) - 1;
}

bool FusedStep::runTokens() {
  const auto& ends = terms_.turns().ends();
  return forEachRow(pool_, context_, args_.gather.logits, [&](size_t n) {
    if (forward_.failedBefore(n) || !forward_.row(n)) return;
    const size_t turn = turnBefore(n);
    if (turn < ends.size() && static_cast<int64_t>(n) < ends[turn]) terms_.evaluateToken(turn, n);
    gradient_.row(n, true);
  });
}

std::vector<FusedStep::Share> FusedStep::shares() const {
  const size_t rows = args_.gather.targets.size;
  std::vector<Share> list;
  list.reserve(terms_.unitCount() + 1);
  for (size_t u = 0; u < terms_.unitCount(); ++u) {
    const LossTerms::Unit unit = terms_.unit(u);
    const size_t first = u == 0 ? 0 : static_cast<size_t>(terms_.turns().starts()[unit.first]);
    if (u > 0) list.back().lastRow = first;
    list.push_back({u, first, rows});
  }
  if (list.empty() && rows > 0) list.push_back({terms_.unitCount(), 0, rows});
  return list;
}

void FusedStep::runShare(const Share& share) {
  bool good = true;
  for (size_t n = share.firstRow; n < share.lastRow && !context_.aborted(); ++n) good &= forward_.row(n);
  if (!good) return;
  evaluate(share);
  for (size_t n = share.lastRow; n > share.firstRow && !context_.aborted(); --n) gradient_.row(n - 1, false);
}

bool FusedStep::runTogether(const Share* first, const Share* last) {
  const size_t firstRow = first->firstRow;
  const size_t rows = last[-1].lastRow - firstRow;
  const size_t grain = rowsPerChunk(pool_, args_.gather.logits, rows);
  const bool read = pool_.parallelFor(rows, grain, context_, [&](size_t i) {
    if (!forward_.failedBefore(firstRow + i)) forward_.row(firstRow + i);
  });
  if (!read) return false;
  if (!forward_.status()) return true;  // earlier rows may still be unread, so the caller goes on
  for (const Share* share = first; share < last; ++share) evaluate(*share);
  // Backwards: what was read last is the likeliest to be in cache.
  return pool_.parallelFor(rows, grain, context_, [&](size_t i) { gradient_.row(firstRow + rows - 1 - i, false); });
}

bool FusedStep::runUnits() {
  const size_t rowBytes = args_.gather.logits.width * sizeOf(args_.gather.logits.dtype);
  const auto bytes = [&](const Share& share) { return (share.lastRow - share.firstRow) * rowBytes; };
  const std::vector<Share> all = shares();
  std::vector<Share> small;
  for (const Share& share : all) {
    if (bytes(share) <= kUnitBytes) small.push_back(share);
  }
  // Too few to go round: a thread without a unit would wait for the others.
  if (small.size() < kRowsPerThread * pool_.threads()) small.clear();
  const bool together = small.empty();

  const bool done = pool_.parallelFor(small.size(), 1, context_, [&](size_t i) {
    if (!forward_.failedBefore(small[i].firstRow)) runShare(small[i]);
  });
  if (!done) return false;
  const Share* const end = all.data() + all.size();
  for (const Share* first = all.data(); first < end;) {
    if (!together && bytes(*first) <= kUnitBytes) {
      ++first;
      continue;
    }
    const Share* last = first + 1;
    for (size_t total = bytes(*first); last < end && (together || bytes(*last) > kUnitBytes); ++last) {
      total += bytes(*last);
      if (total > kWindowBytes) break;
    }
    if (!forward_.failedBefore(first->firstRow) && !runTogether(first, last)) return false;
    first = last;
  }
  return true;
}

Status runOneByOne(const PolicyLoss& args, Context& context) {
  if (const Status status = ForwardPass(args.gather, rowKernels(), true).run(ThreadPool::instance(), context); !status)
    return status;
  if (const Status status = surrogate(args.surrogate, context); !status) return status;
  return logitsGradient(args.gradient, context);
}

}  // namespace

Status policyLoss(const PolicyLoss& args, Context& context) {
  if (!validArguments(args)) return {StatusCode::invalidArgument, -1};
  // First of all: the mask that it writes says whose targets are checked.
  if (args.segment) {
    if (const Status status = segmentExactly(*args.segment); !status) return status;
  }
  if (const Status status = checkGather(args.gather); !status) return status;
  if (const Status status = checkLogitsGradient(args.gradient); !status) return status;
  if (args.statistics) {
    if (const Status status = turnStatistics(*args.statistics, context); !status) return status;
  }
  if (!runsFused(args)) return runOneByOne(args, context);
  try {
    LossTerms terms(args.surrogate);
    if (!terms.status()) return terms.status();
    return FusedStep(args, terms, rowKernels(), context).run();
  } catch (const std::bad_alloc&) {
    return {StatusCode::outOfMemory, -1};
  }
}

}  // namespace turnwise::cpu
