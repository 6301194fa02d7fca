/** Every other formula at values worked out by hand, and its derivative by finite differences. */
import { describe, expect, test } from 'vitest';
import type { Aggregate, KlArgs, RatioArgs, WeightArgs } from '../../lib/ops.js';
import {
  absKl,
  acceptance,
  clampLogRatio,
  clipScale,
  correctByRatio,
  discounted,
  divideBySqrtTerms,
  entropyGradient,
  flooredStd,
  groupMoments,
  importanceWeight,
  isClamped,
  k1,
  k2,
  k3,
  klTerm,
  lossDenominator,
  meanLogRatio,
  type NormalizeOptions,
  normalizeGroup,
  offPolicyFactor,
  type PpoBounds,
  ppoBounds,
  ppoDerivative,
  ppoValue,
  reduceValues,
  rolloutDivergence,
  sigmoid,
  signedBernoulliKl,
  softplusOfMany,
  termWeight,
  tokenLogRatio,
} from '../../lib/reference/index.js';
import { NO_KL, RATIO, WEIGHT } from '../support/records.mjs';

const { POSITIVE_INFINITY: INF } = Number;
const f64 = (...values: number[]) => Float64Array.from(values);

describe('normalize', () => {
  const options = (given: Partial<NormalizeOptions>): NormalizeOptions => ({
    singleton: 'zero',
    center: 'mean',
    scale: 'std',
    ddof: 0,
    eps: 0,
    varianceFloor: 0,
    ...given,
  });

  test('moments of 1, 2, 3, 4', () => {
    expect(groupMoments(f64(4, 1, 3, 2), 0)).toEqual({ mean: 2.5, variance: 1.25, allEqual: false });
    expect(groupMoments(f64(4, 1, 3, 2), 1)).toEqual({ mean: 2.5, variance: 5 / 3, allEqual: false });
  });

  test('-1 and 1: variance 1; floor under the root, eps beside it', () => {
    expect([...normalizeGroup(f64(-1, 1), options({}))]).toEqual([-1, 1]);
    expect([...normalizeGroup(f64(-1, 1), options({ ddof: 1 }))]).toEqual([-1 / Math.SQRT2, 1 / Math.SQRT2]);
    // √(1 + 3) + 0.5 = 2.5
    expect([...normalizeGroup(f64(-1, 1), options({ varianceFloor: 3, eps: 0.5 }))]).toEqual([-0.4, 0.4]);
  });

  test('center and scale can be left out', () => {
    expect([...normalizeGroup(f64(1, 3), options({ scale: 'none' }))]).toEqual([-1, 1]);
    expect([...normalizeGroup(f64(1, 3), options({ center: 'none' }))]).toEqual([1, 3]);
    expect([...normalizeGroup(f64(1, 5), options({ center: 'none' }))]).toEqual([0.5, 2.5]);
  });

  test('equal members are exactly 0, whatever the rounding of their mean', () => {
    for (let n = 2; n <= 20; n++) {
      for (const eps of [1e-6, 0]) {
        const z = normalizeGroup(new Float64Array(n).fill(0.35), options({ eps }));
        expect(z.every((x) => Object.is(x, 0))).toBe(true);
      }
    }
  });

  test('equal members without centering: variance 0', () => {
    const z = normalizeGroup(f64(0.35, 0.35), options({ center: 'none', varianceFloor: 0.25, eps: 0.2 }));
    expect([...z]).toEqual([0.35 / 0.7, 0.35 / 0.7]);
  });

  test('a group of one', () => {
    expect([...normalizeGroup(f64(5), options({ singleton: 'zero' }))]).toEqual([0]);
    expect([...normalizeGroup(f64(5), options({ singleton: 'raw' }))]).toEqual([5]);
  });

  test('floored deviation', () => {
    expect(flooredStd(f64(1, 5), 0.1)).toBe(2);
    expect(flooredStd(f64(1, 1), 0.1)).toBe(0.1);
    expect([flooredStd(f64(7), 0.1), flooredStd(f64(), 3)]).toEqual([1, 1]);
  });
});

describe('accumulate', () => {
  test('discounted', () => {
    // 3; 2 + 0.5 · 3; 1 + 0.5 · 3.5
    expect([...discounted(f64(1, 2, 3), 0.5)]).toEqual([2.75, 3.5, 3]);
    // 3 + 0.5 · 4; ...
    expect([...discounted(f64(1, 2, 3), 0.5, 4)]).toEqual([3.25, 4.5, 5]);
    expect([...discounted(f64(1, 2, 3), 0)]).toEqual([1, 2, 3]);
    expect([...discounted(f64(), 0.5, 4)]).toEqual([]);
  });

  test('divided by the square root of the present terms', () => {
    expect([...divideBySqrtTerms(f64(3, 2, 1), Uint8Array.of(1, 0, 1))]).toEqual([3 / Math.SQRT2, 2, 1]);
    expect([...divideBySqrtTerms(f64(4, 9), Uint8Array.of(1, 0))]).toEqual([4, 0]);
  });
});

describe('clip scale', () => {
  test('σ(ln 3) = 3/4', () => {
    expect(sigmoid(0)).toBe(0.5);
    expect(sigmoid(Math.log(3))).toBeCloseTo(0.75, 15);
    expect(sigmoid(-Math.log(3))).toBeCloseTo(0.25, 15);
    expect(clipScale(Math.log(3), 0.3)).toBeCloseTo(1.15, 15);
    expect(clipScale(-Math.log(3), 0.3)).toBeCloseTo(0.85, 15);
  });

  test('no overflow, no signal, no adaptation', () => {
    expect([clipScale(1e6, 0.3), clipScale(-1e6, 0.3)]).toEqual([1.3, 0.7]);
    expect([clipScale(Number.NaN, 0.3), clipScale(5, 0), clipScale(0, 0.3)]).toEqual([1, 1, 1]);
  });
});

describe('ratio', () => {
  test('mean and clamp', () => {
    expect(meanLogRatio(f64(0.25, 0.5, 1.5))).toBe(0.75);
    expect(meanLogRatio(f64(-3))).toBe(-3);
    expect([-3, 0.5, 3].map((x) => clampLogRatio(x, -2, 1))).toEqual([-2, 0.5, 1]);
    expect([-3, -2, 0.5, 1, 3].map((x) => isClamped(x, -2, 1))).toEqual([true, false, false, false, true]);
    expect(clampLogRatio(Number.NaN, -2, 1)).toBeNaN();
    expect(isClamped(Number.NaN, -2, 1)).toBe(false);
  });
});

describe('ppo gate', () => {
  const bounds: PpoBounds = { lo: 0.75, hi: 1.25, dual: 3 };

  test('bounds follow the clip scale', () => {
    expect(ppoBounds(0.5, 0.25, 3, 0.5)).toEqual({ lo: 0.75, hi: 1.125, dual: 3 });
  });

  // [A, ρ, f, ∂f/∂x]
  test.each([
    [2, 1, -2, -2],
    [2, 0.5, -1, -1],
    [2, 1.5, -2.5, 0],
    [2, 1.25, -2.5, -2.5],
    [-2, 1, 2, 2],
    [-2, 0.5, 1.5, 0],
    [-2, 0.75, 1.5, 1.5],
    [-2, 2, 4, 4],
    [-2, 3, 6, 6],
    [-2, 4, 6, 0],
    [2, 4, -2.5, 0],
    [0, 4, 0, 0],
    [-0, 4, 0, 0],
    [0, INF, 0, 0],
    [2, INF, -2.5, 0],
    [-2, INF, 6, 0],
  ])('A = %d, ρ = %d', (advantage, ratio, value, derivative) => {
    expect(ppoValue(advantage, ratio, bounds)).toBe(value);
    expect(ppoDerivative(advantage, ratio, bounds)).toBe(derivative);
  });

  test('without dual clip a bad token keeps its gradient', () => {
    const open = { ...bounds, dual: INF };
    expect([ppoValue(-2, 40, open), ppoDerivative(-2, 40, open)]).toEqual([80, 80]);
  });

  test('NaN stays visible, except behind A = 0', () => {
    expect(ppoValue(1, Number.NaN, bounds)).toBeNaN();
    expect(ppoDerivative(1, Number.NaN, bounds)).toBeNaN();
    expect([ppoValue(0, Number.NaN, bounds), ppoDerivative(0, Number.NaN, bounds)]).toEqual([0, 0]);
  });

  test('finite differences in every region', () => {
    const step = 1e-6;
    for (const advantage of [1.7, -0.6]) {
      for (const x of [-0.5, -0.1, 0, 0.15, 0.4, 0.9, 1.3]) {
        const at = (delta: number) => ppoValue(advantage, Math.exp(x + delta), bounds);
        const numeric = (at(step) - at(-step)) / (2 * step);
        expect(Math.abs(ppoDerivative(advantage, Math.exp(x), bounds) - numeric)).toBeLessThan(1e-8);
      }
    }
  });
});

describe('kl', () => {
  test('at x = ln 2', () => {
    const x = Math.LN2;
    expect(k1(x)).toEqual({ value: x, gradient: 1, clamped: false });
    expect(k2(x)).toEqual({ value: (x * x) / 2, gradient: x, clamped: false });
    const term = k3(x, 20, 10);
    expect(term.value).toBeCloseTo(Math.LN2 - 0.5, 15);
    expect(term.gradient).toBeCloseTo(0.5, 15);
    expect(term.clamped).toBe(false);
  });

  test('at x = 0 exactly nothing', () => {
    expect([k1(0).value, k2(0).value, k3(0, 20, 10).value]).toEqual([0, 0, 0]);
    expect(Math.abs(k3(0, 20, 10).gradient)).toBe(0);
  });

  test('clamps of k3', () => {
    // The value clamp: e³ - 4 = 16.1 > 10.
    expect(k3(-3, 20, 10)).toEqual({ value: 10, gradient: 0, clamped: true });
    // The log-ratio clamp, each side; the other clamp open.
    expect(k3(-25, 20, INF)).toEqual({ value: Math.expm1(20) - 20, gradient: 0, clamped: true });
    expect(k3(25, 20, INF)).toEqual({ value: Math.expm1(-20) + 20, gradient: 0, clamped: true });
    // Both at their bound are not yet active.
    expect(k3(20, 20, INF).clamped).toBe(false);
    expect(k3(-800, INF, INF).value).toBe(INF);
    expect(k3(Number.NaN, 20, 10).value).toBeNaN();
  });

  test.each([
    ['k1', (x: number) => k1(x)],
    ['k2', (x: number) => k2(x)],
    ['k3', (x: number) => k3(x, 20, 10)],
  ])('finite differences of %s', (_, kl) => {
    const step = 1e-5;
    // -3 lies behind the value clamp of k3, 21 behind its log-ratio clamp.
    for (const x of [-3, -1, -0.01, 0.02, 0.7, 3, 21]) {
      const numeric = (kl(x + step).value - kl(x - step).value) / (2 * step);
      expect(Math.abs(kl(x).gradient - numeric)).toBeLessThan(1e-8);
    }
  });
});

describe('kl with another gradient', () => {
  const kl = (given: Partial<KlArgs>): KlArgs => ({ ...NO_KL, coef: 1, ...given });

  test('abs: the sign, 0 at 0', () => {
    expect([-0.5, 0, 0.5].map((x) => absKl(x))).toEqual([
      { value: 0.5, gradient: -1, clamped: false },
      { value: 0, gradient: 0, clamped: false },
      { value: 0.5, gradient: 1, clamped: false },
    ]);
    expect(klTerm(-0.5, kl({ estimator: 'abs' }))).toEqual(absKl(-0.5));
  });

  test('k2: value of the estimator, gradient x, also where the value is clamped', () => {
    expect(klTerm(0.5, kl({ estimator: 'k1', gradient: 'k2' }))).toEqual({ value: 0.5, gradient: 0.5, clamped: false });
    expect(klTerm(-0.5, kl({ estimator: 'abs', gradient: 'k2' })).gradient).toBe(-0.5);
    const clamped = kl({ estimator: 'k3', gradient: 'k2', logRatioClamp: 20, valueClamp: 10 });
    expect(klTerm(0.5, clamped)).toEqual({ ...k3(0.5, 20, 10), gradient: 0.5 });
    expect(klTerm(-3, clamped)).toEqual({ value: 10, gradient: -3, clamped: true });
  });

  test('times the ratio: the product rule, or the estimator alone where the ratio is held', () => {
    const term = { value: 2, gradient: 3, clamped: false };
    expect(correctByRatio(term, 0.5, true)).toEqual({ value: 1, gradient: 2.5, clamped: false });
    expect(correctByRatio(term, 0.5, false)).toEqual({ value: 1, gradient: 1.5, clamped: false });
  });
});

describe('a token’s log-ratio before it is reduced', () => {
  const ratio: RatioArgs = { ...RATIO, tokenClamp: 1, clipLow: 0.25, clipHigh: 0.5 };

  // [d, A, y, what held it]
  test.each<[number, number, number, 'clamped' | 'clippedLow' | 'clippedHigh' | null]>([
    [0.75, 1, 0.5, 'clippedHigh'],
    [0.5, 1, 0.5, null],
    [-0.75, 1, -0.75, null],
    [-0.75, -1, -0.25, 'clippedLow'],
    [-0.25, -1, -0.25, null],
    [0.75, -1, 0.75, null],
    [0.75, 0, 0.75, null],
    [-0.75, -0, -0.75, null],
    [3, -1, 1, 'clamped'],
    [-3, 1, -1, 'clamped'],
    [1, -1, 1, null],
    [-INF, 1, -1, 'clamped'],
  ])('d = %d, A = %d', (d, advantage, value, held) => {
    const flags = { clamped: false, clippedLow: false, clippedHigh: false, ...(held && { [held]: true }) };
    expect(tokenLogRatio(d, advantage, ratio)).toEqual({ value, live: held === null, ...flags });
  });

  test('both at once; NaN passes', () => {
    const both = { value: 0.5, live: false, clamped: true, clippedLow: false, clippedHigh: true };
    expect(tokenLogRatio(3, 1, ratio)).toEqual(both);
    expect(tokenLogRatio(Number.NaN, 1, ratio)).toMatchObject({ value: Number.NaN, live: true });
  });

  test('mean, sum, largest', () => {
    const values = f64(-1, 0.25, -0.5);
    expect((['mean', 'sum', 'max'] as const).map((reduce) => reduceValues(values, reduce))).toEqual([
      -1.25 / 3,
      -1.25,
      0.25,
    ]);
    expect(reduceValues(f64(-3), 'max')).toBe(-3);
  });
});

describe('weights from the sampler', () => {
  const weight = (given: Partial<WeightArgs>): WeightArgs => ({ ...WEIGHT, ...given });
  const half = Math.log(0.5);

  test('truncated', () => {
    const truncate = weight({ low: 0.75, high: 2 });
    expect(importanceWeight(0, truncate)).toEqual({ value: 1, truncated: false });
    expect(importanceWeight(half, truncate)).toEqual({ value: 0.75, truncated: true });
    expect(importanceWeight(5, truncate)).toEqual({ value: 2, truncated: true });
    expect(importanceWeight(0, weight({ low: 1, high: 1 })).truncated).toBe(false);
    expect(importanceWeight(1000, weight({ logClamp: 20 }))).toEqual({ value: Math.exp(20), truncated: false });
    expect(importanceWeight(-1000, weight({ logClamp: 20 })).value).toBe(Math.exp(-20));
    expect(importanceWeight(Number.NaN, truncate).value).toBeNaN();
  });

  test('masked', () => {
    const masked = weight({ mode: 'mask', low: 0.75, high: 2 });
    expect([0, half, 5].map((y) => importanceWeight(y, masked).value)).toEqual([1, 0, 0]);
    expect(importanceWeight(0, weight({ mode: 'mask', low: 1, high: 1 }))).toEqual({ value: 1, truncated: false });
    expect(importanceWeight(Number.NaN, masked).value).toBe(0);
  });

  test('divergences at r = ln 2, and where it is clamped', () => {
    const at = (r: number, logClamp: number) =>
      (['k1', 'k2', 'k3', 'abs'] as const).map((estimator) => rolloutDivergence(r, estimator, logClamp));
    const x = Math.LN2;
    const expected = [-x, (x * x) / 2, 1 - x, x];
    at(x, 20).forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i], 15);
    });
    expect(at(-30, 1)).toEqual([1, 0.5, Math.expm1(-1) + 1, 1]);
  });

  test('acceptance and the off-policy mask; a bound is inside', () => {
    expect([-1, -0.5, 0, 2, 3].map((x) => acceptance(x, weight({ low: -0.5, high: 2 })))).toEqual([0, 1, 1, 1, 0]);
    const given = weight({ high: 0.5 });
    expect([0.4, 0.5, 0.6].map((x) => offPolicyFactor(-1, x, given))).toEqual([1, 1, 0]);
    expect([1, 0, -0].map((advantage) => offPolicyFactor(advantage, 9, given))).toEqual([1, 1, 1]);
  });
});

describe('log-sum-exp of a class', () => {
  test('log(1 + e + 1) and its shares', () => {
    const { value, shares } = softplusOfMany(f64(1, 0));
    expect(value).toBeCloseTo(Math.log(2 + Math.E), 15);
    expect(shares[0]).toBeCloseTo(Math.E / (2 + Math.E), 15);
    expect(shares[1]).toBeCloseTo(1 / (2 + Math.E), 15);
  });

  test('no overflow, no lost digits', () => {
    const far = softplusOfMany(f64(1e6, 1e6 - 800));
    expect([far.value, ...far.shares]).toEqual([1e6, 1, 0]);
    expect(softplusOfMany(f64(-50)).value).toBe(Math.exp(-50));
    expect(softplusOfMany(f64(1, 2, 3)).value).toBe(softplusOfMany(f64(3, 1, 2)).value);
  });
});

describe('Bernoulli KL', () => {
  const [quarter, half] = [Math.log(0.25), Math.log(0.5)];

  test('1/2 to 1/4, with the sign of the move', () => {
    // 1/2 log 2 + 1/2 log 2/3;   1/4 log 1/2 + 3/4 log 3/2
    expect(signedBernoulliKl(quarter, half)).toBeCloseTo(-(0.5 * Math.log(2) + 0.5 * Math.log(2 / 3)), 15);
    expect(signedBernoulliKl(half, quarter)).toBeCloseTo(0.25 * Math.log(0.5) + 0.75 * Math.log(1.5), 15);
    expect(Object.is(signedBernoulliKl(half, half), 0)).toBe(true);
  });

  test('probabilities of 0 and 1', () => {
    expect(signedBernoulliKl(0, 0)).toBe(0);
    expect(signedBernoulliKl(half, 0)).toBeCloseTo(-Math.LN2, 15);
    expect(signedBernoulliKl(0, half)).toBe(INF);
    expect(signedBernoulliKl(-800, -900)).toBe(0);
    expect(signedBernoulliKl(1e-9, 0)).toBe(0);
  });
});

test('gradient of the entropy: -p (log p + H) / T, 0 for a token that cannot be', () => {
  expect(entropyGradient(Math.log(0.5), 1, 2)).toBeCloseTo(-0.25 * (1 - Math.LN2), 15);
  expect(entropyGradient(-INF, 1, 2)).toBe(0);
  expect(entropyGradient(Number.NaN, 1, 2)).toBeNaN();
});

describe('aggregate', () => {
  const denominators = { tokens: 100, turns: 20, sequences: 5, prompts: 2 };
  // |u| = 4, |y| = 10, horizon = 50: [aggregate, weight, D]
  const table: [Aggregate, number, number][] = [
    ['token-mean', 1, 100],
    ['token-sum', 1, 1],
    ['seq-mean-token-sum', 1, 5],
    ['seq-mean-token-mean', 1 / 10, 5],
    ['seq-mean-token-sum-norm', 1 / 50, 5],
    ['turn-mean-token-mean', 1 / 4, 20],
    ['prompt-mean', 1, 2],
  ];
  test.each(table)('%s', (aggregate, weight, denominator) => {
    expect(termWeight(aggregate, 4, 10, 50)).toBe(weight);
    expect(lossDenominator(aggregate, denominators)).toBe(denominator);
  });
});
