/**
 * Finite differences of the whole loss: of surrogate by every log-prob and every entropy, of policyLoss by every logit.
 * The loss under differentiation is test/support/forward_loss.ts, which has what is kept out of the derivative frozen
 * in it.
 */
import { describe, expect, test } from 'vitest';
import type {
  GateArgs,
  KlArgs,
  MetricSlot,
  PolicyLossArgs,
  RatioArgs,
  SurrogateArgs,
  TurnsArgs,
} from '../../lib/ops.js';
import {
  AGGREGATES,
  CORRECTED_KLS,
  COUPLED,
  GATES,
  KLS,
  MORE_GATES,
  MORE_RATIOS,
  RATIOS,
  WEIGHTS,
} from '../cases/loss_options.js';
import { entropiesOf, finiteDifferences, logProbsOf, surrogateLoss } from '../support/forward_loss.js';
import { deviation, lossOf, metric, ops, random, surrogateArgs, turnsOf } from './fixtures.js';

const OK = { code: 'ok', position: -1 };
const ALL_RATIOS = { ...RATIOS, ...MORE_RATIOS };
const ALL_GATES = { ...GATES, ...MORE_GATES };

/** Six trajectories of two prompts, with holes: a masked token inside a turn, tokens between turns. */
function batch(seed: number) {
  const next = random(seed);
  const full = turnsOf([[3, 2], [4], [1, 2, 3], [2], [3, 1], [2, 2]]);
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
  // Multiples of 2^-8, so that a step of 2^-17 is exact in float32. Odd ones apart from even ones: no difference is 0.
  const draw = () => Float32Array.from({ length: count }, () => (-2 * Math.floor(next() * 200) - 200) / 256);
  const near = (around: Float32Array, by: number) =>
    around.map((x) => x + (2 * Math.round((next() - 0.5) * by * 128) + 1) / 256);
  const oldLogProbs = draw();
  const advantages = Float64Array.from({ length: count }, () => next() - 0.5);
  advantages[5] = 0;
  advantages[9] = -0;
  return {
    count,
    turns,
    actionMask,
    groups: Int32Array.of(7, 7, -3, 7, -3, -3),
    oldLogProbs,
    logProbs: near(oldLogProbs, 1.2),
    refLogProbs: near(oldLogProbs, 2).map((x) => x + 1 / 256),
    rolloutLogProbs: near(oldLogProbs, 0.6),
    tokenWeights: Float64Array.from({ length: count }, () => 2 * next() - 0.5).fill(0, 7, 8),
    entropy: Float32Array.from({ length: count }, next),
    advantageLevel: 'token' as const,
    advantages,
    clipScale: Float64Array.from({ length: count }, () => 0.7 + 0.6 * next()),
    ratioTargets: Float64Array.from({ length: count }, () => 4 * next() - 2),
    horizon: 7,
    entropyCoefficients: new Float64Array(count).fill(-99),
  };
}

/** Runs the op and holds loss and gradient against the forward function; what its metrics counted is added to `seen`. */
function check(given: Parameters<typeof surrogateArgs>[0], seen: Seen = new Map()): SurrogateArgs {
  const args = surrogateArgs(given);
  expect(ops.surrogate(args)).toEqual(OK);
  const logProbs = Float64Array.from(args.logProbs);
  const { entropy } = args;
  const lossAt = (lp: Float64Array) => surrogateLoss(args, { logProbs: lp, anchor: logProbs, entropy });
  expect(Math.abs(lossOf(args) - lossAt(logProbs))).toBeLessThan(1e-13 * (1 + Math.abs(lossOf(args))));
  const everywhere = Array.from(logProbs.keys());
  // Truncation h²/6 f''' and rounding 1e-16/h, each about 1e-11, relative to gradients of about 0.1.
  expect(deviation(args.coefficients, finiteDifferences(lossAt, logProbs, everywhere))).toBeLessThan(1e-8);
  for (const slot of COUNTED) seen.set(slot, (seen.get(slot) ?? 0) + metric(args, slot));
  return args;
}

type Seen = Map<MetricSlot, number>;
const COUNTED: MetricSlot[] = [
  'clippedLow',
  'clippedHigh',
  'clippedDual',
  'clampedLogRatio',
  'clampedKl',
  'masked',
  'truncatedWeights',
];

const k3: KlArgs = KLS['k3 clamped'];

describe('surrogate by every log-prob', () => {
  const seen: Seen = new Map();

  for (const [ratioName, ratio] of Object.entries(ALL_RATIOS)) {
    test.each(Object.entries(ALL_GATES))(`${ratioName}, %s, every aggregate`, (_, gate) => {
      for (const aggregate of AGGREGATES) check({ ...batch(3), ratio, gate, aggregate, kl: k3 }, seen);
    });
  }

  test('and the data reached every dead zone', () => {
    for (const slot of COUNTED.filter((name) => name !== 'truncatedWeights'))
      expect(seen.get(slot), slot).toBeGreaterThan(0);
  });

  test.each(Object.entries(KLS))('%s, every ratio', (_, kl) => {
    for (const ratio of Object.values(ALL_RATIOS)) check({ ...batch(4), ratio, kl, aggregate: 'seq-mean-token-mean' });
  });

  const ofTokens = Object.entries(ALL_RATIOS).filter(([, { level }]) => level === 'token');
  test.each(Object.entries(CORRECTED_KLS))('%s', (_, kl) => {
    for (const [, ratio] of ofTokens) check({ ...batch(5), ratio, kl, aggregate: 'turn-mean-token-mean' });
  });

  test.each(Object.entries(WEIGHTS))('weights: %s', (_, weights) => {
    const reached: Seen = new Map();
    for (const name of ['token', 'turn straight-through', 'sequence true', 'turn sum true']) {
      for (const gate of [GATES.ppo, MORE_GATES.detached, MORE_GATES.sigmoid]) {
        check({ ...batch(6), ratio: ALL_RATIOS[name], gate, weights, kl: k3 }, reached);
      }
    }
    const isInert = weights.length === 1 && weights[0].logClamp < 1 && weights[0].kind === 'importance';
    const touched = (reached.get('masked') ?? 0) + (reached.get('truncatedWeights') ?? 0);
    if (!isInert) expect(touched).toBeGreaterThan(0);
  });

  test.each(['token', 'turn true', 'sequence true'])('the true form, differenced through the op itself: %s', (name) => {
    const data = batch(4);
    for (const gate of [GATES.ppo, MORE_GATES.sigmoid, MORE_GATES['l1-target'], MORE_GATES['quadratic in the ratio']]) {
      const args = surrogateArgs({ ...data, ratio: { ...RATIOS[name], form: 'true' }, gate });
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
      const point = Float64Array.from(data.logProbs);
      expect(deviation(args.coefficients, finiteDifferences(at, point, Array.from(point.keys())))).toBeLessThan(1e-8);
    }
  });
});

describe('the coupled gate', () => {
  const level: RatioArgs = { ...RATIOS['sequence true'], clampHigh: 20, clampLow: -20 };
  const coupled = (seed: number, given: Partial<SurrogateArgs> = {}) => ({
    ...batch(seed),
    ratio: level,
    gate: COUPLED,
    ...given,
  });

  test.each(AGGREGATES)('%s', (aggregate) => {
    for (const seed of [1, 2, 3, 4]) {
      const args = check(coupled(seed, { aggregate, kl: k3, entropyCoef: 0.01 }));
      expect(metric(args, 'policyNumerator')).toBeGreaterThan(0);
    }
  });

  test('clamped and clipped log-ratios, a temperature at which exp would overflow unshifted', () => {
    const clamped = check(coupled(2, { ratio: { ...level, clampLow: -0.1, clampHigh: 0.05 } }));
    expect(metric(clamped, 'clampedLogRatio')).toBeGreaterThan(0);
    check(coupled(2, { ratio: { ...level, tokenClamp: 0.3, clipLow: 0.1, clipHigh: 0.2 } }));
    const cold = check(coupled(3, { gate: { ...COUPLED, temperature: 2 ** -4 } }));
    expect(metric(cold, 'policyNumerator')).toBeGreaterThan(1);
    const colder = surrogateArgs(coupled(3, { gate: { ...COUPLED, temperature: 2 ** -14 } }));
    expect(ops.surrogate(colder)).toEqual(OK);
    expect(Number.isFinite(lossOf(colder))).toBe(true);
    expect(colder.coefficients.every(Number.isFinite)).toBe(true);
  });

  test('a prompt of one class, and trajectories of A = 0, have no part in it', () => {
    const { turns, count } = batch(1);
    const perTrajectory = [1, -1, 2, 0, 1, -0];
    const advantages = new Float64Array(count);
    turns.starts.forEach((start, k) => {
      advantages.fill(perTrajectory[turns.trajectory[k]], start, turns.ends[k]);
    });
    const args = check(coupled(1, { advantages, aggregate: 'prompt-mean' }));
    const moved = new Set(Array.from(turns.trajectory).filter((_, k) => args.coefficients[turns.starts[k]] !== 0));
    expect([...moved]).toEqual([0, 1]);
  });
});

describe('an entropy bonus', () => {
  test.each(AGGREGATES)('surrogate by every entropy: %s', (aggregate) => {
    const args = check({ ...batch(8), aggregate, entropyCoef: 0.3, kl: k3 });
    const { entropyCoefficients, logProbs } = args;
    const point = { logProbs: Float64Array.from(logProbs), anchor: Float64Array.from(logProbs) };
    const values = Float64Array.from(args.entropy ?? []);
    const numeric = finiteDifferences(
      (entropy) => surrogateLoss(args, { ...point, entropy }),
      values,
      Array.from(values.keys()),
    );
    expect(deviation(entropyCoefficients ?? [], numeric)).toBeLessThan(1e-8);
    expect(metric(args, 'entropyNumerator')).toBeLessThan(0);
  });
});

describe('policyLoss by every logit', () => {
  const width = 6;
  const temperature = 0.8;

  function step(ratio: RatioArgs, gate: GateArgs, given: Partial<SurrogateArgs>): PolicyLossArgs {
    const { count, actionMask, ...data } = batch(7);
    const next = random(13);
    const logits = {
      data: Float32Array.from({ length: count * width }, () => 3 * next()),
      dtype: 'f32' as const,
      width,
    };
    const targets = Int32Array.from({ length: count }, () => Math.floor(width * next()));
    const point = logProbsOf(Float64Array.from(logits.data), { targets, width }, temperature);
    const logProbs = new Float32Array(count);
    const logSumExp = new Float64Array(count);
    const entropy = new Float32Array(count);
    const surrogate = surrogateArgs({
      ...data,
      actionMask,
      logProbs,
      entropy,
      // A spread of 0.6: bounds and clamps that some units reach and others do not, at every level.
      oldLogProbs: Float32Array.from(point, (x) => x + 0.6 * (next() - 0.5)),
      ratio,
      gate,
      kl: { ...KLS.k3, coef: 0.05 },
      aggregate: 'seq-mean-token-mean',
      ...given,
    });
    const shared = { logits, targets, actionMask, temperature, logProbs, logSumExp, entropy };
    const { coefficients, entropyCoefficients } = surrogate;
    return {
      segment: null,
      statistics: null,
      gather: { ...shared, nonFinite: 'throw' },
      surrogate,
      gradient: {
        ...shared,
        coefficients,
        entropyCoefficients,
        gradScale: 1,
        gradient: { ...logits, data: new Float32Array(count * width).fill(7) },
        underflowed: null,
      },
    };
  }

  function checkStep(args: PolicyLossArgs): void {
    expect(ops.policyLoss(args)).toEqual(OK);
    const { logits, targets } = args.gather;
    const at = Float64Array.from(logits.data);
    const logProbsAt = (z: Float64Array) => logProbsOf(z, { targets, width }, temperature);
    const anchor = logProbsAt(at);
    const lossAt = (z: Float64Array) =>
      surrogateLoss(args.surrogate, { logProbs: logProbsAt(z), anchor, entropy: entropiesOf(z, width, temperature) });
    // The analytic gradient passes float32 twice (log-prob, result): 6e-8 each, times ratios and |log p| of a few.
    expect(Math.abs(lossOf(args.surrogate) - lossAt(at))).toBeLessThan(1e-6);
    const numeric = finiteDifferences(lossAt, at, Array.from(at.keys()));
    expect(deviation(args.gradient.gradient.data, numeric)).toBeLessThan(1e-6);
  }

  const bonuses = [{ entropyCoef: 0 }, { entropyCoef: 0.4 }, { entropyCoef: -0.2, weights: WEIGHTS['token masked'] }];
  for (const [ratioName, ratio] of Object.entries(RATIOS)) {
    test.each(['ppo', 'detached', 'sigmoid', 'quadratic in the log-ratio', 'mask by Bernoulli KL'])(
      `${ratioName}, %s, with and without a bonus`,
      (gate) => {
        for (const given of bonuses) checkStep(step(ratio, ALL_GATES[gate], given));
      },
    );
  }

  test('the coupled gate', () => {
    for (const given of bonuses.slice(0, 2)) checkStep(step(RATIOS['sequence true'], COUPLED, given));
  });

  test('a bonus alone: the coefficient of every log-prob is 0', () => {
    const args = step(RATIOS.token, GATES.ppo, { entropyCoef: 0.4, kl: KLS['no KL'] });
    args.surrogate.advantages.fill(0);
    checkStep(args);
    expect(args.surrogate.coefficients.every((c) => c === 0)).toBe(true);
  });
});
