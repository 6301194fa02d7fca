/** Every other formula at values worked out by hand, and its derivative by finite differences. */
import { describe, expect, test } from 'vitest';
import type { Aggregate } from '../../lib/ops.js';
import {
  clampLogRatio,
  clipScale,
  discounted,
  divideBySqrtTerms,
  flooredStd,
  groupMoments,
  isClamped,
  k1,
  k2,
  k3,
  lossDenominator,
  meanLogRatio,
  type NormalizeOptions,
  normalizeGroup,
  type PpoBounds,
  ppoBounds,
  ppoDerivative,
  ppoValue,
  sigmoid,
  termWeight,
} from '../../lib/reference/index.js';

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

describe('aggregate', () => {
  const denominators = { tokens: 100, turns: 20, sequences: 5 };
  // |u| = 4, |y| = 10, horizon = 50: [aggregate, weight, D]
  const table: [Aggregate, number, number][] = [
    ['token-mean', 1, 100],
    ['token-sum', 1, 1],
    ['seq-mean-token-sum', 1, 5],
    ['seq-mean-token-mean', 1 / 10, 5],
    ['seq-mean-token-sum-norm', 1 / 50, 5],
    ['turn-mean-token-mean', 1 / 4, 20],
  ];
  test.each(table)('%s', (aggregate, weight, denominator) => {
    expect(termWeight(aggregate, 4, 10, 50)).toBe(weight);
    expect(lossDenominator(aggregate, denominators)).toBe(denominator);
  });
});
