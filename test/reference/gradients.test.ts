/**
 * Finite differences of the whole loss: of surrogate by every log-prob, of policyLoss by every logit. The loss under
 * differentiation is written here from the formulas, with the stop-gradient of the straight-through form in it.
 */
import { describe, expect, test } from 'vitest';
import type {
  Aggregate,
  KlEstimator,
  Level,
  PolicyLossArgs,
  RatioForm,
  SurrogateArgs,
  TurnsArgs,
} from '../../lib/ops.js';
import { logProbOf, ppoBounds, ppoValue, softmaxRow } from '../../lib/reference/index.js';
import { deviation, lossOf, metric, ops, random, surrogateArgs, turnsOf } from './fixtures.js';

const OK = { code: 'ok', position: -1 };
const levels: Level[] = ['token', 'turn', 'sequence'];
const forms: RatioForm[] = ['straight-through', 'true'];
const aggregates: Aggregate[] = [
  'token-mean',
  'token-sum',
  'seq-mean-token-mean',
  'seq-mean-token-sum',
  'seq-mean-token-sum-norm',
  'turn-mean-token-mean',
];

/** Three trajectories with holes: a masked token inside a turn, tokens between turns. */
function batch(seed: number) {
  const next = random(seed);
  const full = turnsOf([[3, 2], [4], [1, 2, 3]]);
  // One token between turns: turn k starts k later than without gaps.
  const starts = full.starts.map((start, k) => start + k);
  const ends = full.ends.map((end, k) => end + k);
  const count = ends[ends.length - 1];
  const actionMask = new Uint8Array(count);
  starts.forEach((start, k) => {
    actionMask.fill(1, start, ends[k]);
  });
  actionMask[1] = 0;
  const turns: TurnsArgs = { ...full, starts, ends, tokens: full.tokens.with(0, 2) };
  // Multiples of 2^-8, so that a step of 2^-17 is exact in float32.
  const draw = () => Float32Array.from({ length: count }, () => -Math.floor(next() * 400) / 256);
  const near = (around: Float32Array, by: number) => around.map((x) => x + Math.round((next() - 0.5) * by * 256) / 256);
  const oldLogProbs = draw();
  return {
    count,
    turns,
    actionMask,
    oldLogProbs,
    logProbs: near(oldLogProbs, 1.2),
    refLogProbs: near(oldLogProbs, 2),
    advantageLevel: 'token' as const,
    advantages: Float64Array.from({ length: count }, () => next() - 0.5),
    clipScale: Float64Array.from({ length: count }, () => 0.7 + 0.6 * next()),
    gate: { kind: 'ppo' as const, low: 0.2, high: 0.28, dual: 1.3 },
  };
}

/**
 * loss(θ) of SPEC in float64, where θ are the log-probs. `frozen` holds them at the point of differentiation:
 * straight-through is x = θ_t - sg(θ_t) + sg(mean), so θ enters through the token's own log-prob only.
 */
function lossAt(args: SurrogateArgs, logProbs: Float64Array, frozen: Float64Array): number {
  const { turns, ratio, gate, kl, denominators: d } = args;
  const tokensOf = (k: number) =>
    Array.from({ length: turns.ends[k] - turns.starts[k] }, (_, i) => turns.starts[k] + i).filter(
      (n) => args.actionMask[n],
    );
  const turnOf = (k: number) =>
    Array.from(turns.starts.keys()).filter((j) => turns.trajectory[j] === turns.trajectory[k]);
  const segmentOf = (k: number, n: number) =>
    ratio.level === 'token' ? [n] : ratio.level === 'turn' ? tokensOf(k) : turnOf(k).flatMap(tokensOf);
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const [weightOf, denominator] = {
    'token-mean': [() => 1, d.tokens],
    'token-sum': [() => 1, 1],
    'seq-mean-token-sum': [() => 1, d.sequences],
    'seq-mean-token-sum-norm': [() => 1 / args.horizon, d.sequences],
    'seq-mean-token-mean': [(k: number) => 1 / turnOf(k).flatMap(tokensOf).length, d.sequences],
    'turn-mean-token-mean': [(k: number) => 1 / tokensOf(k).length, d.turns],
  }[args.aggregate] as [(k: number) => number, number];

  let numerator = 0;
  for (const k of turns.starts.keys()) {
    for (const n of tokensOf(k)) {
      const meanAt = (lp: Float64Array) => mean(segmentOf(k, n).map((s) => lp[s] - args.oldLogProbs[s]));
      const x = ratio.form === 'true' ? meanAt(logProbs) : logProbs[n] - frozen[n] + meanAt(frozen);
      const rho = Math.exp(Math.min(Math.max(x, ratio.clampLow), ratio.clampHigh));
      const bounds = ppoBounds(gate.low, gate.high, gate.dual, args.clipScale?.[n] ?? 1);
      numerator += weightOf(k) * ppoValue(args.advantages[n], rho, bounds);
      if (args.refLogProbs === null || kl.coef === 0) continue;
      const z = logProbs[n] - args.refLogProbs[n];
      const y = Math.min(Math.max(-z, -kl.logRatioClamp), kl.logRatioClamp);
      const value = { k1: z, k2: (z * z) / 2, k3: Math.min(Math.exp(y) - 1 - y, kl.valueClamp) }[kl.estimator];
      numerator += kl.coef * weightOf(k) * value;
    }
  }
  return numerator / denominator;
}

function centralDifferences(at: (values: Float64Array) => number, values: Float64Array, step: number): number[] {
  return Array.from(values, (x, i) => (at(values.with(i, x + step)) - at(values.with(i, x - step))) / (2 * step));
}

describe('surrogate by every log-prob', () => {
  for (const level of levels) {
    for (const form of forms) {
      test.each(aggregates)(`${level}, ${form}, %s`, (aggregate) => {
        const data = batch(levels.indexOf(level) + 1);
        // A clamp in reach of the data, so that its dead zone is differentiated too.
        const ratio = { level, form, clampLow: -20, clampHigh: level === 'token' ? 0.45 : 0.15 };
        for (const estimator of ['k1', 'k2', 'k3'] as KlEstimator[]) {
          const kl = { coef: 0.3, estimator, logRatioClamp: 0.8, valueClamp: 0.4 };
          const args = surrogateArgs({ ...data, ratio, aggregate, kl, horizon: 7 });
          expect(ops.surrogate(args)).toEqual(OK);
          const logProbs = Float64Array.from(data.logProbs);
          expect(lossOf(args)).toBeCloseTo(lossAt(args, logProbs, logProbs), 14);
          const numeric = centralDifferences((lp) => lossAt(args, lp, logProbs), logProbs, 2 ** -17);
          // Truncation h²/6 f''' and rounding 1e-16/h, each about 1e-11, relative to gradients of about 0.1.
          expect(deviation(args.coefficients, numeric)).toBeLessThan(1e-8);
        }
      });
    }
  }

  test('the data reach every dead zone', () => {
    const reached = { clippedHigh: 0, clippedLow: 0, clippedDual: 0, clampedLogRatio: 0, clampedKl: 0 };
    for (const seed of [1, 2, 3]) {
      const args = surrogateArgs({
        ...batch(seed),
        ratio: { level: 'token', form: 'true', clampLow: -20, clampHigh: 0.45 },
        kl: { coef: 0.3, estimator: 'k3', logRatioClamp: 0.8, valueClamp: 0.4 },
      });
      ops.surrogate(args);
      for (const slot of Object.keys(reached) as (keyof typeof reached)[]) reached[slot] += metric(args, slot);
    }
    expect(Object.values(reached).every((count) => count > 0)).toBe(true);
  });

  test.each(levels)('the true form, differenced through the op itself: %s', (level) => {
    const data = batch(4);
    const args = surrogateArgs({ ...data, ratio: { level, form: 'true', clampLow: -20, clampHigh: 20 } });
    ops.surrogate(args);
    const at = (values: Float64Array) => {
      const moved = surrogateArgs({
        ...args,
        logProbs: Float32Array.from(values),
        coefficients: new Float64Array(data.count),
      });
      ops.surrogate(moved);
      return lossOf(moved);
    };
    expect(
      deviation(args.coefficients, centralDifferences(at, Float64Array.from(data.logProbs), 2 ** -17)),
    ).toBeLessThan(1e-8);
  });
});

describe('policyLoss by every logit', () => {
  const width = 6;
  const temperature = 0.8;

  function step(level: Level, form: RatioForm): PolicyLossArgs {
    const data = batch(7);
    const next = random(13);
    const { count, actionMask } = data;
    const logits = {
      data: Float32Array.from({ length: count * width }, () => 3 * next()),
      dtype: 'f32' as const,
      width,
    };
    const targets = Int32Array.from({ length: count }, () => Math.floor(width * next()));
    const logProbs = new Float32Array(count);
    const logSumExp = new Float64Array(count);
    const surrogate = surrogateArgs({
      ...data,
      logProbs,
      // Bounds that some segments reach and others do not, at every level.
      gate: { ...data.gate, low: 0.04, high: 0.05 },
      oldLogProbs: data.oldLogProbs.map((_, n) => {
        const row = Float64Array.from(logits.data.subarray(n * width, (n + 1) * width));
        return logProbOf(row, targets[n], softmaxRow(row, temperature), temperature) + 0.6 * (next() - 0.5);
      }),
      ratio: { level, form, clampLow: -20, clampHigh: 20 },
      kl: { coef: 0.05, estimator: 'k3', logRatioClamp: 20, valueClamp: 10 },
      aggregate: 'seq-mean-token-mean',
    });
    const shared = { logits, targets, actionMask, temperature, logProbs, logSumExp };
    return {
      statistics: null,
      gather: { ...shared, nonFinite: 'throw', entropy: null },
      surrogate,
      gradient: {
        ...shared,
        coefficients: surrogate.coefficients,
        gradScale: 1,
        gradient: { ...logits, data: new Float32Array(count * width).fill(7) },
        underflowed: null,
      },
    };
  }

  for (const form of forms) {
    test.each(levels)(`%s, ${form}`, (level) => {
      const args = step(level, form);
      expect(ops.policyLoss(args)).toEqual(OK);
      const { logits, targets } = args.gather;
      const logProbsAt = (z: Float64Array) =>
        Float64Array.from(targets, (target, n) => {
          const row = z.slice(n * width, (n + 1) * width);
          return logProbOf(row, target, softmaxRow(row, temperature), temperature);
        });
      const point = Float64Array.from(logits.data);
      const frozen = logProbsAt(point);
      const numeric = centralDifferences((z) => lossAt(args.surrogate, logProbsAt(z), frozen), point, 1e-5);
      // The analytic gradient passes float32 twice (log-prob, result): 6e-8 each, times ratios and |log p| of a few.
      expect(deviation(args.gradient.gradient.data, numeric)).toBeLessThan(1e-6);
      const clipped = metric(args.surrogate, 'clippedLow') + metric(args.surrogate, 'clippedHigh');
      expect(clipped).toBeGreaterThan(0);
      expect(clipped).toBeLessThan(metric(args.surrogate, 'tokens'));
    });
  }
});
