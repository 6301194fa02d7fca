// dLogits of rows (native/rows/row_gradient.h); in place or not.
//
// The exponential is formed as 2^(k z - c) with an integer c; the rest of lse, which is not representable beside z in
// f32, goes into the row's constants.
#include "gradient_pass.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "../../checks/logits_gradient.h"
#include "../simd/half.h"
#include "parallel_rows.h"
#include "tuning.h"

namespace turnwise::cpu {

namespace {

/// Constants of factor * exp(z / T - logSumExp).
GradientRow gradientRow(const RowKernels& kernels, const RowScale& scale, double logSumExp, double factor) {
  const double k = perUnit(kernels, scale);
  const SoftmaxExponent softmax = softmaxExponent(scale.temperature, k, logSumExp);
  GradientRow row{};
  row.near = softmax.near;
  row.shifted = !kernels.fused || std::fabs(softmax.exponent) > kLargestShift;
  row.base = row.shifted ? softmax.near : 0.0f;
  const double exponent = row.shifted ? softmax.rest : softmax.exponent;
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
GradientRow entropyRow(const RowKernels& kernels, const RowScale& scale, double logSumExp, double entropy,
                       const RowFactors& factors) {
  const EntropyPolynomial polynomial =
      entropyPolynomial(scale.temperature, perUnit(kernels, scale), logSumExp, entropy, factors);
  GradientRow row = gradientRow(kernels, scale, logSumExp, polynomial.unit);
  row.constant = static_cast<float>(polynomial.constant / polynomial.unit);
  row.linear = polynomial.linear;
  row.quadratic = polynomial.quadratic;
  // The polynomial is 0 or, cancelling as far as 24 bits times 24 bits can, about 2^-48 of its constant. So a value
  // below 2^-134 has p below 2^-86 / constant; a few bits are for roundings.
  row.mayUnderflow = polynomial.constant == 0
                         ? HUGE_VALF
                         : static_cast<float>(row.near - (80 + std::ilogb(polynomial.constant)) / scale.perUnit);
  return row;
}

void fillNan(unsigned char* p, DType dtype, size_t count) {
  for (size_t i = 0; i < count; ++i) storeElement(p, dtype, i, std::nanf(""));
}

}  // namespace

Status checkLogitsGradient(const LogitsGradient& args) {
  if (!validArguments(args)) return {StatusCode::invalidArgument, -1};
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

RowFactors GradientPass::factors(size_t n) const {
  if (args_.actionMask && args_.actionMask[n] != 1) return {0, 0};
  if (!args_.coefficients) return {rowFactor(1, 1, args_.temperature), 0};
  const auto factor = [&](double coefficient) { return rowFactor(coefficient, args_.gradScale, args_.temperature); };
  return {factor(args_.coefficients[n]), args_.entropyCoefficients ? factor(args_.entropyCoefficients[n]) : 0.0};
}

void GradientPass::columns(size_t n, size_t begin, size_t end, bool hot) {
  const DType dtype = args_.logits.dtype;
  const RowFactors row = factors(n);
  unsigned char* out = args_.gradient.row(n) + begin * sizeOf(dtype);
  if (row.zero()) {
    std::memset(out, 0, (end - begin) * sizeOf(dtype));
  } else if (!finiteGradient(row, args_.logProbs[n], args_.logSumExp[n], entropy(n))) {
    fillNan(out, dtype, end - begin);
  } else {
    softmaxColumns(n, begin, end, row, hot);
  }
}

void GradientPass::softmaxColumns(size_t n, size_t begin, size_t end, const RowFactors& factors, bool hot) {
  const DType dtype = args_.logits.dtype;
  const bool withEntropy = factors.entropy != 0;
  const auto gradient = kernels_.gradient[static_cast<size_t>(dtype)][withEntropy ? 1 : 0];
  const unsigned char* in = args_.logits.row(n);
  unsigned char* out = args_.gradient.row(n);
  GradientRow constants = withEntropy ? entropyRow(kernels_, scale_, args_.logSumExp[n], entropy(n), factors)
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
  if (hasTarget &&
      storeElement(out, dtype, target, static_cast<float>(gradientAtTarget(factors, args_.logProbs[n], entropy(n)))))
    ++underflowed;
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
