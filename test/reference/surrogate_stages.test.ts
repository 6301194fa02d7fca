/** surrogate: weights, reductions, clipped tokens, entropy bonus, corrected KL and the coupled gate at small numbers. */
import { describe, expect, test } from 'vitest';
import type { KlArgs, MetricSlot, SurrogateArgs, WeightArgs } from '../../lib/ops.js';
import { NO_KL, WEIGHT } from '../support/records.mjs';
import { lossOf, metric } from './fixtures.js';
import { f32, f64, gate, logProbs, logRatios, ratio, run } from './small_batch.js';

const { NaN: NONE, POSITIVE_INFINITY: INF, NEGATIVE_INFINITY } = Number;

describe('weights by hand', () => {
  const wide = gate({ low: 0.9, high: 9 });
  const [a, b, c, d, e, f] = logRatios.map(Math.exp);
  const rolloutLogProbs = f32(-1, -1.5, -1, -2, -1, -0.75);
  // exp(old - rollout) = 1, e^0.5, 1, e, 1, e^-0.25
  const importance: WeightArgs = { ...WEIGHT, low: 0.9, high: 1.5 };

  test('truncated: they multiply the surrogate, its gradient, and nothing else', () => {
    const kl: KlArgs = { ...NO_KL, coef: 0.5, estimator: 'k1' };
    const refLogProbs = new Float32Array(6).fill(-1);
    const args = run({ gate: wide, weights: [importance], rolloutLogProbs, kl, refLogProbs });
    const w = [1, 1.5, 1, 1.5, 1, 0.9];
    const expected = [-a, -b, -2 * c, d, e, f].map((x, n) => (w[n] * x + 0.5) / 6);
    args.coefficients.forEach((x, n) => {
      expect(x).toBeCloseTo(expected[n], 15);
    });
    expect(metric(args, 'policyNumerator')).toBeCloseTo(-a - 1.5 * b - 2 * c + 1.5 * d + e + 0.9 * f, 14);
    expect(metric(args, 'klNumerator')).toBeCloseTo(0.125 / 2, 15);
    expect([metric(args, 'truncatedWeights'), metric(args, 'masked')]).toEqual([3, 0]);
    expect(metric(args, 'weightSum')).toBeCloseTo(6.9, 15);
    expect(metric(args, 'weightSquareSum')).toBeCloseTo(3 + 4.5 + 0.81, 14);
    expect([metric(args, 'weightMin'), metric(args, 'weightMax')]).toEqual([0.9, 1.5]);
  });

  test('masked and rejected tokens; the product of several', () => {
    const masked = run({ gate: wide, weights: [{ ...importance, mode: 'mask' }], rolloutLogProbs });
    expect(Array.from(masked.coefficients, (x) => x === 0)).toEqual([false, true, false, true, false, true]);
    expect([metric(masked, 'masked'), metric(masked, 'weightMin')]).toEqual([3, 0]);
    const reject: WeightArgs = {
      ...WEIGHT,
      kind: 'reject',
      divergence: 'abs',
      level: 'turn',
      reduce: 'max',
      high: 0.5,
    };
    const rejected = run({ gate: wide, weights: [reject, importance], rolloutLogProbs });
    expect(Array.from(rejected.coefficients, (x) => x === 0)).toEqual([false, false, false, true, true, true]);
    expect(metric(rejected, 'weightSum')).toBeCloseTo(1 + 1.5 + 1, 15);
    // It was cut as well, whatever the other factor says.
    expect([metric(rejected, 'masked'), metric(rejected, 'truncatedWeights')]).toEqual([3, 3]);
  });

  test('given weights of any sign', () => {
    const tokenWeights = f64(2, 0, -1, 1, 1, 1);
    const args = run({ gate: wide, weights: [{ ...WEIGHT, kind: 'given' }], tokenWeights });
    expect(args.coefficients[0]).toBeCloseTo((-2 * a) / 6, 15);
    expect(Object.is(args.coefficients[1], 0)).toBe(true);
    expect(args.coefficients[2]).toBeCloseTo((2 * c) / 6, 15);
    expect([metric(args, 'weightMin'), metric(args, 'weightSum')]).toEqual([-1, 4]);
  });

  test('off-policy mask: bad tokens of a trajectory that was left, by the mean over the trajectory', () => {
    // Means of old - current: -0.125 and 0.25 / 3.
    const off = (high: number): WeightArgs => ({ ...WEIGHT, kind: 'off-policy-mask', high });
    const zeros = (given: Partial<SurrogateArgs>) =>
      Array.from(run({ gate: wide, ...given }).coefficients, (x) => x === 0);
    expect(zeros({ weights: [off(0.08)] })).toEqual([false, false, false, true, true, true]);
    expect(zeros({ weights: [off(0.09)] })).toEqual(new Array(6).fill(false));
    expect(zeros({ weights: [off(-0.2)], advantages: f64(-1, 2, 1) })).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
  });

  test('a factor of 0 takes out what is NaN or infinite', () => {
    const given = { weights: [{ ...WEIGHT, kind: 'given' as const }], tokenWeights: f64(0, 1, 1, 1, 1, 1) };
    for (const value of [NONE, INF, NEGATIVE_INFINITY]) {
      const args = run({ ...given, logProbs: logProbs.with(0, value), nonFinite: 'propagate' });
      expect(Object.is(args.coefficients[0], 0)).toBe(true);
      expect(Number.isFinite(lossOf(args))).toBe(true);
      expect(metric(args, 'nonFinite')).toBe(1);
    }
  });
});

describe('the other stages by hand', () => {
  const [, , , d, e, f] = logRatios.map(Math.exp);

  test('sum of log-ratios, straight-through and true', () => {
    const open = gate({});
    const straight = run({ gate: open, ratio: ratio({ level: 'sequence', reduce: 'sum' }), aggregate: 'token-sum' });
    expect(straight.coefficients[0]).toBeCloseTo(-Math.exp(0.375), 15);
    const whole = run({
      gate: open,
      ratio: ratio({ level: 'sequence', reduce: 'sum', form: 'true' }),
      aggregate: 'token-sum',
    });
    expect(whole.coefficients[0]).toBeCloseTo(-4 * Math.exp(0.375), 14);
  });

  test('clipped tokens have no gradient, and the others that of the reduced ratio', () => {
    const given = ratio({ level: 'sequence', form: 'true', clipLow: 0.25, clipHigh: 0.25 });
    const args = run({ gate: gate({}), ratio: given, aggregate: 'token-sum' });
    const x = (-0.25 + 0 + 0.25) / 3;
    expect(Array.from(args.coefficients.subarray(3), (c) => c === 0)).toEqual([true, false, false]);
    expect(args.coefficients[4]).toBeCloseTo(Math.exp(x), 15);
    expect(['clippedLow', 'clippedHigh', 'clampedLogRatio'].map((slot) => metric(args, slot as MetricSlot))).toEqual([
      1, 1, 0,
    ]);
    const clamped = run({ gate: gate({}), ratio: ratio({ level: 'sequence', tokenClamp: 0.375 }) });
    expect(metric(clamped, 'clampedLogRatio')).toBe(2);
  });

  test('entropy bonus', () => {
    const entropy = f32(1, 2, 3, 4, 5, 6);
    const given = { entropy, entropyCoef: 0.5, aggregate: 'turn-mean-token-mean' as const };
    const args = run({ ...given, advantages: f64(0, 0, 0), entropyCoefficients: new Float64Array(6).fill(-99) });
    expect(metric(args, 'entropyNumerator')).toBe(-0.5 * (1.5 + 3 + 5));
    expect(lossOf(args)).toBe((-0.5 * 9.5) / 3);
    const sixth = 0.5 / 3;
    [sixth / 2, sixth / 2, sixth, sixth / 3, sixth / 3, sixth / 3].forEach((x, n) => {
      expect(args.entropyCoefficients?.[n]).toBeCloseTo(-x, 15);
    });
    const off = run({ entropy, entropyCoefficients: new Float64Array(6).fill(-99) });
    expect(off.entropyCoefficients).toEqual(new Float64Array(6));
    expect(metric(off, 'entropySum')).toBe(21);
  });

  test('prompt-mean: the sum over prompts', () => {
    const args = run({ gate: gate({ low: 0.9, high: 9 }), aggregate: 'prompt-mean', groups: Int32Array.of(4, 4) });
    expect(metric(args, 'lossDenominator')).toBe(1);
    expect(args.coefficients[3]).toBeCloseTo(d, 15);
  });

  test('ratio-corrected KL', () => {
    const kl: KlArgs = { ...NO_KL, coef: 1, estimator: 'k2', ratioCorrection: true };
    const given = {
      kl,
      refLogProbs: f32(-1, -1, -1, -1, -1, 0),
      advantages: f64(0, 0, 0),
      aggregate: 'token-sum' as const,
    };
    const args = run({ ...given, ratio: ratio({ clampHigh: 0.4 }) });
    expect(args.coefficients[5]).toBeCloseTo(f * (0.28125 - 0.75), 15);
    // Token 0 is clamped at 0.4: its ratio does not move.
    expect(args.coefficients[0]).toBeCloseTo(Math.exp(0.4) * 0.5, 15);
    expect(metric(args, 'klSum')).toBeCloseTo(lossOf(args), 15);
  });

  test('log-sum-exp of two trajectories of a prompt', () => {
    const given = {
      ratio: ratio({ level: 'sequence', form: 'true' }),
      gate: gate({ kind: 'log-sum-exp', temperature: 0.5 }),
      aggregate: 'prompt-mean' as const,
    };
    const args = run({ ...given, groups: Int32Array.of(9, 9) });
    const [good, bad] = [Math.exp(-0.125 / 0.5), Math.exp(-0.25 / 3 / 0.5)];
    expect(lossOf(args)).toBeCloseTo(Math.log(1 + good) + Math.log(1 + bad), 15);
    expect(args.coefficients[0]).toBeCloseTo(-good / (1 + good) / 0.5 / 3, 15);
    expect(args.coefficients[5]).toBeCloseTo(bad / (1 + bad) / 0.5 / 3, 15);
    const apart = run({ ...given, groups: Int32Array.of(9, 8) });
    expect([lossOf(apart), apart.coefficients.every((x) => x === 0)]).toEqual([0, true]);
    expect(e).toBe(1);
  });
});
