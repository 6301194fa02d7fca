/** Every formula of credit assignment at values worked out by hand. */
import { describe, expect, test } from 'vitest';
import { gae } from '../../lib/reference/math/accumulate.js';
import { magnitudeCap, outcomeGate } from '../../lib/reference/math/cap_and_gate.js';
import { entropyModulation } from '../../lib/reference/math/modulation.js';
import { normalQuantile } from '../../lib/reference/math/normal_quantile.js';
import { type GroupContext, type NormalizeOptions, normalizeGroup } from '../../lib/reference/math/normalize.js';
import { rankGauss } from '../../lib/reference/math/rank_gauss.js';
import { treeValues } from '../../lib/reference/math/tree_values.js';
import { weightedMoments } from '../../lib/reference/math/weighted_moments.js';
import { whiten } from '../../lib/reference/math/whiten.js';
import { NO_WHITEN } from '../support/records.mjs';

const { NaN: NONE, POSITIVE_INFINITY: INF } = Number;
const f64 = (...values: number[]) => Float64Array.from(values);

describe('normal quantile', () => {
  // Python's statistics.NormalDist().inv_cdf; p on both sides of each of the three ranges.
  test.each([
    [1e-300, -37.0470962993612],
    [1e-20, -9.262340089798405],
    [1e-10, -6.361340902404056],
    [1e-5, -4.2648907939228256],
    [0.001, -3.090232306167813],
    [0.07, -1.4757910281791702],
    [0.1, -1.2815515655446008],
    [0.3, -0.5244005127080407],
    [0.6, 0.2533471031357998],
    [0.925, 1.439531470938456],
    [0.93, 1.4757910281791708],
    [0.9999, 3.7190164854557084],
  ])('of %d', (p, expected) => {
    expect(Math.abs(normalQuantile(p) - expected)).toBeLessThan(4e-16 * Math.abs(expected));
  });

  test('of 1/2 is exactly 0, of what is no probability NaN', () => {
    expect(normalQuantile(0.5)).toBe(0);
    expect([0, 1, -1, 2, NONE].map(normalQuantile)).toEqual([NONE, NONE, NONE, NONE, NONE]);
  });

  test('ranks: 1/6, 1/2, 5/6 of three; equal values share their average rank; a constant group is 0', () => {
    const sixth = normalQuantile(1 / 6);
    expect([...rankGauss(f64(30, -1, 2))]).toEqual([-sixth, sixth, 0]);
    // 1, 5, 5, 9 have ranks 1, 2.5, 2.5, 4: p = 1/8, 1/2, 1/2, 7/8
    expect([...rankGauss(f64(5, 9, 1, 5))]).toEqual([0, normalQuantile(7 / 8), normalQuantile(1 / 8), 0]);
    // 1, 1, 9: p = 1/3, 1/3, 5/6
    expect([...rankGauss(f64(1, 9, 1))]).toEqual([1 / 3, 5 / 6, 1 / 3].map(normalQuantile));
    // a NaN from an overflow must not hang the ranking
    expect(rankGauss(f64(1, NONE, 2))).toHaveLength(3);
    expect([...rankGauss(new Float64Array(7).fill(0.35))]).toEqual([0, 0, 0, 0, 0, 0, 0]);
  });
});

test('gae', () => {
  // δ₁ = 2 - .25; δ₀ = 1 + .5 · .25 - .5 = .625; A₀ = .625 + .25 · 1.75
  expect([...gae(f64(1, 2), f64(0.5, 0.25), 0.5, 0.5)]).toEqual([1.0625, 1.75]);
  // δ₁ = 2 + .5 · 4 - .25 = 3.75
  expect([...gae(f64(1, 2), f64(0.5, 0.25), 0.5, 0.5, 4)]).toEqual([1.5625, 3.75]);
  expect([...gae(f64(), f64(), 0.5, 0.5, 4)]).toEqual([]);
});

describe('centre and scale', () => {
  const z = (values: Float64Array, options: Partial<NormalizeOptions>, context: GroupContext = {}) => {
    const off = { singleton: 'zero', center: 'none', scale: 'none', ddof: 0, eps: 0, varianceFloor: 0 } as const;
    return [...normalizeGroup(values, { ...off, ...options }, context)];
  };

  test('leave-one-out: minus the mean of the others', () => {
    // 1 - 5.5, 3 - 4.5, 8 - 2
    expect(z(f64(1, 3, 8), { center: 'leave-one-out' })).toEqual([-4.5, -1.5, 6]);
  });

  test('median of three and of four', () => {
    expect(z(f64(8, 1, 3), { center: 'median' })).toEqual([5, -2, 0]);
    expect(z(f64(8, 1, 100, 3), { center: 'median' })).toEqual([2.5, -4.5, 94.5, -2.5]);
  });

  test('length-weighted; the plain mean where nothing has a length', () => {
    // (1 + 3 + 2 · 8) / 4 = 5
    expect(z(f64(1, 3, 8), { center: 'length-weighted' }, { weights: f64(1, 1, 2) })).toEqual([-4, -2, 3]);
    expect(z(f64(1, 3, 8), { center: 'length-weighted' }, { weights: f64(0, 0, 0) })).toEqual([-3, -1, 4]);
  });

  test('given: a baseline of its own for each', () => {
    expect(z(f64(1, 3), { center: 'given' }, { baselines: f64(10, 1) })).toEqual([-9, 2]);
    expect(z(f64(3, 3), { center: 'given' }, { baselines: f64(10, 1) })).toEqual([-7, 2]);
  });

  test('batch-std: the given variance; std is about the mean, whatever the centre', () => {
    expect(z(f64(1, 3), { center: 'mean', scale: 'batch-std', eps: 0.5 }, { batchVariance: 2.25 })).toEqual([
      -0.5, 0.5,
    ]);
    expect(z(f64(1, 5), { center: 'given', scale: 'std' }, { baselines: f64(1, 1) })).toEqual([0, 2]);
  });

  test('a standard deviation below leastStd counts as 1, without the floor, with eps', () => {
    const options = { center: 'mean', scale: 'std', varianceFloor: 3, eps: 1 } as const;
    expect(z(f64(-1, 1), { ...options, leastStd: 1.5 })).toEqual([-0.5, 0.5]);
    expect(z(f64(-1, 1), { ...options, leastStd: 1 })).toEqual([-1 / 3, 1 / 3]);
  });

  test('statistics over some members, all values normalised by them', () => {
    expect(z(f64(1, 3, 5), { center: 'mean', scale: 'std' }, { members: f64(1, 5) })).toEqual([-1, 0, 1]);
    // no variance among them: nothing to tell apart
    expect(z(f64(2, 3, 2), { center: 'mean', scale: 'std' }, { members: f64(2, 2) })).toEqual([0, 0, 0]);
    // a group of one member
    expect(z(f64(2, 3), { center: 'mean', singleton: 'raw' }, { members: f64(2) })).toEqual([2, 3]);
    expect(z(f64(2, 3), { center: 'mean', singleton: 'zero' }, { members: f64(2) })).toEqual([0, 1]);
    // leastStd stands for the spread that equal members lack
    expect(z(f64(2, 3, 2), { center: 'mean', scale: 'std', eps: 0, leastStd: 1 }, { members: f64(2, 2) })).toEqual([
      0, 1, 0,
    ]);
    // no scaling: the others keep their distance from equal members
    expect(z(f64(2, 3, 2), { center: 'mean', scale: 'none' }, { members: f64(2, 2) })).toEqual([0, 1, 0]);
  });

  test('without any spread and eps: 0 stays 0, the rest is seen', () => {
    expect(z(f64(3, 3), { center: 'given', scale: 'std' }, { baselines: f64(3, 5) })).toEqual([0, INF]);
    expect(z(f64(-3, -3), { center: 'none', scale: 'std' })).toEqual([INF, INF]);
    expect(z(f64(3, 4), { center: 'mean', scale: 'batch-std' }, { batchVariance: INF })).toEqual([INF, INF]);
  });
});

describe('weighted moments and whitening', () => {
  test('1 twice and 4 once', () => {
    expect(weightedMoments(f64(1, 4), f64(2, 1), 0)).toEqual({ total: 3, mean: 2, variance: 2, allEqual: false });
    expect(weightedMoments(f64(1, 4), f64(2, 1), 1)).toEqual({ total: 3, mean: 2, variance: 3, allEqual: false });
  });

  test('what has no weight is not read', () => {
    expect(weightedMoments(f64(1, INF, 4), f64(2, 0, 1), 1).variance).toBe(3);
    expect(weightedMoments(f64(1, 4), f64(1, 0), 1).allEqual).toBe(true);
  });

  const settings = { ...NO_WHITEN, kind: 'standardize', ddof: 1, eps: 0.5, varianceFloor: 1 } as const;

  test('center, standardize: √(3 + 1) + .5 = 2.5', () => {
    expect([...whiten(f64(1, 4), f64(2, 1), { ...settings, kind: 'center' })]).toEqual([-1, 2]);
    expect([...whiten(f64(1, 4), f64(2, 1), settings)]).toEqual([-0.4, 0.8]);
    expect([...whiten(f64(1, 4, 7), f64(2, 1, 0), settings)]).toEqual([-0.4, 0.8, 2]);
    expect([...whiten(f64(1, 4), f64(2, 1), { ...settings, kind: 'none' })]).toEqual([1, 4]);
  });

  test('equal values, or too few: exactly 0; nothing to weigh: as it is', () => {
    expect([...whiten(f64(0.7, 0.7, 0.7), f64(1, 2, 4), settings)]).toEqual([0, 0, 0]);
    expect([...whiten(f64(3, 5), f64(1, 0), settings)]).toEqual([0, 0]);
    expect([...whiten(f64(3, 5), f64(0, 0), settings)]).toEqual([3, 5]);
  });
});

test('entropy modulation', () => {
  // h = 0, 1 (to 1e-8): e^(-decay h) = 1, 1/2, mean 3/4; f = 1, 1/4
  const { scale, future } = entropyModulation(f64(1, 3, NONE, INF), { decay: Math.log(2), bonusDecay: Math.log(4) });
  [4 / 3, 2 / 3, 1, 1].forEach((g, k) => {
    expect(scale[k]).toBeCloseTo(g, 7);
  });
  [1, 0.25, 0, 0].forEach((f, k) => {
    expect(future[k]).toBeCloseTo(f, 7);
  });
  expect(entropyModulation(f64(2, 2), { decay: 1, bonusDecay: 1 })).toEqual({ scale: f64(1, 1), future: f64(1, 1) });
});

test('cap and gate', () => {
  expect([magnitudeCap(3, 5, 1), magnitudeCap(0.25, 9.5, 0.5), magnitudeCap(5, 1, 1)]).toEqual([4 / 6, 0.1, 1]);
  // sd of 1, 3 is √2; σ(-ln 3) = 1/4
  expect(outcomeGate(f64(1, NONE, 3), Math.SQRT2 / Math.log(3))).toBeCloseTo(0.25, 15);
  expect([outcomeGate(f64(1), 0.05), outcomeGate(f64(NONE), 0.05), outcomeGate(f64(2, 2), 0.05)]).toEqual([
    0.5, 0.5, 0.5,
  ]);
});

describe('tree values', () => {
  // 0 is the root of 1 and 2, 1 is the parent of 3 and 4; 5 has no leaf.
  const tree = { parent: [-1, 0, 0, 1, 1, 0], depth: [0, 1, 1, 2, 2, 1] };
  const leaves = [
    { node: 3, value: 1 },
    { node: 4, value: 3 },
    { node: 4, value: 5 },
    { node: 2, value: 6 },
    { node: 1, value: 9 },
  ];
  const entropies = f64(0, Math.log(2), 0, 0, Math.log(3), 700);

  test('leaf-mean', () => {
    expect([...treeValues(tree, leaves, entropies, 'leaf-mean')]).toEqual([24 / 5, 18 / 4, 6, 1, 4, NONE]);
  });

  test('child-mean: a leaf that ends at an inner node is one of its children', () => {
    expect([...treeValues(tree, leaves, entropies, 'child-mean')]).toEqual([(14 / 3 + 6) / 2, 14 / 3, 6, 1, 4, NONE]);
  });

  test('child-softmax: by the entropies of the children', () => {
    // V1 = (1 · 1 + 3 · 4 + 2 · 9) / 6 = 31/6;  V0 = (2 · 31/6 + 6) / 3 = 49/9
    const values = treeValues(tree, leaves, entropies, 'child-softmax');
    [49 / 9, 31 / 6, 6, 1, 4].forEach((value, n) => {
      expect(values[n]).toBeCloseTo(value, 14);
    });
    expect(values[5]).toBeNaN();
  });

  test('equal leaves are exactly their value everywhere', () => {
    const equal = leaves.map(({ node }) => ({ node, value: 0.7 }));
    for (const backup of ['leaf-mean', 'child-mean', 'child-softmax'] as const) {
      expect([...treeValues(tree, equal, entropies, backup)].slice(0, 5)).toEqual([0.7, 0.7, 0.7, 0.7, 0.7]);
    }
  });

  test('1e5 turns deep', () => {
    const depth = Int32Array.from({ length: 1e5 }, (_, n) => n);
    const chain = { parent: depth.map((n) => n - 1), depth };
    const values = treeValues(chain, [{ node: 1e5 - 1, value: 2 }], new Float64Array(1e5), 'child-softmax');
    expect([values[0], values[1e5 - 1]]).toEqual([2, 2]);
  });
});
