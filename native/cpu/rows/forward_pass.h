// Log-sum-exp, log-prob and entropy of rows: the part of gatherLogProbs that policyLoss shares.
#pragma once
#include <atomic>

#include "../../backend.h"
#include "../thread_pool.h"
#include "row_kernels.h"

namespace turnwise::cpu {

/// The bad row of smallest index, whichever thread finds it first.
class FirstBadRow {
 public:
  void report(size_t row, StatusCode code);
  /// Whether a row from `row` on can be left undone: an earlier one already fails the op.
  bool precedes(size_t row) const { return first_.load(std::memory_order_relaxed) < (row << 8); }
  Status status() const;

 private:
  std::atomic<uint64_t> first_{~uint64_t{0}};  // row << 8 | code
};

/// Sizes, temperature, and every target of an active row; nothing is written.
Status checkGather(const GatherLogProbs& args);

class ForwardPass {
 public:
  /// `forGradient`: refuse rows whose gradient could not be formed from logSumExp.
  ForwardPass(const GatherLogProbs& args, const RowKernels& kernels, bool forGradient = false);

  /// All rows, on the pool.
  Status run(ThreadPool& pool, const Context& context);
  /// One row on this thread; false where the row is bad and the op must fail. Rows outside the mask get zeros.
  bool row(size_t n);
  /// The first bad row, where the op must fail for one.
  Status status() const { return bad_.status(); }
  bool failedBefore(size_t n) const { return bad_.precedes(n); }

 private:
  bool active(size_t n) const { return !args_.actionMask || args_.actionMask[n] == 1; }
  size_t segments() const;
  SegmentSum segment(size_t n, size_t s) const;
  void writeZeros(size_t n) const;
  bool finish(size_t n, const SegmentSum& sum);
  bool runBySegments(ThreadPool& pool, const Context& context);

  const GatherLogProbs& args_;
  const RowScale scale_;
  const double kError_;  // relative error of the kernels' log2(e) / T
  const RowKernels::Forward forward_;
  const bool forGradient_;
  FirstBadRow bad_;
};

}  // namespace turnwise::cpu
