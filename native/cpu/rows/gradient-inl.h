// out = factor * softmax(z / T) over a column range, in place or not: one read, one write, nothing in between.
//
// With entropy, factor is a polynomial of x = z - near (gradient_pass.cpp derives it). `near` is the float nearest to
// the logit of probability 1: where a logit equals it, x is exactly 0 and all of log p is in the polynomial's constant,
// which was formed in double. So log p + H keeps its digits where both vanish.
#pragma once
#include "columns-inl.h"
#include "exp2-inl.h"

namespace turnwise::cpu::TURNWISE_SIMD {

/// Nonzero f32 of at most this magnitude become 0 (a tie goes to the even 0).
template <DType D>
constexpr float kUnderflow = D == DType::f16 ? 0x1p-25f : 0x1p-134f;

template <DType D, bool kEntropy, bool kShifted>
TURNWISE_NOINLINE uint64_t writeGradient(const unsigned char* in, unsigned char* out, size_t count,
                                         const Exp2& constants, const GradientRow& row) {
  constexpr size_t kPairBytes = kPairColumns * kElementSize<D>;
  constexpr size_t kPairs = kVectors / 2;
  const Exp2 exp2 = constants;
  const ptrdiff_t readAhead = row.readAhead;
  const F32 near = broadcast(row.near), mayUnderflow = broadcast(row.mayUnderflow);
  const F32 constant = broadcast(row.constant), linear = broadcast(row.linear), quadratic = broadcast(row.quadratic);
  uint64_t underflowed = 0;
  const auto gradient = [&](F32 z) {
    F32 x, mantissa, scale;
    exp2Parts<kShifted, kEntropy>(z, exp2, x, mantissa, scale);
    if constexpr (kEntropy) {
      // Finite for -inf too, which exp2Parts cut off; its scale is 0.
      const F32 distance = kShifted ? x : sub(x, near);
      mantissa = mul(mantissa, mulAdd(distance, mulAdd(distance, quadratic, linear), constant));
    }
    const F32 value = mul(mantissa, scale);
    if constexpr (D == DType::f16) underflowed += countTiny(value, kUnderflow<D>);
    return value;
  };
  // bf16 has the exponents of f32, and without entropy no value is subnormal. The polynomial may cancel, though: so
  // rarely below 2^-134 that looking at the logits first saves half of what counting costs.
  const auto writePair = [&](const unsigned char* from, unsigned char* to) {
    F32 a, b;
    loadPair<D>(from, a, b);
    const F32 first = gradient(a), second = gradient(b);
    if constexpr (D == DType::bf16 && kEntropy) {
      if (anyAbove(mayUnderflow, min(a, b))) {
        underflowed += countTiny(first, kUnderflow<D>) + countTiny(second, kUnderflow<D>);
      }
    }
    storePair<D>(to, first, second);
  };

  for (; count >= kPairs * kPairColumns; count -= kPairs * kPairColumns) {
    prefetch<kPairs * kPairBytes, 2>(in + readAhead);
    for (size_t i = 0; i < kPairs; ++i, in += kPairBytes, out += kPairBytes) {
      writePair(in, out);
    }
  }
  for (; count >= kPairColumns; count -= kPairColumns, in += kPairBytes, out += kPairBytes) {
    writePair(in, out);
  }
  if (count > 0) {
    PaddedPair<D> last(in, count);
    writePair(last.bytes, last.bytes);  // the padding is -inf: 0, and not counted
    std::memcpy(out, last.bytes, count * kElementSize<D>);
  }
  return underflowed;
}

template <DType D, bool kEntropy>
uint64_t gradientColumns(const unsigned char* columns, unsigned char* gradient, size_t count, const RowScale& scale,
                         const GradientRow& row) {
  Exp2 exp2;
  exp2.base = broadcast(row.base);
  exp2.k = broadcast(scale.k);
  exp2.magic = broadcast(row.magic);
  exp2.floor = broadcast(row.floor);
  exp2.stepHigh = broadcast(scale.stepHigh);
  exp2.stepLow = broadcast(scale.stepLow);
  for (int i = 0; i < 6; ++i) exp2.coefficient[i] = broadcast(row.polynomial[i]);
  return (row.shifted ? writeGradient<D, kEntropy, true> : writeGradient<D, kEntropy, !F32::kFused>)(columns, gradient,
                                                                                                     count, exp2, row);
}

}  // namespace turnwise::cpu::TURNWISE_SIMD
