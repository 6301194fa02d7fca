/** Losses, their gradients and the KL estimators against the golden vectors. */
import { describe, expect, test } from 'vitest';
import type { Aggregate, GateArgs, KlArgs, RatioArgs, SurrogateArgs } from '../../lib/ops.js';
import { klTerm } from '../../lib/reference/index.js';
import { GOLDEN_SEEDS, type GoldenBatch, type GoldenLoss, loadGolden } from '../golden/load.js';
import { GATE, NO_KL, RATIO } from '../support/records.mjs';
import { deviation, lossOf, metric, ops, segmentArgs, segmented, surrogateArgs } from './fixtures.js';

/** Golden numbers have 13 digits: half a unit of the 13th is 5e-13 of the scale at worst. */
const TOLERANCE = 1e-12;
const { POSITIVE_INFINITY: INF, NEGATIVE_INFINITY } = Number;

/** A token is clamped to ±20, a segment from above at 10, as in verl. */
const segment = { clampLow: NEGATIVE_INFINITY, clampHigh: 10 };
const ratios: Record<string, RatioArgs> = {
  token: RATIO,
  'turn-sg': { ...RATIO, ...segment, level: 'turn' },
  turn: { ...RATIO, ...segment, level: 'turn', form: 'true' },
  'seq-sg': { ...RATIO, ...segment, level: 'sequence' },
  seq: { ...RATIO, ...segment, level: 'sequence', form: 'true' },
};

/** What the file records of a loss beside the fields that all have. */
type Golden = GoldenLoss & { target?: number[]; labels?: number[]; options: { lam?: number; tau?: number } };

/** A number per trajectory, on each of its tokens. */
function spread({ trajectoryOffsets }: GoldenBatch, values: readonly number[]): Float64Array {
  const count = trajectoryOffsets[trajectoryOffsets.length - 1];
  const result = new Float64Array(count);
  values.forEach((value, m) => {
    result.fill(value, trajectoryOffsets[m], trajectoryOffsets[m + 1]);
  });
  return result;
}

const gate = (given: Partial<GateArgs>): GateArgs => ({ ...GATE, ...given });

/** The stages of each method, as records. */
const methods: Record<string, (batch: GoldenBatch, golden: Golden) => Partial<SurrogateArgs>> = {
  ppo: (_, { options: { lo = 0.2, hi = 0.2, dual_c = INF } }) => ({ gate: gate({ low: lo, high: hi, dual: dual_c }) }),
  a2tgpo: (batch, { options: { lo = 0.2, hi = 0.2 } }) => ({
    gate: gate({ low: lo, high: hi }),
    clipScale: batch.advantages['a2tgpo.turn-group-v1d.gamma1.0'].clipScale,
  }),
  cispo: (_, { options: { lo = 0.2, hi = 0.2 } }) => ({ gate: gate({ kind: 'detached', low: lo, high: hi }) }),
  'grad-preserving': (_, { options: { lo = 0.2, hi = 0.2 } }) => ({
    gate: gate({ kind: 'grad-preserving', low: lo, high: hi }),
  }),
  sapo: () => ({ gate: gate({ kind: 'sigmoid', positive: 1, negative: 1.05 }) }),
  r2vpo: (_, { options: { lam = 0 } }) => ({ gate: gate({ kind: 'quadratic', measure: 'ratio', coef: lam }) }),
  gbpo: (batch, { target = [], options: { lo = 0, hi = 0 } }) => {
    // The file has ρ*; the op takes u, ρ* = 1 - lo + (lo + hi) σ(u).
    const u = target.map((to) => (to - (1 - lo)) / (lo + hi)).map((s) => Math.log(s / (1 - s)));
    return { gate: gate({ kind: 'l1-target', low: lo, high: hi }), ratioTargets: spread(batch, u) };
  },
  real: (batch, { labels = [], options: { tau = 0 } }) => ({
    gate: gate({ kind: 'log-sum-exp', temperature: tau }),
    ratio: { ...ratios.seq, clampHigh: INF },
    groups: batch.groups,
    advantages: spread(
      batch,
      labels.map((label) => (label === 1 ? 1 : -1)),
    ),
    aggregate: 'prompt-mean',
  }),
};

function run(batch: GoldenBatch, golden: Golden, override: Partial<SurrogateArgs>): SurrogateArgs {
  const { trajectoryOffsets, turnIds, actionMask, logProbs } = batch;
  const turns = segmented(
    segmentArgs({ by: 'turn-ids', trajectoryOffsets, turnIds, actionMask, room: turnIds.length }),
  );
  const args = surrogateArgs({
    logProbs: logProbs[golden.logProbs],
    oldLogProbs: logProbs.old,
    actionMask,
    turns,
    advantageLevel: 'token',
    advantages: batch.lossAdvantages,
    ratio: ratios[golden.options.level ?? 'token'],
    aggregate: (golden.options.agg ?? 'token-mean') as Aggregate,
    ...override,
  });
  expect(ops.surrogate(args).code).toBe('ok');
  return args;
}

const names = [
  'ppo.token.token-mean',
  'ppo.token.seq-mean-token-mean',
  'ppo.token.seq-mean-token-sum',
  'ppo.dual',
  'ppo.turn-sg',
  'ppo.turn',
  'ppo.seq-sg',
  'ppo.seq',
  'a2tgpo',
  'a2tgpo.wide',
  'cispo',
  'grad-preserving',
  'sapo',
  'r2vpo',
  'gbpo',
  'real',
];
const methodOf = (name: string) => methods[name.split('.')[0]];

const estimators: Record<string, Partial<KlArgs>> = {
  k1: { estimator: 'k1' },
  k2: { estimator: 'k2' },
  k3: { estimator: 'k3' },
  abs: { estimator: 'abs' },
  'k3+': { estimator: 'k3', gradient: 'k2' },
};

describe.each(GOLDEN_SEEDS)('batch-%i', (seed) => {
  const batch = loadGolden(seed);

  test.each(names)('%s', (name) => {
    const golden = batch.losses[name];
    const args = run(batch, golden, methodOf(name)(batch, golden));
    // A loss is a sum of terms of both signs; its scale is that of the terms, not of what is left of them.
    const scale = golden.dLogProbs.reduce((sum, gradient) => sum + Math.abs(gradient), 0);
    expect(scale).toBeGreaterThan(0);
    expect(Math.abs(lossOf(args) - golden.loss)).toBeLessThan(TOLERANCE * scale);
    expect(deviation(args.coefficients, golden.dLogProbs)).toBeLessThan(TOLERANCE);
    if (golden.clipFraction === null) return;
    const clipped = (metric(args, 'clippedLow') + metric(args, 'clippedHigh')) / metric(args, 'tokens');
    expect(Math.abs(clipped - golden.clipFraction)).toBeLessThan(TOLERANCE);
  });

  test('names and estimators cover the file', () => {
    expect(names).toEqual(Object.keys(batch.losses));
    expect(Object.keys(estimators)).toEqual(Object.keys(batch.kl));
  });

  test('straight-through and true mean differ where the advantage varies inside a segment', () => {
    const golden = batch.losses['ppo.seq'];
    const straight = run(batch, golden, { ...methods.ppo(batch, golden), ratio: ratios['seq-sg'] });
    expect(deviation(straight.coefficients, golden.dLogProbs)).toBeGreaterThan(1e-3);
  });

  test.each(Object.keys(estimators))('kl %s', (name) => {
    const golden = batch.kl[name];
    const kl: KlArgs = { ...NO_KL, coef: 1, logRatioClamp: 20, valueClamp: 10, ...estimators[name] };
    const value = new Float64Array(golden.value.length);
    const gradient = new Float64Array(golden.value.length);
    batch.actionMask.forEach((mask, n) => {
      if (mask !== 1) return;
      const term = klTerm(batch.logProbs.lp[n] - batch.logProbs.ref[n], kl);
      value[n] = term.value;
      gradient[n] = term.gradient;
    });
    expect(deviation(value, golden.value)).toBeLessThan(TOLERANCE);
    expect(deviation(gradient, golden.gradient)).toBeLessThan(TOLERANCE);

    const args = run(batch, batch.losses['ppo.token.token-mean'], {
      refLogProbs: batch.logProbs.ref,
      advantages: new Float64Array(batch.lossAdvantages.length),
      aggregate: 'token-sum',
      kl,
    });
    expect(deviation(args.coefficients, golden.gradient)).toBeLessThan(TOLERANCE);
    const sum = golden.value.reduce((a, b) => a + b, 0);
    expect(Math.abs(metric(args, 'klSum') - sum)).toBeLessThan(TOLERANCE * golden.value.length);
  });
});
