/**
 * bf16 and f16 as 16-bit integers, to and from float64. Decoding is exact; encoding rounds once, from the float64
 * value, to nearest even, keeps NaN (never turns it into infinity) and rounds denormal numbers instead of flushing
 * them.
 */
import { exponentOf, powerOfTwo } from './binary.js';

const bits = new DataView(new ArrayBuffer(4));

/** Value of a bf16: the upper half of a float32. */
export function fromBf16(half: number): number {
  bits.setUint32(0, half << 16);
  return bits.getFloat32(0);
}

/** bf16 (8 bits of precision, exponent of float32) nearest to `value`; NaN is 0x7fc0. */
export function toBf16(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  // Rounded to 8 bits already, the number is exact in float32 (or overflows there, where bf16 does too).
  bits.setFloat32(0, roundToPrecision(value, 7, -126));
  return bits.getUint32(0) >>> 16;
}

/** Value of an IEEE binary16. */
export function fromF16(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * powerOfTwo(-24);
  return sign * (0x400 + fraction) * powerOfTwo(exponent - 25);
}

/** IEEE binary16 (11 bits of precision, largest finite 65504) nearest to `value`; NaN is 0x7e00. */
export function toF16(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const rounded = Math.abs(roundToPrecision(value, 10, -14));
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  if (rounded >= 65536) return sign | 0x7c00;
  if (rounded < powerOfTwo(-14)) return sign | (rounded * powerOfTwo(24));
  const exponent = exponentOf(rounded);
  const fraction = rounded * powerOfTwo(10 - exponent) - 0x400;
  return sign | ((exponent + 15) << 10) | fraction;
}

/** Nearest number with `fractionBits` after the leading one, ties to even; below 2^minExponent a fixed spacing. */
function roundToPrecision(value: number, fractionBits: number, minExponent: number): number {
  if (value === 0 || !Number.isFinite(value)) return value;
  const spacing = powerOfTwo(Math.max(exponentOf(value), minExponent) - fractionBits);
  // In [2^52, 2^53) the spacing of float64 is 1: adding such a number rounds to an integer, ties to even.
  const toInteger = 1.5 * powerOfTwo(52);
  const rounded = (value / spacing + toInteger - toInteger) * spacing;
  return rounded === 0 && value < 0 ? -0 : rounded;
}
