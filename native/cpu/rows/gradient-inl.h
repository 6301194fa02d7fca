// out = -factor * softmax(z / T) over a column range, in place or not: one read, one write, nothing in between.
#pragma once
#include "columns-inl.h"
#include "exp2-inl.h"

namespace turnwise::cpu::TURNWISE_SIMD {

/// Nonzero f32 of at most this magnitude become 0 in f16 (a tie goes to the even 0).
constexpr float kF16Underflow = 0x1p-25f;

template <DType D, bool kShifted>
TURNWISE_NOINLINE uint64_t writeGradient(const unsigned char* in, unsigned char* out, size_t count,
                                         const Exp2& constants, ptrdiff_t readAhead) {
  constexpr size_t kPairBytes = kPairColumns * kElementSize<D>;
  constexpr size_t kPairs = kVectors / 2;
  const Exp2 exp2 = constants;
  uint64_t underflowed = 0;
  const auto gradient = [&](F32 z) {
    F32 x, mantissa, scale;
    exp2Parts<kShifted, false>(z, exp2, x, mantissa, scale);
    const F32 value = mul(mantissa, scale);
    // f32 needs no count, and bf16 none either: no value here is subnormal, and bf16 has the exponents of f32.
    if constexpr (D == DType::f16) underflowed += countTiny(value, kF16Underflow);
    return value;
  };

  F32 a, b;
  for (; count >= kPairs * kPairColumns; count -= kPairs * kPairColumns) {
    prefetch<kPairs * kPairBytes, 2>(in + readAhead);
    for (size_t i = 0; i < kPairs; ++i, in += kPairBytes, out += kPairBytes) {
      loadPair<D>(in, a, b);
      storePair<D>(out, gradient(a), gradient(b));
    }
  }
  for (; count >= kPairColumns; count -= kPairColumns, in += kPairBytes, out += kPairBytes) {
    loadPair<D>(in, a, b);
    storePair<D>(out, gradient(a), gradient(b));
  }
  if (count > 0) {
    PaddedPair<D> last(in, count);
    loadPair<D>(last.bytes, a, b);
    storePair<D>(last.bytes, gradient(a), gradient(b));  // the padding is -inf: 0, and not counted
    std::memcpy(out, last.bytes, count * kElementSize<D>);
  }
  return underflowed;
}

template <DType D>
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
  return (row.shifted ? writeGradient<D, true> : writeGradient<D, !F32::kFused>)(columns, gradient, count, exp2,
                                                                                 row.readAhead);
}

}  // namespace turnwise::cpu::TURNWISE_SIMD
