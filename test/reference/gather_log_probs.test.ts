/**
 * gatherLogProbs and logitsGradient on whole matrices: masks, dtypes, non-finite rows, sizes. Values per row:
 * softmax.test.ts.
 */
import { describe, expect, test } from 'vitest';
import type { DTypeOfLogits, GatherLogProbsArgs, LogitsGradientArgs, Rows } from '../../lib/ops.js';
import { fromBf16, fromF16, toBf16, toF16 } from '../../lib/reference/index.js';
import { ops, random } from './fixtures.js';

const { NEGATIVE_INFINITY, POSITIVE_INFINITY } = Number;
const OK = { code: 'ok', position: -1 };

function rows(values: ArrayLike<number>, width: number, dtype: DTypeOfLogits = 'f32'): Rows {
  if (dtype === 'f32') return { data: Float32Array.from(values), dtype, width };
  return { data: Uint16Array.from(values, dtype === 'bf16' ? toBf16 : toF16), dtype, width };
}

function valuesOf({ data, dtype }: Rows): number[] {
  return Array.from(data, dtype === 'f32' ? (x) => x : dtype === 'bf16' ? fromBf16 : fromF16);
}

function gatherArgs(given: Partial<GatherLogProbsArgs> & Pick<GatherLogProbsArgs, 'logits'>): GatherLogProbsArgs {
  const count = given.logits.data.length / given.logits.width;
  return {
    targets: new Int32Array(count),
    actionMask: null,
    temperature: 1,
    nonFinite: 'throw',
    logProbs: new Float32Array(count).fill(-99),
    logSumExp: new Float64Array(count).fill(-99),
    entropy: new Float32Array(count).fill(-99),
    ...given,
  };
}

function gradientArgs(gather: GatherLogProbsArgs, given: Partial<LogitsGradientArgs> = {}): LogitsGradientArgs {
  const { logits, targets, actionMask, logProbs, logSumExp, temperature } = gather;
  return {
    logits,
    targets,
    actionMask,
    logProbs,
    logSumExp: logSumExp ?? new Float64Array(targets.length),
    coefficients: null,
    entropy: null,
    entropyCoefficients: null,
    temperature,
    gradScale: 1,
    gradient: { ...logits, data: logits.data.slice().fill(7) },
    underflowed: new Float64Array(1).fill(-99),
    ...given,
  };
}

function randomLogits(count: number, width: number, seed: number): Float32Array {
  const next = random(seed);
  return Float32Array.from({ length: count * width }, () => 20 * next() - 10);
}

describe('gatherLogProbs', () => {
  // p = 1/4 and 3/4 in each row.
  const logits = [0, Math.log(3), Math.log(3), 0];

  test('one row per target', () => {
    const args = gatherArgs({ logits: rows(logits, 2), targets: Int32Array.of(0, 0) });
    expect(ops.gatherLogProbs(args)).toEqual(OK);
    expect(args.logProbs[0]).toBeCloseTo(Math.log(0.25), 6);
    expect(args.logProbs[1]).toBeCloseTo(Math.log(0.75), 6);
    expect(args.logSumExp?.[0]).toBeCloseTo(Math.log(4), 6);
    expect(args.entropy?.[0]).toBeCloseTo(Math.log(4) - 0.75 * Math.log(3), 6);
  });

  test.each(['bf16', 'f16'] as const)('%s logits mean the rounded numbers', (dtype) => {
    const stored = rows(randomLogits(3, 50, 1), 50, dtype);
    const args = gatherArgs({ logits: stored, temperature: 0.9 });
    const exact = gatherArgs({ logits: rows(valuesOf(stored), 50), temperature: 0.9 });
    expect([ops.gatherLogProbs(args), ops.gatherLogProbs(exact)]).toEqual([OK, OK]);
    expect([args.logProbs, args.logSumExp, args.entropy]).toEqual([exact.logProbs, exact.logSumExp, exact.entropy]);
  });

  test('rows outside the mask are not read; their outputs are 0', () => {
    const args = gatherArgs({
      logits: rows([Number.NaN, POSITIVE_INFINITY, 5, 5], 2),
      targets: Int32Array.of(-7, 1),
      actionMask: Uint8Array.of(0, 1),
    });
    expect(ops.gatherLogProbs(args)).toEqual(OK);
    expect([args.logProbs[0], args.logSumExp?.[0], args.entropy?.[0]]).toEqual([0, 0, 0]);
    expect(args.logProbs[1]).toBe(Math.fround(-Math.LN2));
  });

  test('log-sum-exp and entropy are optional', () => {
    const args = gatherArgs({ logits: rows(logits, 2), logSumExp: null, entropy: null });
    expect(ops.gatherLogProbs(args)).toEqual(OK);
    expect(args.logProbs[0]).toBeCloseTo(Math.log(0.25), 6);
  });

  test.each(['throw', 'check-first'] as const)('the first bad row is named: %s', (nonFinite) => {
    const bad = (...values: number[]) => ops.gatherLogProbs(gatherArgs({ logits: rows(values, 2), nonFinite }));
    expect(bad(0, 0, Number.NaN, 0)).toEqual({ code: 'non-finite-logits', position: 1 });
    expect(bad(0, 0, 0, POSITIVE_INFINITY)).toEqual({ code: 'non-finite-logits', position: 1 });
    expect(bad(NEGATIVE_INFINITY, NEGATIVE_INFINITY)).toEqual({ code: 'non-finite-logits', position: 0 });
    expect(bad(0, NEGATIVE_INFINITY, NEGATIVE_INFINITY, 0)).toEqual({ code: 'non-finite-log-prob', position: 1 });
    expect(bad(NEGATIVE_INFINITY, 0, Number.NaN, 0)).toEqual({ code: 'non-finite-log-prob', position: 0 });
    // Finite logits, but the gap leaves the range of float32.
    expect(bad(-3e38, 3e38)).toEqual({ code: 'non-finite-log-prob', position: 0 });
  });

  test('propagate: NaN where a row is bad, -Infinity where only the target is', () => {
    const values = [0, 0, Number.NaN, 0, NEGATIVE_INFINITY, 0, 1, POSITIVE_INFINITY];
    const args = gatherArgs({ logits: rows(values, 2), nonFinite: 'propagate' });
    expect(ops.gatherLogProbs(args)).toEqual(OK);
    expect(Array.from(args.logProbs)).toEqual([Math.fround(-Math.LN2), Number.NaN, NEGATIVE_INFINITY, Number.NaN]);
    expect(Array.from(args.logSumExp ?? [])).toEqual([Math.LN2, Number.NaN, 0, Number.NaN]);
    expect(Array.from(args.entropy ?? [])).toEqual([Math.fround(Math.LN2), Number.NaN, 0, Number.NaN]);
  });

  test.each([-1, 2, 2 ** 31 - 1])('target %i is refused before anything is written', (target) => {
    const args = gatherArgs({ logits: rows(logits, 2), targets: Int32Array.of(1, target) });
    expect(ops.gatherLogProbs(args)).toEqual({ code: 'target-out-of-range', position: 1 });
    expect(args.logProbs[0]).toBe(-99);
  });

  test.each<[string, Partial<GatherLogProbsArgs>]>([
    ['logits', { logits: rows([0, 0, 0], 2) }],
    ['dtype', { logits: { data: new Float32Array(4), dtype: 'bf16', width: 2 } }],
    ['mask', { actionMask: new Uint8Array(1) }],
    ['logProbs', { logProbs: new Float32Array(1) }],
    ['logSumExp', { logSumExp: new Float64Array(3) }],
    ['entropy', { entropy: new Float32Array(0) }],
  ])('size of %s', (_, given) => {
    const args = gatherArgs({ logits: rows(logits, 2) });
    expect(ops.gatherLogProbs({ ...args, ...given })).toEqual({ code: 'invalid-argument', position: -1 });
  });

  test('no rows', () => {
    expect(ops.gatherLogProbs(gatherArgs({ logits: rows([], 4) }))).toEqual(OK);
  });

  test('[64 x 32000] in a few seconds', () => {
    const args = gatherArgs({ logits: rows(randomLogits(64, 32000, 2), 32000) });
    const start = performance.now();
    expect(ops.gatherLogProbs(args)).toEqual(OK);
    expect(ops.logitsGradient(gradientArgs(args))).toEqual(OK);
    expect(performance.now() - start).toBeLessThan(5000);
  });
});

describe('logitsGradient', () => {
  test('p = 1/4 and 3/4: coefficient and temperature', () => {
    const gather = gatherArgs({ logits: rows([0, 2 * Math.log(3)], 2), temperature: 2 });
    ops.gatherLogProbs(gather);
    const args = gradientArgs(gather, { coefficients: Float64Array.of(8), gradScale: 0.5 });
    expect(ops.logitsGradient(args)).toEqual(OK);
    // 0.5 · 8 · (1 - 1/4) / 2 and 0.5 · 8 · (0 - 3/4) / 2; log-probs pass through float32.
    expect(args.gradient.data[0]).toBeCloseTo(1.5, 6);
    expect(args.gradient.data[1]).toBeCloseTo(-1.5, 6);
  });

  test('without coefficients every active row has 1 and gradScale is not applied', () => {
    const gather = gatherArgs({ logits: rows([0, 0, 3, 3], 2), actionMask: Uint8Array.of(1, 0) });
    ops.gatherLogProbs(gather);
    const args = gradientArgs(gather, { gradScale: 1000 });
    expect(ops.logitsGradient(args)).toEqual(OK);
    expect(Array.from(args.gradient.data)).toEqual([0.5, -0.5, 0, 0]);
  });

  test('rows with mask 0 or coefficient 0 are zeros and not read', () => {
    const bad = [Number.NaN, POSITIVE_INFINITY];
    const gather = gatherArgs({ logits: rows([...bad, ...bad, 0, 0], 2), actionMask: Uint8Array.of(0, 1, 1) });
    const args = gradientArgs(gather, {
      logProbs: Float32Array.of(Number.NaN, Number.NaN, -Math.LN2),
      logSumExp: Float64Array.of(Number.NaN, Number.NaN, Math.LN2),
      coefficients: Float64Array.of(5, 0, 2),
    });
    expect(ops.logitsGradient(args)).toEqual(OK);
    expect(Array.from(args.gradient.data.subarray(0, 4))).toEqual([0, 0, 0, 0]);
    expect(args.gradient.data[5]).toBeCloseTo(-1, 7);
  });

  test('in place gives what out of place gives', () => {
    const logits = rows(randomLogits(5, 33, 3), 33);
    const gather = gatherArgs({ logits });
    ops.gatherLogProbs(gather);
    const coefficients = Float64Array.of(1, -2, 0, 3, 1e-3);
    const apart = gradientArgs(gather, { coefficients });
    ops.logitsGradient(apart);
    ops.logitsGradient(gradientArgs(gather, { coefficients, gradient: logits }));
    expect(logits.data).toEqual(apart.gradient.data);
  });

  test('a row of the gradient sums to 0', () => {
    const gather = gatherArgs({ logits: rows(randomLogits(4, 1000, 4), 1000) });
    ops.gatherLogProbs(gather);
    const args = gradientArgs(gather);
    ops.logitsGradient(args);
    for (let n = 0; n < 4; n++) {
      const sum = Array.from(args.gradient.data.subarray(1000 * n, 1000 * (n + 1))).reduce((a, b) => a + b, 0);
      // The log-prob behind the target's entry has passed through float32: 6e-8 of at most 1, times |log p| ≤ 20.
      expect(Math.abs(sum)).toBeLessThan(2e-6);
    }
  });

  test('-Infinity logits get 0; a bad row gets NaN under propagate', () => {
    const gather = gatherArgs({
      logits: rows([0, NEGATIVE_INFINITY, 0, 0, Number.NaN, 0], 3),
      nonFinite: 'propagate',
    });
    ops.gatherLogProbs(gather);
    const args = gradientArgs(gather);
    expect(ops.logitsGradient(args)).toEqual(OK);
    expect(Math.abs(args.gradient.data[1])).toBe(0);
    expect(args.gradient.data.subarray(0, 3).every(Number.isFinite)).toBe(true);
    expect(args.gradient.data.subarray(3).every(Number.isNaN)).toBe(true);
  });

  test('16-bit gradients are rounded to nearest even and lost elements counted', () => {
    // Probabilities 1, e^-20 = 2e-9, e^-30 = 9e-14 and e^-200, which is 0 in float32 already. f16 ends at 6e-8.
    const gather = gatherArgs({ logits: rows([0, -20, -30, -200], 4, 'f16'), targets: Int32Array.of(1) });
    ops.gatherLogProbs(gather);
    const args = gradientArgs(gather, { coefficients: Float64Array.of(1) });
    expect(ops.logitsGradient(args)).toEqual(OK);
    expect(valuesOf(args.gradient)).toEqual([-1, 1, -0, -0]);
    expect(args.underflowed?.[0]).toBe(1);

    const scaled = gradientArgs(gather, { coefficients: Float64Array.of(1), gradScale: 2 ** 14, underflowed: null });
    expect(ops.logitsGradient(scaled)).toEqual(OK);
    expect(scaled.gradient.data[0]).toBe(toF16(-(2 ** 14)));
  });

  test('a NaN coefficient stays NaN in 16 bits', () => {
    for (const [dtype, nan] of [
      ['bf16', 0x7fc0],
      ['f16', 0x7e00],
    ] as const) {
      const gather = gatherArgs({ logits: rows([0, 1], 2, dtype) });
      ops.gatherLogProbs(gather);
      const args = gradientArgs(gather, { coefficients: Float64Array.of(Number.NaN) });
      expect(ops.logitsGradient(args)).toEqual(OK);
      expect(Array.from(args.gradient.data)).toEqual([nan, nan]);
    }
  });

  test.each<[string, Partial<LogitsGradientArgs>, string]>([
    ['gradient too small', { gradient: rows([0, 0], 2) }, 'invalid-argument'],
    ['gradient of another dtype', { gradient: rows([0, 0, 0, 0], 2, 'f16') }, 'invalid-argument'],
    ['gradient of another width', { gradient: rows([0, 0, 0, 0], 4) }, 'invalid-argument'],
    ['coefficients', { coefficients: new Float64Array(3) }, 'invalid-argument'],
    ['logSumExp', { logSumExp: new Float64Array(1) }, 'invalid-argument'],
    ['underflowed', { underflowed: new Float64Array(0) }, 'invalid-argument'],
    ['target', { targets: Int32Array.of(0, 2) }, 'target-out-of-range'],
  ])('%s', (_, given, code) => {
    const args = gradientArgs(gatherArgs({ logits: rows([0, 0, 0, 0], 2) }));
    expect(ops.logitsGradient({ ...args, ...given }).code).toBe(code);
  });
});
