/**
 * The case table: for every op shapes with the reason for each, seeded inputs, and tolerances with their reasons. Correctness tests,
 * benchmarks and every backend use the same cases; a backend is right when it is within each output's tolerance of the reference.
 */
import type { OpName, Ops, Status } from '../../lib/ops.js';

export type ArgsOf<Name extends OpName> = Parameters<Ops[Name]>[0];

/** How far an element may be from the reference's. NaN must meet NaN and an infinity the same infinity, whatever it says. */
export interface Tolerance {
  why: string;
  /** Absolute deviation allowed where the reference has `expected`. */
  allowed(expected: number, i: number): number;
}

export interface Output {
  name: string;
  /** Elements as numbers; 16-bit ones decoded. */
  values: ArrayLike<number>;
  tolerance: Tolerance;
}

export interface OpCase<Name extends OpName = OpName> {
  op: Name;
  title: string;
  /** Why this shape or this content is in the table. */
  why: string;
  /** Fresh arguments with the same content every time; results are poisoned, so that nothing passes by not being written. */
  make(): ArgsOf<Name>;
  /** What the op must answer; default ok. After another status the outputs mean nothing. */
  status?: Status;
  outputs(args: ArgsOf<Name>): Output[];
}

export const EXACT: Tolerance = { why: 'copied, counted, or the same float64 arithmetic', allowed: () => 0 };

/**
 * Float64 arithmetic in another order or with another library's exp: a few units of 2^-53 of the element, or of a share of the largest one. The
 * share is 1 where an element is a difference of values that are as large as that.
 */
export function float64(values: ArrayLike<number>, units: number, why: string, share = 2 ** -10): Tolerance {
  let scale = 0;
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i])) scale = Math.max(scale, Math.abs(values[i]));
  }
  return { why, allowed: (expected) => units * 2 ** -53 * Math.max(Math.abs(expected), scale * share) };
}

/** The first element outside its tolerance, in words; null where there is none. */
export function mismatch(actual: Output, expected: Output): string | null {
  if (actual.values.length !== expected.values.length) {
    return `${actual.name}: ${actual.values.length} elements, the reference has ${expected.values.length}`;
  }
  for (let i = 0; i < expected.values.length; i++) {
    const [a, e] = [actual.values[i], expected.values[i]];
    if (Object.is(a, e) || (a === e && e === 0)) continue;
    const allowed = expected.tolerance.allowed(e, i);
    if (Number.isFinite(e) && Math.abs(a - e) <= allowed) continue;
    return `${actual.name}[${i}] = ${a}, the reference has ${e}, allowed ±${allowed} (${expected.tolerance.why})`;
  }
  return null;
}
