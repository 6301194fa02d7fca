/** policyLoss is the four ops one after another; and the backend around the ops: promises, abort, public entry. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { NonFinite, PolicyLossArgs, Rows } from '../../lib/ops.js';
import * as entry from '../../lib/reference/index.js';
import { RATIO } from '../support/records.mjs';
import { channel, ops, random, statisticsArgs, surrogateArgs, turnsOf } from './fixtures.js';

const { NaN: NONE } = Number;
const { reference } = entry;
const OK = { code: 'ok', position: -1 };

/** Two prompts of two trajectories, turn-level ratio, an entropy bonus, advantages from the statistics. */
function step({ inPlace = false, nonFinite = 'throw' as NonFinite } = {}): PolicyLossArgs {
  const next = random(21);
  const width = 9;
  const turns = turnsOf([[2, 1], [3], [1, 1], [2, 2]]);
  const count = 12;
  const logits: Rows = { data: Float32Array.from({ length: count * width }, () => 4 * next()), dtype: 'f32', width };
  const targets = Int32Array.from({ length: count }, () => Math.floor(width * next()));
  const outcome = Float64Array.of(1, 0, 0.5, 0.2);
  const turnSignal = Float64Array.of(0.1, NONE, NONE, -0.2, NONE, 0.3, NONE);
  const normalized = { center: 'mean', scale: 'std' } as const;
  const statistics = statisticsArgs({
    turns,
    groups: Int32Array.of(0, 0, 1, 1),
    outcome,
    channels: [
      channel({ ...normalized, level: 'turn', turnSignal, group: 'batch', then: 'discounted' }),
      channel({ ...normalized, trajectorySignal: outcome }),
    ],
    clipScaleBeta: 0.3,
  });
  const logProbs = new Float32Array(count).fill(-99);
  const logSumExp = new Float64Array(count).fill(-99);
  const entropy = new Float32Array(count).fill(-99);
  const surrogate = surrogateArgs({
    logProbs,
    oldLogProbs: Float32Array.from({ length: count }, () => -1.5 - next()),
    entropy,
    turns,
    advantages: statistics.advantages,
    clipScale: statistics.clipScale,
    ratio: { ...RATIO, level: 'turn', clampHigh: 10 },
    entropyCoef: 0.02,
    entropyCoefficients: new Float64Array(count).fill(-99),
    nonFinite,
  });
  const shared = { logits, targets, actionMask: null, temperature: 0.7, logProbs, logSumExp, entropy };
  return {
    segment: null,
    statistics,
    gather: { ...shared, nonFinite },
    surrogate,
    gradient: {
      ...shared,
      coefficients: surrogate.coefficients,
      entropyCoefficients: surrogate.entropyCoefficients,
      gradScale: 1,
      gradient: inPlace ? logits : { ...logits, data: new Float32Array(count * width).fill(7) },
      underflowed: new Float64Array(1),
    },
  };
}

function outputs({ statistics, gather, surrogate, gradient }: PolicyLossArgs) {
  return {
    advantages: statistics?.advantages,
    clipScale: statistics?.clipScale,
    logProbs: gather.logProbs,
    entropy: gather.entropy,
    coefficients: surrogate.coefficients,
    entropyCoefficients: surrogate.entropyCoefficients,
    metrics: surrogate.metrics,
    gradient: gradient.gradient.data,
  };
}

describe('policyLoss', () => {
  test('equals the ops one after another, bit for bit', () => {
    const fused = step();
    expect(ops.policyLoss(fused)).toEqual(OK);
    const apart = step();
    if (apart.statistics !== null) ops.turnStatistics(apart.statistics);
    ops.gatherLogProbs(apart.gather);
    ops.surrogate(apart.surrogate);
    ops.logitsGradient(apart.gradient);
    expect(outputs(fused)).toEqual(outputs(apart));
    expect(fused.gradient.gradient.data.some((x) => x !== 0 && x !== 7)).toBe(true);
  });

  test('in place', () => {
    const args = step({ inPlace: true });
    expect(ops.policyLoss(args)).toEqual(OK);
    const apart = step();
    ops.policyLoss(apart);
    expect(args.gather.logits.data).toEqual(apart.gradient.gradient.data);
  });

  test('check-first: a bad row is found before anything is written', () => {
    const args = step({ inPlace: true, nonFinite: 'check-first' });
    args.gather.logits.data[9 * 7 + 3] = NONE;
    const before = structuredClone(outputs(args));
    expect(ops.policyLoss(args)).toEqual({ code: 'non-finite-logits', position: 7 });
    expect(outputs(args)).toEqual(before);
  });

  test('throw: the gradient is not written', () => {
    const args = step();
    args.gather.logits.data[9 * 7 + 3] = NONE;
    expect(ops.policyLoss(args)).toEqual({ code: 'non-finite-logits', position: 7 });
    expect(args.gradient.gradient.data.every((x) => x === 7)).toBe(true);
  });

  test('propagate: the bad row and its turn are NaN, the rest is not', () => {
    const args = step({ nonFinite: 'propagate' });
    args.gather.logits.data[9 * 7 + 3] = NONE;
    expect(ops.policyLoss(args)).toEqual(OK);
    const rowIsNaN = (n: number) => args.gradient.gradient.data.subarray(9 * n, 9 * n + 9).every(Number.isNaN);
    // Row 7 is a turn of one token.
    expect(Array.from({ length: 12 }, (_, n) => rowIsNaN(n)).indexOf(true)).toBe(7);
    expect(Array.from({ length: 12 }, (_, n) => rowIsNaN(n)).lastIndexOf(true)).toBe(7);
  });

  test.each<[string, (args: PolicyLossArgs) => PolicyLossArgs, string]>([
    [
      'statistics',
      (a) => ({ ...a, statistics: a.statistics && { ...a.statistics, groups: new Int32Array(1) } }),
      'invalid-argument',
    ],
    ['gather', (a) => ({ ...a, gather: { ...a.gather, targets: a.gather.targets.with(3, 9) } }), 'target-out-of-range'],
    ['surrogate', (a) => ({ ...a, surrogate: { ...a.surrogate, metrics: new Float64Array(1) } }), 'invalid-argument'],
    ['gradient', (a) => ({ ...a, gradient: { ...a.gradient, coefficients: new Float64Array(1) } }), 'invalid-argument'],
    [
      'sharing of log-probs',
      (a) => ({ ...a, surrogate: { ...a.surrogate, logProbs: new Float32Array(12) } }),
      'invalid-argument',
    ],
    [
      'sharing of advantages',
      (a) => ({ ...a, surrogate: { ...a.surrogate, advantages: new Float64Array(7) } }),
      'invalid-argument',
    ],
    [
      'sharing of coefficients',
      (a) => ({ ...a, gradient: { ...a.gradient, coefficients: new Float64Array(12) } }),
      'invalid-argument',
    ],
    [
      'sharing of entropy',
      (a) => ({ ...a, gradient: { ...a.gradient, entropy: new Float32Array(12) } }),
      'invalid-argument',
    ],
    [
      'sharing of entropy coefficients',
      (a) => ({ ...a, gradient: { ...a.gradient, entropyCoefficients: new Float64Array(12) } }),
      'invalid-argument',
    ],
    [
      'bonus without its gradient',
      (a) => ({ ...a, gradient: { ...a.gradient, entropyCoefficients: null } }),
      'invalid-argument',
    ],
    [
      'bonus with a deferred row scale',
      (a) => ({ ...a, gradient: { ...a.gradient, coefficients: null, entropyCoefficients: null } }),
      'invalid-argument',
    ],
    ['temperatures', (a) => ({ ...a, gradient: { ...a.gradient, temperature: 2 } }), 'invalid-argument'],
  ])('invalid %s: nothing is written', (_, spoil, code) => {
    const args = spoil(step());
    const before = structuredClone(outputs(args));
    expect(ops.policyLoss(args).code).toBe(code);
    expect(outputs(args)).toEqual(before);
  });

  test('a group of one with singleton throw comes through', () => {
    const args = step();
    const { statistics } = args;
    if (statistics === null) throw new Error('statistics expected');
    const channels = statistics.channels.map((c) => ({ ...c, group: 'prompt' as const, singleton: 'throw' as const }));
    // Prompt 1 has one trajectory with information gain per turn index 0 of trajectories 2 and 3: none alone; prompt
    // 0 has one.
    expect(ops.policyLoss({ ...args, statistics: { ...statistics, channels } })).toEqual({
      code: 'group-of-one',
      position: 0,
    });
  });
});

describe('backend', () => {
  test('the asynchronous twin does the same', async () => {
    const args = step();
    const promise = reference.async.policyLoss(args, new Int32Array(1));
    expect(args.gather.logProbs[0]).toBe(-99);
    expect(await promise).toEqual(OK);
    const sync = step();
    ops.policyLoss(sync);
    expect(outputs(args)).toEqual(outputs(sync));
  });

  test('an abort before the start leaves the buffers untouched', async () => {
    const args = step();
    const abort = new Int32Array(new SharedArrayBuffer(4));
    const promise = reference.async.policyLoss(args, abort);
    Atomics.store(abort, 0, 1);
    expect(await promise).toEqual({ code: 'aborted', position: -1 });
    expect(args.gather.logProbs.every((x) => x === -99)).toBe(true);
  });

  test('every op has its twin', () => {
    expect(Object.keys(reference.async)).toEqual(Object.keys(reference.ops));
    expect(reference.name).toBe('reference');
  });

  test('the entry has every formula of math, and the backend', () => {
    const math = new URL('../../lib/reference/math/', import.meta.url);
    const files = readdirSync(math, { recursive: true, encoding: 'utf8' });
    const formulas = files
      // Powers of two and exponents: how, not what.
      .filter((file) => file.endsWith('.ts') && file !== 'binary.ts')
      .flatMap((file) => [...readFileSync(new URL(file, math), 'utf8').matchAll(/^export function (\w+)/gm)])
      .map(([, name]) => name);
    expect(Object.keys(entry).sort()).toEqual([...formulas, 'reference'].sort());
  });
});
