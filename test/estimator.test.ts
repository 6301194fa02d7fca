/** Estimators are data: complete, frozen, JSON; made by presets, by hand, or from another one. */
import { describe, expect, test } from 'vitest';
import {
  a2tgpo,
  type Estimator,
  type EstimatorInput,
  estimateAdvantages,
  estimator,
  grpo,
  policyLossSync,
} from '../lib/index.js';
import { ESTIMATORS, GRPO } from './support/estimators.js';
import { fromLogProbs, sample, signals } from './support/sample.js';

const all: Record<string, Estimator> = { ...ESTIMATORS, grpo: GRPO };
const from = sample({ seed: 17 });

function isDeeplyFrozen(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return Object.isFrozen(value) && Object.values(value).every(isDeeplyFrozen);
}

describe.each(Object.keys(all))('%s', (name) => {
  const original = all[name];

  test('survives JSON', () => {
    expect(estimator(JSON.parse(JSON.stringify(original)))).toEqual(original);
    expect(structuredClone(original)).toEqual(original);
  });

  test('is frozen to its leaves', () => {
    expect(isDeeplyFrozen(original)).toBe(true);
    expect(() => Object.assign(original.gate, { low: 1 })).toThrow(TypeError);
  });

  test('is taken as it is, a copy of it is checked again', () => {
    expect(estimator(original)).toBe(original);
    const copy = estimator({ ...original });
    expect(copy).not.toBe(original);
    expect(copy).toEqual(original);
  });
});

test('the definition that was given is not frozen and not kept', () => {
  const definition: EstimatorInput = {
    name: 'mine',
    channels: [{ ...grpo().channels[0] }],
    gate: { kind: 'ppo', low: 0.1, high: 0.2 },
  };
  const made = estimator(definition);
  Object.assign(definition.gate, { low: 0.9 });
  definition.name = 'other';
  expect(made).toMatchObject({ name: 'mine', gate: { low: 0.1 } });
  expect(Object.isFrozen(definition.channels)).toBe(false);
});

test('defaults', () => {
  const channel = {
    signal: 'turn-reward',
    group: { kind: 'prompt' },
    center: { kind: 'mean' },
    scale: { kind: 'none' },
  } as const;
  expect(estimator({ name: 'least', channels: [channel], gate: { kind: 'ppo', low: 0.2, high: 0.3 } })).toEqual({
    version: 1,
    name: 'least',
    channels: [
      {
        signal: { level: 'turn', terms: ['turn-reward'] },
        accumulate: { kind: 'none' },
        group: { kind: 'prompt', singleton: 'zero' },
        center: { kind: 'mean' },
        scale: { kind: 'none' },
        then: { kind: 'none' },
        weight: 1,
      },
    ],
    combine: { kind: 'sum' },
    modulate: null,
    whiten: null,
    ratio: { level: 'token', denominator: 'old', clamp: { low: -20, high: 20 } },
    gate: { kind: 'ppo', low: 0.2, high: 0.3, dual: null, adapt: null },
    weights: [],
    kl: null,
    entropy: null,
    aggregate: 'token-mean',
  });
});

test('clamps by level: a token on both sides, a mean from above; null takes them off', () => {
  const ratio = (given: EstimatorInput['ratio']) => estimator({ ...grpo(), name: 'r', ratio: given! }).ratio.clamp;
  expect(ratio({ level: 'token' })).toEqual({ low: -20, high: 20 });
  expect(ratio({ level: 'turn', form: 'true' })).toEqual({ low: null, high: 10 });
  expect(ratio({ level: 'turn', form: 'true', reduce: 'sum' })).toEqual({ low: -20, high: 20 });
  expect(ratio({ level: 'sequence', form: 'straight-through', clamp: { low: -1, high: null } })).toEqual({
    low: -1,
    high: null,
  });
});

test('a preset spread and overridden is another estimator, with another loss', () => {
  const mine = estimator({
    ...a2tgpo(),
    name: 'mine',
    aggregate: 'turn-mean-token-mean',
    kl: { coef: 1e-3, estimator: 'k3' },
  });
  expect(mine.kl).toEqual({
    coef: 1e-3,
    estimator: 'k3',
    gradient: 'own',
    ratioCorrection: false,
    logRatioClamp: 20,
    valueClamp: null,
  });
  expect(mine.channels).toEqual(a2tgpo().channels);
  const batch = { ...fromLogProbs(from), ...signals(from) };
  const a = policyLossSync(batch, a2tgpo());
  const b = policyLossSync({ ...batch, refLogProbs: from.refLogProbs }, mine);
  expect(b.loss).not.toBe(a.loss);
  expect(b.metrics.kl).toBeGreaterThan(0);
  expect(a.metrics.kl).toBeNull();
});

test('every function takes a plain definition', () => {
  const definition = JSON.parse(JSON.stringify(ESTIMATORS.a2tgpo)) as EstimatorInput;
  const credit = estimateAdvantages({ turns: from.turns, ...signals(from) }, definition);
  expect(credit.estimator).toEqual(ESTIMATORS.a2tgpo);
  const loss = policyLossSync({ ...fromLogProbs(from), credit }, definition).loss;
  expect(loss).toBe(policyLossSync({ ...fromLogProbs(from), ...signals(from) }, ESTIMATORS.a2tgpo).loss);
});

test('credit made with one loss may be used with another: only phase A must agree', () => {
  const credit = estimateAdvantages({ turns: from.turns, ...signals(from) }, a2tgpo());
  const wider = estimator({
    ...a2tgpo(),
    name: 'wider',
    gate: { kind: 'ppo', low: 0.2, high: 0.3, adapt: { channel: 0, beta: 0.3 } },
    aggregate: 'token-sum',
  });
  expect(Number.isFinite(policyLossSync({ ...fromLogProbs(from), credit }, wider).loss)).toBe(true);
});

describe('metrics', () => {
  const onPolicy = { ...fromLogProbs(from), logProbs: from.oldLogProbs, ...signals(from) };

  test('on-policy', () => {
    const { metrics } = policyLossSync(onPolicy, a2tgpo());
    expect(metrics).toMatchObject({
      ratio: { min: 1, mean: 1, max: 1 },
      effectiveSampleSize: 1,
      clipFraction: 0,
      approxKl: 0,
      approxKlK1: 0,
      kl: null,
      entropy: null,
      temperature: null,
      nonFinite: 0,
    });
    expect(Object.isFrozen(metrics)).toBe(true);
  });

  test('groups of each channel', () => {
    const { metrics } = policyLossSync(onPolicy, a2tgpo());
    expect(metrics.groups?.map(({ signal }) => signal)).toEqual(['information-gain', 'outcome']);
    const prompts = new Set(from.groups).size;
    expect(metrics.groups?.[1]).toMatchObject({ groups: prompts, members: from.count });
    const advantages = new Float64Array(from.turns.count);
    const given = { ...fromLogProbs(from), advantages, clipScale: advantages };
    expect(policyLossSync(given, a2tgpo()).metrics.groups).toBeNull();
  });

  test('a ratio of 2 for half of the tokens, by hand', () => {
    const twoTurns = {
      turns: {
        count: 2,
        starts: Int32Array.of(0, 1),
        ends: Int32Array.of(1, 2),
        tokens: Int32Array.of(1, 1),
        trajectory: Int32Array.of(0, 1),
        index: Int32Array.of(0, 0),
      },
    };
    const oldLogProbs = Float32Array.of(-2, -2);
    const logProbs = Float32Array.of(-2, Math.fround(-2 + Math.LN2));
    const { loss, grad, metrics } = policyLossSync(
      { ...twoTurns, logProbs, oldLogProbs, advantages: [1, 1], advantageLevel: 'turn' },
      grpo({ aggregate: 'token-mean' }),
    );
    // Token 1: rho 1, f = -1, df = -1. Token 2: rho 2 is clipped at 1.2, f = -1.2, df = 0. Both over 2 tokens.
    expect(loss).toBeCloseTo(-1.1, 15);
    expect([...grad.logProbs]).toEqual([-0.5, 0]);
    expect(metrics).toMatchObject({
      tokens: 2,
      clipFraction: 0.5,
      clipFractionHigh: 0.5,
      clipFractionLow: 0,
      lossDenominator: 2,
    });
    expect(metrics.ratio?.mean).toBeCloseTo(1.5, 7);
    // (1 + 2)² / (1 + 4) / 2
    expect(metrics.effectiveSampleSize).toBeCloseTo(0.9, 7);
    // k3: (0 + (2 - 1 - ln 2)) / 2; k1: -ln 2 / 2.
    expect(metrics.approxKl).toBeCloseTo((1 - Math.LN2) / 2, 7);
    expect(metrics.approxKlK1).toBeCloseTo(-Math.LN2 / 2, 7);
  });
});
