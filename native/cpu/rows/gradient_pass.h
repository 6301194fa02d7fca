// dLogits of rows: the part of logitsGradient that policyLoss shares.
#pragma once
#include <atomic>

#include "../../backend.h"
#include "../../rows/row_gradient.h"
#include "../thread_pool.h"
#include "row_kernels.h"

namespace turnwise::cpu {

/// Sizes, dtypes, temperature, and every target of an active row; nothing is written.
Status checkLogitsGradient(const LogitsGradient& args);

class GradientPass {
 public:
  GradientPass(const LogitsGradient& args, const RowKernels& kernels);

  /// All rows, on the pool; false if aborted.
  bool run(ThreadPool& pool, const Context& context);
  /// One row on this thread. `hot`: its logits were read a moment ago, so nothing is prefetched.
  void row(size_t n, bool hot);
  /// Writes args.underflowed.
  void finish() const;

 private:
  size_t segments() const;
  RowFactors factors(size_t n) const;
  float entropy(size_t n) const { return args_.entropy ? args_.entropy[n] : 0.0f; }
  /// Columns [begin, end) of a row.
  void columns(size_t n, size_t begin, size_t end, bool hot);
  void softmaxColumns(size_t n, size_t begin, size_t end, const RowFactors& factors, bool hot);

  const LogitsGradient& args_;
  const RowScale scale_;
  const RowKernels& kernels_;
  std::atomic<uint64_t> underflowed_{0};
};

}  // namespace turnwise::cpu
