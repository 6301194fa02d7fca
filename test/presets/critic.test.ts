/** Presets with a critic: verl's GAE, rlax's GAE with a value behind a truncated end, and numbers worked out by hand. */
import { describe, expect, test } from 'vitest';
import { estimateAdvantages, policyLossSync, ppo, segmentTurns, stPpo, tPpo, turnPpo } from '../../lib/index.js';
import { GOLDEN_SEEDS, loadGolden } from '../golden/load.js';
import { DEVICES } from '../support/backends.js';
import { deviation } from '../support/numbers.js';
import { creditOf, expectAdvantages, expectedAdvantages, loadRelease, perToken } from './release.js';

const VERL = loadRelease('verl-advantages');
const RLAX = loadRelease('vtrace-gae-truncated');
/** verl's masked_whiten divides sums by tokens + 1e-8, of 70 tokens and more. */
const WHITENED = 5e-10;

describe.each(DEVICES)('%s', (device) => {
  describe('verl', () => {
    const values = VERL.tokens('val');
    const outcome = VERL.rows('outcome');
    const tokenRewards = VERL.tokens('tokenReward');

    test('ppo: gamma and lambda 1, whitened', () => {
      expectAdvantages(
        [VERL, 'gae.outcome.gamma1.0.lam1.0'],
        { values, outcome },
        ppo({ compat: 'verl' }),
        device,
        WHITENED,
      );
      const tokens = ppo({ compat: 'verl', rewards: ['token-reward'] });
      expectAdvantages([VERL, 'gae.token-rewards.gamma1.0.lam1.0'], { values, tokenRewards }, tokens, device, WHITENED);
    });

    test('the paper’s gamma and lambda', () => {
      const name = 'gae.outcome.gamma0.99.lam0.95';
      for (const estimator of [ppo({ whiten: true }), turnPpo(), stPpo()]) {
        expectAdvantages([VERL, name], { values, outcome }, estimator, device, WHITENED);
      }
    });

    test('TRL: lambda 0.95', () => {
      expect(ppo({ compat: 'trl' }).channels[0].accumulate).toEqual({
        kind: 'gae',
        gamma: 1,
        lambda: 0.95,
        bootstrap: 'zero',
        observation: 'skip',
      });
    });

    test('tPpo where nothing is truncated is GAE', () => {
      const estimator = tPpo({ gamma: 0.99, lambda: 0.95 });
      const truncated = new Uint8Array(outcome.length);
      const signals = { values, outcome, truncated };
      expectAdvantages([VERL, 'gae.outcome.gamma0.99.lam0.95'], signals, estimator, device, WHITENED);
    });
  });

  describe('rlax: a value behind a truncated end', () => {
    const flags = RLAX.inputs.truncated as number[];
    const bootstrap = (RLAX.inputs.bootstrap as number[]).map((value, m) => (flags[m] === 1 ? value : Number.NaN));
    const signals = { values: RLAX.tokens('val'), tokenRewards: RLAX.tokens('tokenReward') };
    const rewards = ['token-reward'] as const;

    test.each([
      [1, 1],
      [1, 0.95],
      [0.99, 0.95],
    ])('gamma %d, lambda %d', (gamma, lambda) => {
      const decimals = (x: number) => (x === 1 ? '1.0' : String(x));
      const name = `gae.truncated.gamma${decimals(gamma)}.lam${decimals(lambda)}`;
      const estimator = ppo({ gamma, lambda, rewards, bootstrap: 'given' });
      expectAdvantages([RLAX, name], { ...signals, bootstrapValues: bootstrap }, estimator, device, 1e-13);
    });

    test('tPpo: that value is the last one of the trajectory', () => {
      const { actionMask, trajectoryOffsets } = RLAX;
      const last = flags.map((flag, m) => {
        const end = actionMask.lastIndexOf(1, trajectoryOffsets[m + 1] - 1);
        return flag === 1 ? signals.values[end] : Number.NaN;
      });
      const given = ppo({ gamma: 0.99, lambda: 0.95, rewards, bootstrap: 'given' });
      const expected = creditOf(RLAX, { ...signals, bootstrapValues: last }, given, device);
      const carry = tPpo({ gamma: 0.99, lambda: 0.95, rewards, whiten: false });
      const actual = creditOf(RLAX, { ...signals, truncated: Uint8Array.from(flags) }, carry, device);
      expect(actual.advantages).toEqual(expected.advantages);
      expect(
        deviation(perToken(actual, RLAX), expectedAdvantages(RLAX, 'gae.truncated.gamma0.99.lam0.95')),
      ).toBeGreaterThan(0.01);
    });
  });

  describe('by hand', () => {
    /** Two tokens; V = 0.5, 0.25; outcome 1. */
    const batch = { trajectoryOffsets: [0, 2], groups: [0], outcome: [1], values: [0.5, 0.25] };

    test('ppo, gamma 1/2 and lambda 1/2', () => {
      // δ = 0 + 0.125 - 0.5, 1 - 0.25; A = -0.375 + 0.75 / 4, 0.75.
      const credit = estimateAdvantages(batch, ppo({ gamma: 0.5, lambda: 0.5 }), { device });
      expect([...credit.advantages]).toEqual([-0.1875, 0.75]);
    });

    test('tPpo: truncated, the last value stands for what follows', () => {
      // δ of the last token: 1 + 0.25 / 2 - 0.25 = 0.875; A = -0.375 + 0.875 / 4, 0.875.
      const estimator = tPpo({ gamma: 0.5, lambda: 0.5, whiten: false });
      const of = (truncated: number) =>
        estimateAdvantages({ ...batch, truncated: Uint8Array.of(truncated) }, estimator, { device }).advantages;
      expect([...of(1)]).toEqual([-0.15625, 0.875]);
      expect([...of(0)]).toEqual([-0.1875, 0.75]);
    });

    test('ppo with the KL penalty in the reward', () => {
      // k1 = old - ref = 0.5, 0.25; coef 2: r = -1, 1 - 0.5; gamma 0: A = r - V.
      const estimator = ppo({ gamma: 0, lambda: 0, klPenalty: { coef: 2, estimator: 'k1' } });
      const logProbs = { oldLogProbs: Float32Array.of(-1, -1), refLogProbs: Float32Array.of(-1.5, -1.25) };
      expect([...estimateAdvantages({ ...batch, ...logProbs }, estimator, { device }).advantages]).toEqual([
        -1.5, 0.25,
      ]);
    });

    test('turnPpo: the gradient spreads over the turn, as the ratio does', () => {
      // One turn, log-ratios 1/8 and 0: ratio e^(1/16) = 1.0645, not clipped. A = 1, -2: L = -(1 - 2) ratio / 2, for each token ratio / 2 / 2.
      const turns = segmentTurns({ trajectoryOffsets: [0, 2], turnIds: [0, 0] }, { device });
      const input = {
        turns,
        logProbs: Float32Array.of(-1, -1),
        oldLogProbs: Float32Array.of(-1.125, -1),
        advantages: [1, -2],
        advantageLevel: 'token' as const,
      };
      const { loss, grad } = policyLossSync(input, turnPpo(), { device });
      const ratio = Math.exp(1 / 16);
      expect(loss).toBeCloseTo(ratio / 2, 14);
      expect([...grad.logProbs]).toEqual([Math.fround(ratio / 4), Math.fround(ratio / 4)]);
    });
  });

  test.each(GOLDEN_SEEDS)('the loss of turnPpo and stPpo, batch-%i', (seed) => {
    const golden = loadGolden(seed);
    const { trajectoryOffsets, turnIds, actionMask, lossAdvantages, logProbs } = golden;
    const expected = golden.losses['ppo.turn'];
    const input = {
      logProbs: logProbs.lp,
      oldLogProbs: logProbs.old,
      turns: segmentTurns({ trajectoryOffsets, turnIds, actionMask }, { device }),
      trajectoryOffsets,
      actionMask,
      advantages: lossAdvantages,
    };
    for (const make of [turnPpo, stPpo]) {
      const { loss, grad } = policyLossSync(input, make({ clip: [0.1, 0.15] }), { device });
      expect(Math.abs(loss - expected.loss)).toBeLessThan(1e-12);
      // grad is float32.
      expect(deviation(grad.logProbs, expected.dLogProbs)).toBeLessThan(6e-8);
    }
  });
});
