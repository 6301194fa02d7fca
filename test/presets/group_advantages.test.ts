/** Advantages within the prompt: golden batches, executed releases of verl and TRL, and numbers worked out by hand. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  cispo,
  dapo,
  drGrpo,
  type Estimator,
  estimateAdvantages,
  g2rpo,
  gdpo,
  gmpo,
  grpo,
  gspo,
  gspoToken,
  luspo,
  opo,
  r2vpo,
  reinforcePlusPlus,
  reinforcePlusPlusBaseline,
  remax,
  rloo,
  sapo,
  segmentTurns,
  vespo,
} from '../../lib/index.js';
import { GOLDEN_SEEDS, loadGolden } from '../golden/load.js';
import { DEVICES } from '../support/backends.js';
import { deviation } from '../support/numbers.js';
import { creditOf, expectAdvantages, expectedAdvantages, loadRelease, perToken } from './release.js';

const VERL = loadRelease('verl-advantages');
const outcome = VERL.rows('outcome');
/** verl gives a group of one R / (1 + eps), this library R: 1e-6 of it. */
const GROUP_OF_ONE = 1.1e-6;
/** verl's masked_whiten divides sums by tokens + 1e-8, of 70 tokens and more. */
const WHITENED = 5e-10;

/** The advantages that all these keep. */
const LIKE_GRPO: Record<string, (options: { compat?: 'trl' }) => Estimator> = {
  grpo,
  dapo,
  gspo,
  gspoToken,
  gmpo,
  cispo: (options) => cispo({ high: 1, ...options }),
  sapo,
  vespo,
  luspo,
};

const GOLDEN: Record<string, Estimator> = {
  grpo: grpo({ compat: 'verl' }),
  'dr-grpo': drGrpo({ compat: 'verl', horizon: 64 }),
  rloo: rloo(),
  opo: opo(),
  'reinforce-pp.skip': reinforcePlusPlus({ gamma: 0.98 }),
  'reinforce-pp.reset': reinforcePlusPlus({ gamma: 0.98, observation: 'reset' }),
  'reinforce-pp-baseline': reinforcePlusPlusBaseline(),
};

describe.each(DEVICES)('%s', (device) => {
  describe.each(GOLDEN_SEEDS)('batch-%i', (seed) => {
    const golden = loadGolden(seed);
    const { trajectoryOffsets, turnIds, actionMask, groups } = golden;
    test.each(Object.keys(GOLDEN))('%s', (name) => {
      const turns = segmentTurns({ trajectoryOffsets, turnIds, actionMask }, { device });
      const input = { turns, trajectoryOffsets, actionMask, groups, outcome: golden.outcome };
      const credit = estimateAdvantages(input, GOLDEN[name], { device });
      // 13 digits in the file.
      const tolerance = name.startsWith('reinforce') ? WHITENED : 1e-12;
      expect(deviation(perToken(credit, golden), golden.advantages[name].tokens)).toBeLessThan(tolerance);
    });
  });

  describe('verl', () => {
    test('grpo, and drGrpo without division', () => {
      expectAdvantages([VERL, 'grpo-vectorized'], { outcome }, grpo({ compat: 'verl' }), device, GROUP_OF_ONE);
      const centred = drGrpo({ compat: 'verl', horizon: 22 });
      expectAdvantages([VERL, 'grpo-vectorized.no-std'], { outcome }, centred, device);
    });

    test.each(Object.entries({ dapo, gspo, gspoToken, gmpo, cispo, sapo }))('%s keeps that advantage', (_, make) => {
      expectAdvantages([VERL, 'grpo-vectorized'], { outcome }, make({ compat: 'verl' }), device, GROUP_OF_ONE);
    });

    test('rloo; the vectorised form gives a group of one 0, as the paper’s default here', () => {
      expectAdvantages([VERL, 'rloo'], { outcome }, rloo({ compat: 'verl' }), device);
      expectAdvantages([VERL, 'rloo-vectorized'], { outcome }, rloo(), device);
    });

    test('opo', () => expectAdvantages([VERL, 'opo'], { outcome }, opo({ compat: 'verl' }), device));

    test('reinforcePlusPlusBaseline', () => {
      expectAdvantages(
        [VERL, 'reinforce-pp-baseline'],
        { outcome },
        reinforcePlusPlusBaseline({ compat: 'verl' }),
        device,
        WHITENED,
      );
    });

    test.each([1, 0.98])('reinforcePlusPlus, gamma %d', (gamma) => {
      const name = gamma === 1 ? '1.0' : String(gamma);
      const estimator = reinforcePlusPlus({ compat: 'verl', gamma });
      expectAdvantages([VERL, `reinforce-pp.outcome.gamma${name}`], { outcome }, estimator, device, WHITENED);
      const tokens = reinforcePlusPlus({ compat: 'verl', gamma, rewards: ['token-reward'] });
      const signals = { tokenRewards: VERL.tokens('tokenReward') };
      expectAdvantages([VERL, `reinforce-pp.token-rewards.gamma${name}`], signals, tokens, device, WHITENED);
    });

    test('remax: outcome less the greedy reward, on loss tokens', () => {
      const credit = creditOf(VERL, { outcome, baseline: VERL.rows('greedy') }, remax({ compat: 'verl' }), device);
      const expected = expectedAdvantages(VERL, 'remax.outcome').map((value, n) =>
        VERL.actionMask[n] === 1 ? value : 0,
      );
      expect(deviation(perToken(credit, VERL), expected)).toBeLessThan(1e-15);
    });

    test('gdpo: each reward by itself, then whitened over loss tokens', () => {
      const { accuracy, format } = VERL.inputs.channels as Record<string, number[]>;
      const signals = { signals: { accuracy, format } };
      const of = (weight: number) => gdpo({ compat: 'verl', rewards: { accuracy: 1, format: weight } });
      expectAdvantages([VERL, 'gdpo'], signals, of(1), device, GROUP_OF_ONE);
      expectAdvantages([VERL, 'gdpo.weighted'], signals, of(0.5), device, GROUP_OF_ONE);
      const single = gdpo({ compat: 'verl', rewards: { outcome: 1 } });
      expectAdvantages([VERL, 'gdpo.single'], { signals: { outcome } }, single, device, GROUP_OF_ONE);
    });
  });

  describe('TRL', () => {
    const file = JSON.parse(readFileSync(new URL('../golden/releases/trl-advantages.json', import.meta.url), 'utf8'));
    const weights = [1, 0.5, 0.25];
    const rowsOf = (input: string) => file.inputs[input] as (number | 'NaN')[][];
    /** A reward function that returned nothing counts as 0, and a row without any reward is not scored. */
    const summed = (input: string) =>
      rowsOf(input).map((rewards) =>
        rewards.every((reward) => reward === 'NaN')
          ? Number.NaN
          : rewards.reduce<number>((sum, reward, i) => sum + (reward === 'NaN' ? 0 : weights[i] * reward), 0),
      );
    /** One token per row. */
    const run = (signals: object, estimator: Estimator, groups: number[] = file.inputs.group) => {
      const trajectoryOffsets = groups.map((_, m) => m).concat(groups.length);
      return [...estimateAdvantages({ trajectoryOffsets, groups, ...signals }, estimator, { device }).advantages];
    };
    const expected = (name: string) => file.cases[name].rowAdvantages as number[];

    test.each([
      ['group', 'std'],
      ['batch', 'batch-std'],
      ['none', 'none'],
    ] as const)('scale_rewards %s', (name, scale) => {
      const estimator = grpo({ compat: 'trl', scale });
      const actual = run({ outcome: summed('rewards') }, estimator);
      expect(deviation(actual, expected(`sum_then_normalize.${name}`))).toBeLessThan(1e-13);
      const missing = run({ outcome: summed('rewardsWithNaN') }, estimator);
      expect(deviation(missing, expected(`sum_then_normalize.${name}.nan`))).toBeLessThan(1e-13);
    });

    test.each(Object.entries(LIKE_GRPO))('%s', (_, make) => {
      const actual = run({ outcome: summed('rewards') }, make({ compat: 'trl' }));
      expect(deviation(actual, expected('sum_then_normalize.group'))).toBeLessThan(1e-13);
    });

    test('groups of one', () => {
      const groups = file.inputs.group.map((_: number, m: number) => m);
      for (const [name, scale] of [
        ['single-generation', 'std'],
        ['single-generation.batch', 'batch-std'],
      ] as const) {
        expect(run({ outcome: summed('rewards') }, grpo({ compat: 'trl', scale }), groups)).toEqual(expected(name));
      }
    });

    test('gdpo: normalize_then_sum', () => {
      const rewards = rowsOf('rewards') as number[][];
      const column = (i: number) => rewards.map((row) => row[i]);
      const actual = run(
        { signals: { a: column(0), b: column(1), c: column(2) } },
        gdpo({ compat: 'trl', rewards: { a: weights[0], b: weights[1], c: weights[2] } }),
      );
      expect(deviation(actual, expected('normalize_then_sum'))).toBeLessThan(1e-13);
    });
  });

  describe('by hand', () => {
    /** Prompt 5: outcomes 1, 0, 0.25, 0.25; prompt 9 alone; prompt 2 constant. Trajectories of 1, 2, 3, 2 loss tokens, ... */
    const trajectoryOffsets = [0, 1, 3, 6, 8, 9, 10, 11, 12];
    const groups = [5, 5, 5, 5, 9, 2, 2, 2];
    const rewards = [1, 0, 0.25, 0.25, 0.75, 0.1, 0.1, 0.1];
    const of = (estimator: Estimator, more: object = {}) => [
      ...estimateAdvantages({ trajectoryOffsets, groups, outcome: rewards, ...more }, estimator, { device }).advantages,
    ];

    test('the paper’s group: (R - 3/8) / (std + 1e-6), a group of one 0, equal rewards 0', () => {
      // Deviations 5/8, -3/8, -1/8, -1/8: squares sum to 36/64, sample variance 3/16.
      const sd = Math.sqrt(3 / 16) + 1e-6;
      const expected = [0.625 / sd, -0.375 / sd, -0.125 / sd, -0.125 / sd, 0, 0, 0, 0];
      for (const make of Object.values(LIKE_GRPO)) expect(of(make({}))).toEqual(expected);
      expect(of(r2vpo())).toEqual(expected);
      expect(of(drGrpo({ horizon: 8 }))).toEqual([0.625, -0.375, -0.125, -0.125, 0, 0, 0, 0]);
    });

    test('rloo: less the mean of the others', () => {
      const expected = [1 - 0.5 / 3, -1.5 / 3, 0.25 - 1.25 / 3, 0.25 - 1.25 / 3, 0, 0, 0, 0];
      of(rloo()).forEach((value, m) => {
        expect(value).toBeCloseTo(expected[m], 15);
      });
      expect(of(rloo({ singleton: 'raw' }))[4]).toBe(0.75);
    });

    test('opo: the mean weighed by length', () => {
      // (1 * 1 + 2 * 0 + 3 / 4 + 2 / 4) / 8 = 9/32.
      expect(of(opo())).toEqual([1 - 9 / 32, -9 / 32, -1 / 32, -1 / 32, 0, 0, 0, 0]);
      expect(of(opo({ singleton: 'raw' }))[4]).toBe(0.75);
    });

    test('remax', () => {
      const baseline = [0.5, 0.5, 0.5, 0.5, 0.25, 0, 0, 1];
      const expected = [0.5, -0.5, -0.25, -0.25, 0.5, 0.1, 0.1, 0.1 - 1];
      expect(of(remax(), { baseline })).toEqual(expected);
    });

    test('g2rpo: normal quantiles of the ranks', () => {
      // Ranks 4, 1, 2.5, 2.5 of 4: Φ⁻¹(7/8), Φ⁻¹(1/8), Φ⁻¹(1/2). Φ⁻¹(7/8) = 1.1503493803760079.
      const actual = of(g2rpo());
      expect(actual[0]).toBeCloseTo(1.1503493803760079, 14);
      expect(actual[1]).toBeCloseTo(-1.1503493803760079, 14);
      expect(actual.slice(2)).toEqual([0, 0, 0, 0, 0, 0]);
    });

    test('reinforcePlusPlusBaseline: whitening sees equal rewards too', () => {
      // Centred: 5/8 x 1, -3/8 x 2, -1/8 x 3, -1/8 x 2, 0 x 4 tokens: sum -3/4 of 12, mean -1/16.
      const centred = [0.625, -0.375, -0.125, -0.125, 0, 0, 0, 0];
      const lengths = [1, 2, 3, 2, 1, 1, 1, 1];
      const variance = centred.reduce((sum, value, m) => sum + lengths[m] * (value + 1 / 16) ** 2, 0) / 11;
      of(reinforcePlusPlusBaseline()).forEach((value, m) => {
        expect(value).toBeCloseTo((centred[m] + 1 / 16) / Math.sqrt(variance + 1e-8), 13);
      });
    });
  });
});
