// 2^(k (z - base) - c) for a vector of logits z: the inner loop's only transcendental.
//
// With fused multiply-add, k z - c is never rounded: t = fma(z, k, magic) rounds to an integer in the low bits of a
// float (magic = 1.5 * 2^23 + bias - c with an integer c), n = t - magic is that integer exactly, and f = fma(z, k, -n)
// is rounded once, at |f| <= 1/2. So the error does not grow with the distance from the maximum, and no subtraction z -
// max is needed
// (`base` is used only where |c| would not fit). Without it, z - base comes first (exact near the maximum) and the
// integer part is taken off in units of T ln 2 in two steps (Cody & Waite, Software Manual for the Elementary
// Functions, 1980).
//
// 2^f: degree 5, minimax in relative error with p(0) = 1. The result is p(f) * 2^n; its bias is one too small and the
// polynomial doubled, so that the smallest scale, 0, stands for everything below 2^-125.5: -inf gives exactly 0, and no
// subnormal (slow on x86) ever appears. NaN stays NaN. Measured over 10^8 floats of [-125, 9] (k = 1, c = 0): relative
// error <= 2.7 * 2^-24 (fused), 3.0 * 2^-24 (baseline).
#pragma once
#include "row_kernels.h"

namespace turnwise::cpu::TURNWISE_SIMD {

struct Exp2 {
  F32 base, k, magic, floor, stepHigh, stepLow;
  F32 coefficient[6];
};

/// What rounding took from x = z - base (Knuth's TwoSum). Where x was cut off it is of no use, but finite.
TURNWISE_INLINE F32 subtractionError(F32 z, F32 x, const Exp2& e) {
  const F32 minusBase = sub(x, z);
  const F32 error = sub(sub(z, sub(x, minusBase)), add(e.base, minusBase));
  const F32 bound = mul(e.stepHigh, broadcast(0x1p-10f));
  return min(max(error, sub(broadcast(0.0f), bound)), bound);  // second operands: a NaN, of z = -inf, ends here
}

/// 2^(k (z - base) - c) = mantissa * scale; `x` becomes z - base (z where it is not shifted), cut off where the result
/// is 0. `kExact`: without fused multiply-add, keep what the subtraction rounds off (it is all of the error far from
/// the maximum).
template <bool kShifted, bool kExact>
TURNWISE_INLINE void exp2Parts(F32 z, const Exp2& e, F32& x, F32& mantissa, F32& scale) {
  const F32 distance = kShifted ? sub(z, e.base) : z;
  x = max(e.floor, distance);  // second operand: a NaN passes
  const F32 t = mulAdd(x, e.k, e.magic);
  const F32 n = sub(t, e.magic);
  F32 f;
  if constexpr (F32::kFused) {
    f = mulSub(x, e.k, n);
  } else {
    F32 rest = sub(sub(x, mul(n, e.stepHigh)), mul(n, e.stepLow));
    if constexpr (kExact) rest = add(rest, subtractionError(z, x, e));
    f = mul(rest, e.k);
  }
  F32 p = e.coefficient[5];
  p = mulAdd(p, f, e.coefficient[4]);
  p = mulAdd(p, f, e.coefficient[3]);
  p = mulAdd(p, f, e.coefficient[2]);
  p = mulAdd(p, f, e.coefficient[1]);
  mantissa = mulAdd(p, f, e.coefficient[0]);
  scale = lowBitsToExponent(t);
}

}  // namespace turnwise::cpu::TURNWISE_SIMD
