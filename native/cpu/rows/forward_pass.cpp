// Column segments merged, and what follows from a whole row (native/rows/row_result.h), in double.
#include "forward_pass.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "../../checks/gather_log_probs.h"
#include "../../math/libm.h"
#include "../../rows/row_result.h"
#include "../simd/half.h"
#include "parallel_rows.h"
#include "tuning.h"

namespace turnwise::cpu {

namespace {

/// Both ranges as one. Always called in column order: its result depends on it in the last place.
SegmentSum merge(const SegmentSum& left, const SegmentSum& right, double temperature) {
  const bool leftIsLarger = !(left.max < right.max);
  const SegmentSum& large = leftIsLarger ? left : right;
  const SegmentSum& small = leftIsLarger ? right : left;
  if (std::isinf(small.max)) return {large.max, large.sum + small.sum, large.spread};  // its sum is 0, or NaN
  const double distance = (large.max - small.max) / temperature;
  const double share = turnwise::exp(-distance);
  const double losers = 1 + small.sum;  // its largest element is now a loser too
  return {large.max, large.sum + share * losers, large.spread + share * (small.spread + distance * losers)};
}

}  // namespace

void FirstBadRow::report(size_t row, StatusCode code) {
  const uint64_t mine = static_cast<uint64_t>(row) << 8 | static_cast<uint64_t>(code);
  uint64_t first = first_.load(std::memory_order_relaxed);
  while (mine < first && !first_.compare_exchange_weak(first, mine, std::memory_order_relaxed)) {
  }
}

Status FirstBadRow::status() const {
  const uint64_t first = first_.load(std::memory_order_relaxed);
  if (first == ~uint64_t{0}) return {};
  return {static_cast<StatusCode>(first & 0xff), static_cast<int64_t>(first >> 8)};
}

Status checkGather(const GatherLogProbs& args) {
  if (!validArguments(args)) return {StatusCode::invalidArgument, -1};
  return checkTargets(args.targets, args.actionMask, args.logits.width);
}

ForwardPass::ForwardPass(const GatherLogProbs& args, const RowKernels& kernels, bool forGradient)
    : args_(args),
      scale_(args.temperature),
      kError_(perUnit(kernels, scale_) / scale_.perUnit - 1),
      forward_(kernels.forward[static_cast<size_t>(args.logits.dtype)][args.entropy ? 1 : 0]),
      forGradient_(forGradient) {}

size_t ForwardPass::segments() const {
  return segmentCount(args_.logits.width);
}

SegmentSum ForwardPass::segment(size_t n, size_t s) const {
  const size_t begin = s * kSegmentColumns;
  const size_t columns = std::min(kSegmentColumns, args_.logits.width - begin);
  SegmentSum result = forward_(args_.logits.row(n) + begin * sizeOf(args_.logits.dtype), columns, scale_);
  compensateRounding(result, kError_);
  return result;
}

void ForwardPass::writeZeros(size_t n) const {
  args_.logProbs[n] = 0;
  if (args_.logSumExp) args_.logSumExp[n] = 0;
  if (args_.entropy) args_.entropy[n] = 0;
}

bool ForwardPass::row(size_t n) {
  if (!active(n)) {
    writeZeros(n);
    return true;
  }
  SegmentSum sum = segment(n, 0);
  for (size_t s = 1; s < segments(); ++s) sum = merge(sum, segment(n, s), scale_.temperature);
  return finish(n, sum);
}

bool ForwardPass::finish(size_t n, const SegmentSum& sum) {
  // The guard repeats what checkTargets found: another thread may have changed the caller's array since.
  const size_t target = std::min<size_t>(static_cast<uint32_t>(args_.targets[n]), args_.logits.width - 1);
  const RowResult row =
      rowResult(sum, loadElement(args_.logits.row(n), args_.logits.dtype, target), scale_.temperature);
  args_.logProbs[n] = row.logProb;
  if (args_.logSumExp) args_.logSumExp[n] = row.logSumExp;
  if (args_.entropy) args_.entropy[n] = row.entropy;
  const StatusCode code = statusOf(row, args_.nonFinite, forGradient_);
  if (code == StatusCode::ok) return true;
  bad_.report(n, code);
  return false;
}

bool ForwardPass::runBySegments(ThreadPool& pool, const Context& context) {
  const size_t perRow = segments();
  std::vector<SegmentSum> sums(args_.targets.size * perRow);
  const bool done = pool.parallelFor(sums.size(), 1, context, [&](size_t item) {
    if (active(item / perRow)) sums[item] = segment(item / perRow, item % perRow);
  });
  if (!done) return false;
  for (size_t n = 0; n < args_.targets.size; ++n) {
    if (!active(n)) {
      writeZeros(n);
      continue;
    }
    SegmentSum sum = sums[n * perRow];
    for (size_t s = 1; s < perRow; ++s) sum = merge(sum, sums[n * perRow + s], scale_.temperature);
    finish(n, sum);
  }
  return true;
}

Status ForwardPass::run(ThreadPool& pool, const Context& context) {
  const size_t count = args_.targets.size;
  const bool done = splitRows(pool, count, segments()) ? runBySegments(pool, context)
                                                       : forEachRow(pool, context, args_.logits, [&](size_t n) {
                                                           if (!failedBefore(n)) row(n);
                                                         });
  return done ? status() : Status{StatusCode::aborted, -1};
}

}  // namespace turnwise::cpu
