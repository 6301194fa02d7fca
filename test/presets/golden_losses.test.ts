/** Gates other than PPO's against the golden batches: what their presets make of log-probs. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  cispo,
  type Estimator,
  estimateAdvantages,
  gbpo,
  type LogProbsBatch,
  policyLossSync,
  r2vpo,
  real,
  sapo,
  segmentTurns,
} from '../../lib/index.js';
import { GOLDEN_SEEDS, loadGolden } from '../golden/load.js';
import { DEVICES } from '../support/backends.js';
import { deviation } from '../support/numbers.js';

/** 13 digits in the file; grad.logProbs is float32. */
const DIGITS = 1e-12;
const GRADIENT = 6e-8;

describe.each(DEVICES)('%s', (device) => {
  describe.each(GOLDEN_SEEDS)('batch-%i', (seed) => {
    const golden = loadGolden(seed);
    const file = JSON.parse(readFileSync(new URL(`../golden/batch-${seed}.json`, import.meta.url), 'utf8')).result
      .losses;
    const { trajectoryOffsets, turnIds, actionMask, groups, logProbs, lossAdvantages } = golden;
    const tokens = () => ({
      logProbs: logProbs.lp,
      oldLogProbs: logProbs.old,
      turns: segmentTurns({ trajectoryOffsets, turnIds, actionMask }, { device }),
      trajectoryOffsets,
      actionMask,
    });

    function check(name: string, estimator: Estimator, batch: LogProbsBatch): void {
      const expected = golden.losses[name];
      const { loss, grad, metrics } = policyLossSync(batch, estimator, { device });
      const scale = metrics.tokens * Math.max(...expected.dLogProbs.map(Math.abs));
      expect(Math.abs(loss - expected.loss)).toBeLessThan(DIGITS * Math.max(scale, Math.abs(expected.loss)));
      expect(deviation(grad.logProbs, expected.dLogProbs)).toBeLessThan(GRADIENT);
    }

    test('cispo', () => check('cispo', cispo({ low: 0.2, high: 0.28 }), { ...tokens(), advantages: lossAdvantages }));

    test('sapo', () => check('sapo', sapo(), { ...tokens(), advantages: lossAdvantages }));

    test('r2vpo', () => check('r2vpo', r2vpo(), { ...tokens(), advantages: lossAdvantages }));

    test('gbpo: target ratios from the outcomes, and the loss', () => {
      const estimator = gbpo({ temperature: 1 });
      const turns = segmentTurns({ trajectoryOffsets, turnIds, actionMask }, { device });
      const { ratioTargets } = estimateAdvantages({ turns, groups, outcome: golden.outcome }, estimator, { device });
      const perToken = new Float64Array(actionMask.length);
      turns.trajectory.forEach((m, k) => {
        const target = 0.7 + 0.6 / (1 + Math.exp(-ratioTargets![k]));
        expect(Math.abs(target - file.gbpo.target[m])).toBeLessThan(DIGITS);
        perToken.fill(ratioTargets![k], turns.starts[k], turns.ends[k]);
      });
      check('gbpo', estimator, { ...tokens(), advantages: lossAdvantages, ratioTargets: perToken });
    });

    test('real: labels as outcomes', () => {
      check('real', real(), { ...tokens(), groups, outcome: Float64Array.from(file.real.labels as number[]) });
    });
  });

  test('gbpo: advantage and target of a group of one are raw, its band and temperature the paper’s', () => {
    const input = { trajectoryOffsets: [0, 1, 2, 3, 4], groups: [1, 1, 1, 2], outcome: [1, 0, 0, 0.5] };
    const { advantages, ratioTargets } = estimateAdvantages(input, gbpo(), { device });
    // Mean 1/3, median 0, sample variance 1/3.
    const sd = Math.sqrt(1 / 3) + 1e-6;
    [2 / 3 / sd, -1 / 3 / sd, -1 / 3 / sd, 0.5].forEach((value, k) => {
      expect(advantages[k]).toBeCloseTo(value, 14);
    });
    [1e4 / sd, 0, 0, 5e3].forEach((value, k) => {
      expect(ratioTargets![k]).toBeCloseTo(value, 9);
    });
    expect(gbpo().gate).toEqual({ kind: 'l1-target', low: 0.3, high: 0.3 });
  });
});
