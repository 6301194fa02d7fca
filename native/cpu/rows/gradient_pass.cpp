// dLogits of rows from their log-sum-exp, log-prob, entropy and coefficients; in place or not.
//
//   v != target: p_v (g + h (log p_v + H))       p_v = exp(z_v / T - lse)
//   v == target: g expm1(logp) + h p (logp + H)  (p - 1 would cancel where p -> 1)
//   g = -gradScale * coefficient / T,  h = -gradScale * entropyCoefficient / T
// The exponential is formed as 2^(k z - c) with an integer c; the rest of lse, which is not representable beside z in
// f32, goes into the row's constants.
#include "gradient_pass.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "../../math/libm.h"
#include "../simd/half.h"
#include "forward_pass.h"
#include "parallel_rows.h"
#include "tuning.h"

namespace turnwise::cpu {

namespace {

/// The logit whose probability would be 1.
float nearestLogit(const RowScale& scale, double logSumExp) {
  return static_cast<float>(std::clamp<double>(logSumExp * scale.temperature, -FLT_MAX, FLT_MAX));
}

/// Constants of factor * exp(z / T - logSumExp).
GradientRow gradientRow(const RowKernels& kernels, const RowScale& scale, double logSumExp, double factor) {
  const double k = perUnit(kernels, scale);
  // That logit, and the power of two that is left. With k for log2(e) / T, k (z - near) errs by k's rounding times
  // z - near, which softmax damps; k z would err by k's rounding times z.
  const float near = nearestLogit(scale, logSumExp);
  const double rest = (logSumExp - near / scale.temperature) * kLog2E;
  double exponent = near * k + rest;
  GradientRow row{};
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

/// Constants of exp(z / T - logSumExp) * (g + h (z / T - logSumExp + entropy)).
///
/// With x = z - near the second factor is a + h x / T, a = g + h (entropy - rest). No float, so no logit, is closer to
/// T * logSumExp than `near`: |rest| <= |log p| and |x| / T <= 2 |log p|. So the sum in f32 cancels no more than the
/// formula itself does. Times 1 + drift x, which makes up for the rounding of the exponential's k to f32, it is
/// a + (h / T + drift a) x + drift h / T x^2.
GradientRow entropyRow(const RowKernels& kernels, const RowScale& scale, double logSumExp, double entropy, double g,
                       double h) {
  const float near = nearestLogit(scale, logSumExp);
  const double rest = logSumExp - near / scale.temperature;
  const double drift = (scale.perUnit - perUnit(kernels, scale)) * kLn2;
  const double constant = g + h * (entropy - rest);
  // In units that make the polynomial at least 1 where nothing cancels: a product with a normal float stays normal.
  int binade;
  std::frexp(std::max(std::fabs(constant), std::fabs(h)), &binade);
  const double unit = std::ldexp(1.0, binade - 1);
  const double slope = h / unit / scale.temperature;
  GradientRow row = gradientRow(kernels, scale, logSumExp, unit);
  row.near = near;
  row.constant = static_cast<float>(constant / unit);
  row.linear = static_cast<float>(slope + drift * (constant / unit));
  // Beyond f32's range only where logits that differ at all differ by more than any probability shows.
  row.quadratic = static_cast<float>(std::clamp<double>(drift * slope, -FLT_MAX, FLT_MAX));
  // The polynomial is 0 or, cancelling as far as 24 bits times 24 bits can, about 2^-48 of its constant. So a value
  // below 2^-134 has p below 2^-86 / constant; a few bits are for roundings.
  row.mayUnderflow = constant == 0 ? HUGE_VALF : static_cast<float>(near - (80 + std::ilogb(constant)) / scale.perUnit);
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
  const bool sizesFit =
      sameShape && args.logProbs.size == count && args.logSumExp.size == count &&
      (!args.actionMask || args.actionMask.size == count) && (!args.coefficients || args.coefficients.size == count) &&
      (!args.entropy || args.entropy.size == count) && (!args.underflowed || args.underflowed.size >= 1);
  const bool entropyFits = !args.entropyCoefficients || (args.entropyCoefficients.size == count && args.entropy &&
                                                         args.coefficients);  // deferred: the row scale is one number
  if (!sizesFit || !entropyFits || !RowScale::supported(args.temperature)) return {StatusCode::invalidArgument, -1};
  return checkTargets(args.targets, args.actionMask, args.logits.width);
}

GradientPass::GradientPass(const LogitsGradient& args, const RowKernels& kernels)
    : args_(args), scale_(args.temperature), kernels_(kernels) {}

size_t GradientPass::segments() const {
  return segmentCount(args_.logits.width);
}

void GradientPass::row(size_t n, bool hot) {
  columns(n, 0, args_.logits.width, hot);
}

GradientPass::Factors GradientPass::factors(size_t n) const {
  if (args_.actionMask && args_.actionMask[n] != 1) return {0, 0};
  if (!args_.coefficients) return {-1 / args_.temperature, 0};
  const auto factor = [&](double coefficient) {
    return coefficient == 0 ? 0.0 : -(coefficient * args_.gradScale) / args_.temperature;
  };
  return {factor(args_.coefficients[n]), args_.entropyCoefficients ? factor(args_.entropyCoefficients[n]) : 0.0};
}

bool GradientPass::finite(size_t n, const Factors& factors) const {
  const auto fits = [](double value) { return std::isfinite(static_cast<float>(value)); };
  if (!std::isfinite(args_.logSumExp[n]) || std::isnan(args_.logProbs[n]) || !fits(factors.logProb)) return false;
  return factors.entropy == 0 || (fits(factors.entropy) && fits(factors.logProb + factors.entropy * args_.entropy[n]));
}

double GradientPass::atTarget(size_t n, const Factors& factors) const {
  const double logProb = args_.logProbs[n];
  const double value = factors.logProb * std::expm1(logProb);
  if (factors.entropy == 0 || std::isinf(logProb)) return value;  // p = 0: not 0 * inf
  return value + factors.entropy * turnwise::exp(logProb) * (logProb + args_.entropy[n]);
}

void GradientPass::columns(size_t n, size_t begin, size_t end, bool hot) {
  const DType dtype = args_.logits.dtype;
  const Factors row = factors(n);
  unsigned char* out = args_.gradient.row(n) + begin * sizeOf(dtype);
  if (row.logProb == 0 && row.entropy == 0) {
    std::memset(out, 0, (end - begin) * sizeOf(dtype));
  } else if (!finite(n, row)) {
    fillNan(out, dtype, end - begin);
  } else {
    softmaxColumns(n, begin, end, row, hot);
  }
}

void GradientPass::softmaxColumns(size_t n, size_t begin, size_t end, const Factors& factors, bool hot) {
  const DType dtype = args_.logits.dtype;
  const bool withEntropy = factors.entropy != 0;
  const auto gradient = kernels_.gradient[static_cast<size_t>(dtype)][withEntropy ? 1 : 0];
  const unsigned char* in = args_.logits.row(n);
  unsigned char* out = args_.gradient.row(n);
  GradientRow constants =
      withEntropy ? entropyRow(kernels_, scale_, args_.logSumExp[n], args_.entropy[n], factors.logProb, factors.entropy)
                  : gradientRow(kernels_, scale_, args_.logSumExp[n], factors.logProb);
  constants.readAhead = hot ? 0 : kGradientReadAhead;

  const size_t target = static_cast<uint32_t>(args_.targets[n]);
  const bool hasTarget = target >= begin && target < end;
  uint64_t countedAtTarget = 0;
  if (hasTarget && dtype != DType::f32) {  // what the loop will count there is not what stays there
    unsigned char scratch[2];
    countedAtTarget = gradient(in + target * 2, scratch, 1, scale_, constants);
  }
  uint64_t underflowed =
      gradient(in + begin * sizeOf(dtype), out + begin * sizeOf(dtype), end - begin, scale_, constants) -
      countedAtTarget;
  if (hasTarget && storeElement(out, dtype, target, static_cast<float>(atTarget(n, factors)))) ++underflowed;
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
