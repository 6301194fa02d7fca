// dLogits of rows from their log-sum-exp, log-prob and coefficient; in place or not.
//
//   v != target: -g p_v       p_v = exp(z_v / T - lse),  g = gradScale * coefficient / T
//   v == target: -g (p - 1) = -g expm1(logp)             (p - 1 would cancel where p -> 1)
// The exponential is formed as 2^(k z - c) with an integer c; the rest of lse, which is not representable beside z in
// f32, goes into the row's constant factor.
#include "gradient_pass.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "../simd/half.h"
#include "forward_pass.h"
#include "parallel_rows.h"
#include "tuning.h"

namespace turnwise::cpu {

namespace {

constexpr double kLog2E = 1.4426950408889634;

/// Constants of factor * exp(z / T - logSumExp).
GradientRow gradientRow(const RowKernels& kernels, const RowScale& scale, double logSumExp, double factor) {
  const double k = perUnit(kernels, scale);
  // The logit whose probability would be 1, and the power of two that is left. With k for log2(e) / T, k (z - near)
  // errs by k's rounding times z - near, which softmax damps; k z would err by k's rounding times z.
  const float near = static_cast<float>(std::clamp<double>(logSumExp * scale.temperature, -FLT_MAX, FLT_MAX));
  const double rest = (logSumExp - near / scale.temperature) * kLog2E;
  double exponent = near * k + rest;
  GradientRow row;
  row.shifted = !kernels.fused || std::fabs(exponent) > kLargestShift;
  row.base = row.shifted ? near : 0.0f;
  if (row.shifted) exponent = rest;
  const double shift = std::nearbyint(exponent);
  int binade;
  const double mantissa = std::frexp(factor * powerOfTwo(shift - exponent), &binade);
  // Twice the mantissa (frexp's is below 1), so one power of two less.
  const double bias = kExponentBias + (binade - 1);
  for (int i = 0; i < 6; ++i) row.polynomial[i] = static_cast<float>(kExp2[i] * 2 * mantissa);
  row.magic = static_cast<float>(kMagic + bias - shift);
  row.floor = static_cast<float>((shift - bias) / k);
  return row;
}

void fillNan(unsigned char* p, DType dtype, size_t count) {
  for (size_t i = 0; i < count; ++i) storeElement(p, dtype, i, std::nanf(""));
}

}  // namespace

Status checkLogitsGradient(const LogitsGradient& args) {
  const size_t count = args.targets.size;
  const bool sameShape = args.gradient.dtype == args.logits.dtype && args.gradient.width == args.logits.width &&
                         args.gradient.count == count && args.logits.count == count &&
                         ((args.logits && args.gradient) || count * args.logits.width == 0);
  const bool sizesFit = sameShape && args.logProbs.size == count && args.logSumExp.size == count &&
                        (!args.actionMask || args.actionMask.size == count) &&
                        (!args.coefficients || args.coefficients.size == count) &&
                        (!args.underflowed || args.underflowed.size >= 1);
  if (!sizesFit || !RowScale::supported(args.temperature)) return {StatusCode::invalidArgument, -1};
  return checkTargets(args.targets, args.actionMask, args.logits.width);
}

GradientPass::GradientPass(const LogitsGradient& args, const RowKernels& kernels)
    : args_(args), scale_(args.temperature), kernels_(kernels) {}

size_t GradientPass::segments() const {
  return (args_.logits.width + kSegmentColumns - 1) / kSegmentColumns;
}

void GradientPass::row(size_t n, bool hot) {
  columns(n, 0, args_.logits.width, hot);
}

void GradientPass::columns(size_t n, size_t begin, size_t end, bool hot) {
  const DType dtype = args_.logits.dtype;
  const bool active = !args_.actionMask || args_.actionMask[n] == 1;
  const double coefficient = !active ? 0.0 : args_.coefficients ? args_.coefficients[n] : 1.0;
  const double scaled = args_.coefficients ? coefficient * args_.gradScale : coefficient;
  const double factor = -scaled / args_.temperature;
  unsigned char* out = args_.gradient.row(n) + begin * sizeOf(dtype);
  if (coefficient == 0 || factor == 0) {
    std::memset(out, 0, (end - begin) * sizeOf(dtype));
  } else if (!std::isfinite(static_cast<float>(factor)) || !std::isfinite(args_.logSumExp[n]) ||
             std::isnan(args_.logProbs[n])) {
    fillNan(out, dtype, end - begin);
  } else {
    softmaxColumns(n, begin, end, factor, hot);
  }
}

void GradientPass::softmaxColumns(size_t n, size_t begin, size_t end, double factor, bool hot) {
  const DType dtype = args_.logits.dtype;
  const auto gradient = kernels_.gradient[static_cast<size_t>(dtype)];
  const unsigned char* in = args_.logits.row(n);
  unsigned char* out = args_.gradient.row(n);
  GradientRow constants = gradientRow(kernels_, scale_, args_.logSumExp[n], factor);
  constants.readAhead = hot ? 0 : kGradientReadAhead;

  const size_t target = static_cast<uint32_t>(args_.targets[n]);
  const bool hasTarget = target >= begin && target < end;
  uint64_t atTarget = 0;
  if (hasTarget && dtype == DType::f16) {  // what the loop will count there is not what stays there
    unsigned char scratch[2];
    atTarget = gradient(in + target * 2, scratch, 1, scale_, constants);
  }
  uint64_t underflowed =
      gradient(in + begin * sizeOf(dtype), out + begin * sizeOf(dtype), end - begin, scale_, constants) - atTarget;
  if (hasTarget) {
    const double value = factor * std::expm1(static_cast<double>(args_.logProbs[n]));
    if (storeElement(out, dtype, target, static_cast<float>(value))) ++underflowed;
  }
  if (underflowed > 0) underflowed_.fetch_add(underflowed, std::memory_order_relaxed);
}

bool GradientPass::run(ThreadPool& pool, const Context& context) {
  if (!splitRows(pool, args_.targets.size, segments())) {
    return forEachRow(pool, context, args_.logits, [&](size_t n) { row(n, false); });
  }
  const size_t perRow = segments();
  return pool.parallelFor(args_.targets.size * perRow, 1, context, [&](size_t item) {
    const size_t begin = item % perRow * kSegmentColumns;
    columns(item / perRow, begin, std::min(args_.logits.width, begin + kSegmentColumns), false);
  });
}

void GradientPass::finish() const {
  if (args_.underflowed) args_.underflowed[0] = static_cast<double>(underflowed_.load(std::memory_order_relaxed));
}

}  // namespace turnwise::cpu
