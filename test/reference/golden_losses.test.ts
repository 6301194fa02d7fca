/** Losses, their gradients and the KL estimators against the golden vectors. */
import { describe, expect, test } from 'vitest';
import type { Aggregate, RatioArgs, SurrogateArgs } from '../../lib/ops.js';
import { klTerm } from '../../lib/reference/index.js';
import { GOLDEN_SEEDS, type GoldenBatch, type GoldenLoss, loadGolden } from '../golden/load.js';
import { deviation, lossOf, metric, ops, segmentArgs, segmented, surrogateArgs } from './fixtures.js';

/** Golden numbers have 13 digits: half a unit of the 13th is 5e-13 of the scale at worst. */
const TOLERANCE = 1e-12;
const { POSITIVE_INFINITY: INF, NEGATIVE_INFINITY } = Number;

/** A token is clamped to ±20, a segment from above at 10, as in verl. */
const ratios: Record<string, RatioArgs> = {
  token: { level: 'token', form: 'straight-through', clampLow: -20, clampHigh: 20 },
  'turn-sg': { level: 'turn', form: 'straight-through', clampLow: NEGATIVE_INFINITY, clampHigh: 10 },
  turn: { level: 'turn', form: 'true', clampLow: NEGATIVE_INFINITY, clampHigh: 10 },
  'seq-sg': { level: 'sequence', form: 'straight-through', clampLow: NEGATIVE_INFINITY, clampHigh: 10 },
  seq: { level: 'sequence', form: 'true', clampLow: NEGATIVE_INFINITY, clampHigh: 10 },
};

function run(batch: GoldenBatch, golden: GoldenLoss, override: Partial<SurrogateArgs> = {}): SurrogateArgs {
  const { trajectoryOffsets, turnIds, actionMask, logProbs } = batch;
  const turns = segmented(
    segmentArgs({ by: 'turn-ids', trajectoryOffsets, turnIds, actionMask, room: turnIds.length }),
  );
  const { options } = golden;
  const args = surrogateArgs({
    logProbs: logProbs[golden.logProbs],
    oldLogProbs: logProbs.old,
    actionMask,
    turns,
    advantageLevel: 'token',
    advantages: batch.lossAdvantages,
    clipScale: options.useClipScale ? batch.advantages['a2tgpo.turn-group-v1d.gamma1.0'].clipScale : null,
    ratio: ratios[options.level ?? 'token'],
    gate: { kind: 'ppo', low: options.lo ?? 0.2, high: options.hi ?? 0.2, dual: options.dual_c ?? INF },
    aggregate: (options.agg ?? 'token-mean') as Aggregate,
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
];

describe.each(GOLDEN_SEEDS)('batch-%i', (seed) => {
  const batch = loadGolden(seed);

  test.each(names)('%s', (name) => {
    const golden = batch.losses[name];
    const args = run(batch, golden);
    // A loss is a sum of terms of both signs; its scale is that of the terms, not of what is left of them.
    const scale = golden.dLogProbs.reduce((sum, gradient) => sum + Math.abs(gradient), 0);
    expect(scale).toBeGreaterThan(0);
    expect(Math.abs(lossOf(args) - golden.loss)).toBeLessThan(TOLERANCE * scale);
    expect(deviation(args.coefficients, golden.dLogProbs)).toBeLessThan(TOLERANCE);
    const clipped = (metric(args, 'clippedLow') + metric(args, 'clippedHigh')) / metric(args, 'tokens');
    expect(Math.abs(clipped - (golden.clipFraction ?? Number.NaN))).toBeLessThan(TOLERANCE);
  });

  test('names cover every clipped surrogate of the file', () => {
    const inFile = Object.keys(batch.losses).filter((name) => name.startsWith('ppo.') || name.startsWith('a2tgpo'));
    expect(names).toEqual(inFile);
  });

  test('straight-through and true mean differ where the advantage varies inside a segment', () => {
    const golden = batch.losses['ppo.seq'];
    const straight = run(batch, golden, { ratio: ratios['seq-sg'] });
    expect(deviation(straight.coefficients, golden.dLogProbs)).toBeGreaterThan(1e-3);
  });

  test.each(['k1', 'k2', 'k3'] as const)('kl %s', (estimator) => {
    const golden = batch.kl[estimator];
    const kl = { coef: 1, estimator, logRatioClamp: 20, valueClamp: 10 };
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
