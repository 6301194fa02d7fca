/**
 * A sum whose bits do not depend on the order of its terms, so that shuffling trajectories or splitting a batch changes
 * no statistic. Three folds of pre-rounding; nothing is sorted, no copy of the terms is made.
 */
import { exponentOf, powerOfTwo } from './binary.js';

const FOLDS = 3;
/** Above this exponent the first anchor would leave the range of float64. */
const LARGEST_ANCHOR_EXPONENT = 1020;
const DOWN_SCALE_EXPONENT = 128;

/**
 * Order-independent sum, accurate far beyond a plain float64 sum.
 *
 *   m = maxᵢ |xᵢ| < 2ᴱ,   b = ⌈log₂ n⌉ + 1
 *   a₁ = E + b,   aⱼ₊₁ = aⱼ - 53 + b,   anchorⱼ = 1.5 · 2^aⱼ
 *   qᵢⱼ = (xᵢⱼ + anchorⱼ) - anchorⱼ,   xᵢ,ⱼ₊₁ = xᵢⱼ - qᵢⱼ
 *   sum = (Σᵢ qᵢ₁ + Σᵢ qᵢ₂) + Σᵢ qᵢ₃
 *
 * Why each Σᵢ qᵢⱼ is exact in any order: |xᵢⱼ| ≤ 2^(aⱼ - b) with b ≥ 1, so xᵢⱼ + anchorⱼ stays in [1, 2] · 2^aⱼ and qᵢⱼ
 * is a multiple of uⱼ = 2^(aⱼ - 52), at most 2^(52 - b) units large; n ≤ 2^(b - 1) of them stay below 2⁵¹ units. What
 * is left of xᵢⱼ is a multiple of its own last bit and at most uⱼ/2 = 2^(aⱼ₊₁ - b), so the subtraction is exact and the
 * next fold fits. An anchor that underflows to 0 is skipped: the fold before it had a unit of 2⁻¹⁰⁷⁴ or less and left
 * nothing.
 *
 * Source: Demmel and Nguyen, Fast Reproducible Floating-Point Summation, ARITH 2013 (pre-rounding).
 *
 * @param count n, the number of terms
 * @param value term i, called several times for each i in [0, n)
 * @returns 0 for no terms or only zeros; NaN or ±Infinity if a term is not finite
 */
export function reproducibleSum(count: number, value: (i: number) => number): number {
  const largest = largestMagnitude(count, value);
  if (largest === 0) return 0;
  if (!Number.isFinite(largest)) return nonFiniteSum(count, value);

  const bits = ceilLog2(count) + 1;
  const exponent = exponentOf(largest) + 1;
  if (exponent + bits > LARGEST_ANCHOR_EXPONENT) {
    const down = powerOfTwo(-DOWN_SCALE_EXPONENT);
    const scaled = foldedSum(count, (i) => value(i) * down, exponent - DOWN_SCALE_EXPONENT, bits);
    return scaled * powerOfTwo(DOWN_SCALE_EXPONENT);
  }
  return foldedSum(count, value, exponent, bits);
}

function foldedSum(count: number, value: (i: number) => number, exponent: number, bits: number): number {
  const anchors: number[] = [];
  for (let fold = 0, a = exponent + bits; fold < FOLDS; fold++, a += bits - 53) anchors.push(1.5 * powerOfTwo(a));
  const sums = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    let x = value(i);
    for (let fold = 0; fold < FOLDS; fold++) {
      const anchor = anchors[fold];
      if (anchor === 0) break;
      const q = x + anchor - anchor;
      sums[fold] += q;
      x -= q;
    }
  }
  return sums[0] + sums[1] + sums[2];
}

/** NaN if any term is NaN. */
function largestMagnitude(count: number, value: (i: number) => number): number {
  let largest = 0;
  for (let i = 0; i < count; i++) largest = Math.max(largest, Math.abs(value(i)));
  return largest;
}

/** Finite terms beside an infinite one do not count; adding them could overflow in one order and not in another. */
function nonFiniteSum(count: number, value: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) if (!Number.isFinite(value(i))) sum += value(i);
  return sum;
}

function ceilLog2(n: number): number {
  let bits = 0;
  for (let power = 1; power < n; power *= 2) bits++;
  return bits;
}
