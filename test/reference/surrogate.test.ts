/**
 * surrogate: losses and metrics at small numbers, what is masked, what is not finite, splits, orders, sizes.
 * Weights, sums, clipped tokens, bonus, coupled gate: surrogate_stages.test.ts. Derivatives: gradients.test.ts.
 */
import { describe, expect, test } from 'vitest';
import type { KlArgs, MetricSlot, RatioArgs, SurrogateArgs, WeightArgs } from '../../lib/ops.js';
import { NO_KL, WEIGHT } from '../support/records.mjs';
import { lossOf, metric, ops, random, surrogateArgs, turnsOf } from './fixtures.js';
import { f32, f64, gate, logProbs, logRatios, OK, oldLogProbs, ratio, run, turns } from './small_batch.js';

const { NaN: NONE, POSITIVE_INFINITY: INF, NEGATIVE_INFINITY } = Number;

/** Every metric but the named ones, as bits would compare. */
function metricsOf(args: SurrogateArgs): number[] {
  return Array.from(args.metrics);
}

describe('by hand', () => {
  const wide = gate({ low: 0.9, high: 9 });
  const [a, b, c, d, e, f] = logRatios.map(Math.exp);

  test('token level, no bound in reach: loss = -mean(A ρ), coefficient = -A ρ / N', () => {
    const args = run({ gate: wide });
    expect(lossOf(args)).toBeCloseTo(-(a + b + 2 * c - d - e - f) / 6, 15);
    const expected = [-a, -b, -2 * c, d, e, f].map((x) => x / 6);
    args.coefficients.forEach((x, n) => {
      expect(x).toBeCloseTo(expected[n], 15);
    });
  });

  test('turn level, straight-through: the turn shares exp(mean), each token keeps its whole derivative', () => {
    const args = run({ gate: wide, ratio: ratio({ level: 'turn' }), aggregate: 'turn-mean-token-mean' });
    // Means 0.125, 0.125, -1/12; D = 3 turns.
    const rho = [Math.exp(0.125), Math.exp(0.125), Math.exp(-0.25 / 3)];
    expect(lossOf(args)).toBeCloseTo((-rho[0] - 2 * rho[1] + rho[2]) / 3, 15);
    const expected = [-rho[0] / 2, -rho[0] / 2, -2 * rho[1], rho[2] / 3, rho[2] / 3, rho[2] / 3].map((x) => x / 3);
    args.coefficients.forEach((x, n) => {
      expect(x).toBeCloseTo(expected[n], 15);
    });
  });

  test('sequence level, true mean: every token gets the mean derivative of its trajectory', () => {
    const args = run({ gate: wide, ratio: ratio({ level: 'sequence', form: 'true' }), aggregate: 'token-sum' });
    const rho = [Math.exp(0.125), Math.exp(-0.25 / 3)];
    const first = (-(1 + 1 + 2) * rho[0]) / 3;
    const expected = [first, first, first, rho[1], rho[1], rho[1]];
    args.coefficients.forEach((x, n) => {
      expect(x).toBeCloseTo(expected[n], 14);
    });
    expect(lossOf(args)).toBeCloseTo(-4 * rho[0] + 3 * rho[1], 14);
  });

  test('clip scale narrows and widens by turn', () => {
    // Turn 0: hi = 1 + 0.2 · 0.5 = 1.1 < e^0.5; turn 2: lo = 1 - 0.2 · 3 = 0.4 < e^-0.5.
    const args = run({ clipScale: f64(0.5, 1, 3) });
    expect(args.coefficients[0]).toBe(0);
    expect(args.coefficients[3]).toBeCloseTo(d / 6, 15);
    expect(run({ clipScale: null }).coefficients[3]).toBe(0);
    const byToken = run({
      advantageLevel: 'token',
      advantages: f64(1, 1, 2, -1, -1, -1),
      clipScale: f64(0.5, 0.5, 1, 3, 3, 3),
    });
    expect(byToken.coefficients).toEqual(args.coefficients);
    expect(metricsOf(byToken)).toEqual(metricsOf(args));
  });

  test('horizon and the given denominators', () => {
    const args = run({
      gate: wide,
      aggregate: 'seq-mean-token-sum-norm',
      horizon: 8,
      denominators: { tokens: 600, turns: 300, sequences: 200, prompts: 50 },
    });
    expect(lossOf(args)).toBeCloseTo(-(a + b + 2 * c - d - e - f) / 8 / 200, 15);
    expect(metric(args, 'lossDenominator')).toBe(200);
  });

  test('metrics', () => {
    const args = run({
      gate: gate({ low: 0.2, high: 0.2, dual: 1.25 }),
      advantages: f64(1, 2, -1),
      ratio: ratio({ clampLow: -0.3 }),
      entropy: f32(1, 2, 3, 4, 5, 6),
      refLogProbs: f32(-1, -1, -1, -1, -1, -2),
      kl: { ...NO_KL, coef: 0.5, estimator: 'k2' },
    });
    const low = Math.exp(-0.3);
    const klValues = [...logRatios.slice(0, 5), 1.25].map((x) => (x * x) / 2);
    const klSum = klValues.reduce((x, y) => x + y, 0);
    const policy = -1.2 - b - 2 * c + 0.8 + 1 + 1.25;
    const expected: Record<MetricSlot, number> = {
      policyNumerator: policy,
      klNumerator: klSum / 2,
      entropyNumerator: 0,
      lossNumerator: policy + klSum / 2,
      lossDenominator: 6,
      tokens: 6,
      clippedHigh: 1,
      clippedLow: 1,
      clippedDual: 1,
      clampedLogRatio: 1,
      clampedKl: 0,
      masked: 0,
      truncatedWeights: 0,
      ratioSum: a + b + c + low + e + f,
      ratioSquareSum: a * a + b * b + c * c + low * low + e * e + f * f,
      ratioMin: low,
      ratioMax: a,
      weightSum: 6,
      weightSquareSum: 6,
      weightMin: 1,
      weightMax: 1,
      oldKlK1Sum: -0.125,
      oldKlK3Sum: a + b + c + d + e + f - 6 - 0.125,
      klSum,
      entropySum: 21,
      nonFinite: 0,
      largestCoefficient: Math.max(...args.coefficients.map(Math.abs)),
    };
    for (const [slot, value] of Object.entries(expected)) {
      expect(metric(args, slot as MetricSlot), slot).toBeCloseTo(value, 13);
    }
  });

  test('clamps have no gradient and are counted per token of the segment', () => {
    const turn = run({ gate: wide, ratio: ratio({ level: 'turn', clampHigh: 0.1 }) });
    expect(Array.from(turn.coefficients.subarray(0, 3))).toEqual([0, 0, 0]);
    expect(metric(turn, 'clampedLogRatio')).toBe(3);
    expect(metric(turn, 'ratioMax')).toBe(Math.exp(0.1));
    const kl = run({
      refLogProbs: f32(-1, -1, -1, -1, -1, 3),
      advantages: f64(0, 0, 0),
      kl: { ...NO_KL, coef: 1, estimator: 'k3', logRatioClamp: 20, valueClamp: 10 },
    });
    // x = -0.75 - 3 = -3.75: e^3.75 - 4.75 = 37.8 > 10
    expect([kl.coefficients[5], metric(kl, 'clampedKl')]).toEqual([0, 1]);
  });
});

describe('identities', () => {
  const levels: RatioArgs[] = (['token', 'turn', 'sequence'] as const).flatMap((level) =>
    (['straight-through', 'true'] as const).map((form) => ratio({ level, form })),
  );

  test('on-policy every level and form gives -wA', () => {
    const expected = [1, 1, 2, -1, -1, -1].map((advantage) => -advantage / 6);
    for (const given of levels.filter(({ level, form }) => level !== 'sequence' || form === 'straight-through')) {
      expect(Array.from(run({ logProbs: oldLogProbs, ratio: given }).coefficients)).toEqual(expected);
    }
  });

  test('straight-through equals the true mean where A is constant over the segment, and only there', () => {
    const constant = { advantages: f64(1, 1, -1), gate: gate({ low: 0.5, high: 0.5 }) };
    for (const level of ['turn', 'sequence'] as const) {
      const straight = run({ ...constant, ratio: ratio({ level }) });
      const mean = run({ ...constant, ratio: ratio({ level, form: 'true' }) });
      straight.coefficients.forEach((x, n) => {
        expect(x).toBeCloseTo(mean.coefficients[n], 15);
      });
    }
    const straight = run({ ratio: ratio({ level: 'sequence' }) });
    const mean = run({ ratio: ratio({ level: 'sequence', form: 'true' }) });
    expect(Math.abs(straight.coefficients[2] - mean.coefficients[2])).toBeGreaterThan(0.05);
  });

  test('token level: the form does not matter', () => {
    expect(run({ ratio: ratio({ form: 'true' }) }).coefficients).toEqual(run().coefficients);
  });
});

describe('what is not in the loss', () => {
  /** Turns [1, 4) and [5, 8) of one trajectory; tokens 0, 4, 8 in none, 2 and 6 masked. */
  const sparse = {
    ...turnsOf([[3, 3]]),
    starts: Int32Array.of(1, 5),
    ends: Int32Array.of(4, 8),
    tokens: Int32Array.of(2, 2),
  };
  const actionMask = Uint8Array.of(1, 1, 0, 1, 1, 1, 0, 1, 1);
  const outside = [0, 2, 4, 6, 8];
  const next = random(5);
  const base = Array.from({ length: 9 }, () => -next());
  const withOutside = (value: number) => base.map((x, n) => (outside.includes(n) ? value : x));

  const evaluate = (value: number) =>
    run({
      logProbs: Float32Array.from(withOutside(value)),
      oldLogProbs: Float32Array.from(withOutside(value), (x) => x / 2),
      refLogProbs: Float32Array.from(withOutside(value), (x) => x / 3),
      entropy: Float32Array.from(withOutside(value)),
      rolloutLogProbs: Float32Array.from(withOutside(value), (x) => x / 4),
      tokenWeights: Float64Array.from(withOutside(value)),
      entropyCoef: 0.1,
      weights: (['importance', 'reject', 'given', 'off-policy-mask'] as const).map((kind) => ({ ...WEIGHT, kind })),
      actionMask,
      turns: sparse,
      advantageLevel: 'token',
      advantages: Float64Array.from(withOutside(value)),
      clipScale: Float64Array.from(withOutside(value), Math.abs),
      ratio: ratio({ level: 'turn' }),
      kl: { ...NO_KL, coef: 1, estimator: 'k3', logRatioClamp: 20, valueClamp: 10 },
    });

  test.each([NONE, INF, NEGATIVE_INFINITY])('%d in masked positions changes no bit', (value) => {
    const expected = evaluate(-1);
    const args = evaluate(value);
    expect(metric(expected, 'tokens')).toBe(4);
    expect(args.coefficients).toEqual(expected.coefficients);
    expect(args.metrics).toEqual(expected.metrics);
    for (const n of outside) expect(Object.is(args.coefficients[n], 0)).toBe(true);
  });

  test('an all-masked batch: loss 0, gradient 0, no NaN', () => {
    const masked = { ...turns, tokens: new Int32Array(3) };
    const args = run({ turns: masked, actionMask: new Uint8Array(6), logProbs: new Float32Array(6).fill(NONE) });
    expect(args.coefficients.every((x) => Object.is(x, 0))).toBe(true);
    expect([lossOf(args), metric(args, 'lossDenominator'), metric(args, 'tokens')]).toEqual([0, 0, 0]);
    expect([metric(args, 'ratioMin'), metric(args, 'ratioMax')]).toEqual([INF, NEGATIVE_INFINITY]);
    expect(args.metrics.some(Number.isNaN)).toBe(false);
  });

  test('no turns', () => {
    const args = run({ turns: turnsOf([]), advantages: f64() });
    expect(args.coefficients.every((x) => Object.is(x, 0))).toBe(true);
  });

  test('denominator 0: loss and coefficients 0', () => {
    const args = run({ denominators: { tokens: 0, turns: 0, sequences: 0, prompts: 0 } });
    expect(lossOf(args)).toBe(0);
    expect(args.coefficients.every((x) => Object.is(x, 0))).toBe(true);
  });

  test('rolloutLogProbs that no weight reads', () => {
    const rolloutLogProbs = new Float32Array(6).fill(NONE);
    const weights: WeightArgs[] = [{ ...WEIGHT, kind: 'given' }];
    const args = run({ rolloutLogProbs, weights, tokenWeights: f64(1, 1, 1, 1, 1, 1) });
    expect([args.coefficients, metric(args, 'nonFinite')]).toEqual([run().coefficients, 0]);
  });

  test('KL switched off does not read refLogProbs', () => {
    const args = run({ refLogProbs: new Float32Array(6).fill(NONE) });
    expect([metric(args, 'klSum'), metric(args, 'klNumerator')]).toEqual([0, 0]);
    expect(args.coefficients).toEqual(run().coefficients);
  });

  test('A = 0 gives exactly 0, whatever the ratio', () => {
    const far = f32(800, 800, 800, 800, 800, 800);
    const args = run({ logProbs: far, advantages: f64(0, -0, 0), ratio: ratio({ clampHigh: INF }) });
    expect(metric(args, 'ratioMax')).toBe(INF);
    expect(args.coefficients.every((x) => x === 0)).toBe(true);
    expect(lossOf(args)).toBe(0);
  });
});

describe('non-finite log-probs', () => {
  const kl: KlArgs = { ...NO_KL, coef: 1 };
  const refLogProbs = new Float32Array(6).fill(-1);
  const rolloutLogProbs = refLogProbs;

  test.each(['throw', 'check-first'] as const)('the first is named: %s', (nonFinite) => {
    for (const bad of [NONE, INF, NEGATIVE_INFINITY]) {
      for (const name of ['logProbs', 'oldLogProbs', 'refLogProbs', 'rolloutLogProbs'] as const) {
        const given = { logProbs, oldLogProbs, refLogProbs, rolloutLogProbs, kl, weights: [WEIGHT], nonFinite };
        const values = given[name].slice();
        values[2] = bad;
        values[4] = NONE;
        const args = surrogateArgs({ turns, advantages: f64(1, 2, -1), ...given, [name]: values });
        expect(ops.surrogate(args)).toEqual({ code: 'non-finite-log-prob', position: 2 });
      }
    }
  });

  test('propagate: NaN reaches the coefficients of its segment only, and is counted', () => {
    const args = run({ logProbs: logProbs.with(0, NONE), ratio: ratio({ level: 'turn' }), nonFinite: 'propagate' });
    expect(Array.from(args.coefficients, Number.isNaN)).toEqual([true, true, false, false, false, false]);
    expect(metric(args, 'lossNumerator')).toBeNaN();
    expect(metric(args, 'nonFinite')).toBe(1);
    expect(metric(args, 'clampedLogRatio')).toBe(0);
  });

  test('propagate: an infinite log-ratio ends at the clamp', () => {
    const args = run({ logProbs: logProbs.with(0, NEGATIVE_INFINITY), nonFinite: 'propagate' });
    expect(args.coefficients[0]).toBe(0);
    expect(metric(args, 'ratioMin')).toBe(Math.exp(-20));
    expect([metric(args, 'nonFinite'), metric(args, 'clampedLogRatio')]).toEqual([1, 1]);
  });
});

describe('splits and orders', () => {
  const next = random(11);
  const count = 12;
  const trajectories = Array.from({ length: count }, () => {
    const lengths = Array.from({ length: 1 + Math.floor(3 * next()) }, () => 1 + Math.floor(4 * next()));
    const tokens = lengths.reduce((a, b) => a + b, 0);
    const draw = () => Array.from({ length: tokens }, () => Math.fround(-3 * next()));
    return { lengths, logProbs: draw(), old: draw(), ref: draw(), advantages: lengths.map(() => next() - 0.5) };
  });
  type Trajectory = (typeof trajectories)[number];
  const all = trajectories.flatMap(({ lengths }) => lengths);
  const denominators = { tokens: all.reduce((a, b) => a + b, 0), turns: all.length, sequences: count, prompts: count };

  const evaluate = (list: Trajectory[], level: RatioArgs['level']) =>
    run({
      logProbs: Float32Array.from(list.flatMap((trajectory) => trajectory.logProbs)),
      oldLogProbs: Float32Array.from(list.flatMap(({ old }) => old)),
      refLogProbs: Float32Array.from(list.flatMap(({ ref }) => ref)),
      turns: turnsOf(list.map(({ lengths }) => lengths)),
      advantages: Float64Array.from(list.flatMap(({ advantages }) => advantages)),
      ratio: ratio({ level, form: 'true' }),
      aggregate: 'seq-mean-token-mean',
      kl: { ...NO_KL, coef: 0.1, estimator: 'k3', logRatioClamp: 20, valueClamp: 10 },
      denominators,
    });

  test.each(['token', 'turn', 'sequence'] as const)('micro-batches with global denominators: %s', (level) => {
    const whole = evaluate(trajectories, level);
    const parts = [trajectories.slice(0, 5), trajectories.slice(5, 6), trajectories.slice(6)].map((p) =>
      evaluate(p, level),
    );
    expect(parts.flatMap(({ coefficients }) => Array.from(coefficients))).toEqual(Array.from(whole.coefficients));
    const sum = parts.reduce((total, part) => total + metric(part, 'lossNumerator'), 0);
    expect(sum).toBeCloseTo(metric(whole, 'lossNumerator'), 13);
  });

  test.each(['token', 'turn', 'sequence'] as const)(
    'metrics do not depend on the order of trajectories: %s',
    (level) => {
      const forward = evaluate(trajectories, level);
      expect(evaluate([...trajectories].reverse(), level).metrics).toEqual(forward.metrics);
    },
  );
});

describe('invalid arguments', () => {
  test.each<[string, Partial<SurrogateArgs>]>([
    ['oldLogProbs', { oldLogProbs: f32(0) }],
    ['refLogProbs', { refLogProbs: f32(0) }],
    ['entropy', { entropy: f32(0) }],
    ['actionMask', { actionMask: new Uint8Array(5) }],
    ['coefficients', { coefficients: f64(0) }],
    ['metrics', { metrics: f64(0) }],
    ['advantages', { advantages: f64(1, 2) }],
    ['advantages by token', { advantageLevel: 'token' }],
    ['advantages by sequence', { advantageLevel: 'sequence', advantages: new Float64Array(6) }],
    ['clipScale', { clipScale: f64(1, 2) }],
    ['turn arrays', { turns: { ...turns, tokens: new Int32Array(2) } }],
    ['a span beyond N', { turns: { ...turns, ends: Int32Array.of(2, 3, 7) } }],
    ['a negative start', { turns: { ...turns, starts: Int32Array.of(-1, 2, 3) } }],
    ['overlapping spans', { turns: { ...turns, starts: Int32Array.of(0, 1, 3) } }],
    ['a reversed span', { turns: { ...turns, ends: Int32Array.of(2, 1, 6) } }],
    ['more tokens than the span', { turns: { ...turns, tokens: Int32Array.of(3, 1, 3) } }],
  ])('%s', (_, given) => {
    const args = surrogateArgs({ logProbs, oldLogProbs, turns, advantages: f64(1, 2, -1) });
    expect(ops.surrogate({ ...args, ...given })).toEqual({ code: 'invalid-argument', position: -1 });
  });
});

// About 0.1 s on an idle core; the limit leaves room for a busy one, and a quadratic algorithm takes minutes.
test('1e5 turns', () => {
  const count = 1e5;
  const next = random(1);
  const ends = Int32Array.from({ length: count }, (_, k) => k + 1);
  const args = surrogateArgs({
    logProbs: Float32Array.from({ length: count }, () => -next()),
    oldLogProbs: Float32Array.from({ length: count }, () => -next()),
    turns: {
      starts: ends.map((end) => end - 1),
      ends,
      tokens: new Int32Array(count).fill(1),
      trajectory: Int32Array.from({ length: count }, (_, k) => Math.floor(k / 5)),
      index: Int32Array.from({ length: count }, (_, k) => k % 5),
    },
    advantages: Float64Array.from({ length: count }, () => next() - 0.5),
    ratio: ratio({ level: 'sequence' }),
  });
  const start = performance.now();
  expect(ops.surrogate(args)).toEqual(OK);
  expect(performance.now() - start).toBeLessThan(3000);
});
