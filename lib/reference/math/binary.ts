/**
 * Float64 taken apart exactly: the binary exponent of a number and powers of two by their bits.
 * `Math.log2` and `2 ** e` are not used, because a result off by one unit would break the exactness others rely on.
 */

const view = new DataView(new ArrayBuffer(8));

/**
 * The exponent e of 1.f · 2ᵉ = |x|, also for subnormal numbers.
 *
 * @param x a finite number other than 0
 */
export function exponentOf(x: number): number {
  view.setFloat64(0, x);
  const biased = (view.getUint32(0) >>> 20) & 0x7ff;
  return biased === 0 ? exponentOf(x * 2 ** 54) - 54 : biased - 1023;
}

/**
 * 2ᵉ, exactly: subnormal from e = -1023 down to -1074, 0 below, Infinity from e = 1024.
 *
 * @param e an integer
 */
export function powerOfTwo(e: number): number {
  if (e > 1023) return Number.POSITIVE_INFINITY;
  if (e < -1074) return 0;
  if (e < -1022) return powerOfTwo(e + 52) * 2 ** -52;
  view.setUint32(0, (e + 1023) << 20);
  view.setUint32(4, 0);
  return view.getFloat64(0);
}
