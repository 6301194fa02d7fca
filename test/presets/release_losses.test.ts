/** Losses and gradients of presets in `compat` against what verl and TRL return (test/golden/releases). */
import { describe, expect, test } from 'vitest';
import {
  cispo,
  dapo,
  drGrpo,
  type Estimator,
  gdpo,
  gmpo,
  grpo,
  gspo,
  gspoToken,
  luspo,
  opo,
  policyLossSync,
  ppo,
  reinforcePlusPlus,
  reinforcePlusPlusBaseline,
  remax,
  rloo,
  sapo,
  vespo,
} from '../../lib/index.js';
import { DEVICES } from '../support/backends.js';
import { expectLoss, loadRelease } from './release.js';

const VERL = loadRelease('verl-losses');
const TRL = loadRelease('trl-losses');
const WIDE = [0.2, 0.28] as const;

/** verl adds 1e-8 to a trajectory's length, and the shortest has 1 token: 1e-8 of it. */
const LENGTH = 1.1e-8;
/** The same inside an exponent that is divided by the length (GMPO), where log-ratios are below 30. */
const LENGTH_IN_EXPONENT = 3e-7;

const verl = { compat: 'verl', clip: WIDE } as const;
const trl = { compat: 'trl', clip: WIDE } as const;

/** Methods whose loss in verl is compute_policy_loss_vanilla, dual clip 3, token-mean. */
const VANILLA: Record<string, Estimator> = {
  grpo: grpo(verl),
  rloo: rloo(verl),
  opo: opo(verl),
  remax: remax(verl),
  reinforcePlusPlus: reinforcePlusPlus(verl),
  reinforcePlusPlusBaseline: reinforcePlusPlusBaseline(verl),
  gdpo: gdpo({ ...verl, rewards: { accuracy: 1 } }),
  ppo: ppo(verl),
};

describe.each(DEVICES)('%s', (device) => {
  describe('verl', () => {
    describe.each(Object.entries(VANILLA))('%s', (_, estimator) => {
      test.each(['vanilla.lp', 'vanilla.wide', 'vanilla.far'])('%s', (name) => {
        expectLoss([VERL, name], estimator, device);
      });
    });

    test.each([
      ['vanilla.token-sum', 'token-sum', 1e-12],
      ['vanilla.seq-mean-token-sum', 'seq-mean-token-sum', 1e-12],
      ['vanilla.seq-mean-token-mean', 'seq-mean-token-mean', LENGTH],
    ] as const)('grpo, %s', (name, aggregate, tolerance) => {
      expectLoss([VERL, name], grpo({ ...verl, aggregate }), device, { tolerance });
    });

    test('grpo with weights of its own', () => {
      const tokenWeights = VERL.tokens('isWeights');
      expectLoss([VERL, 'vanilla.weighted'], grpo({ ...verl, weights: [{ kind: 'given' }] }), device, {
        more: { tokenWeights },
      });
    });

    test('drGrpo: the horizon is the padded width, or loss_scale_factor', () => {
      expectLoss([VERL, 'vanilla.seq-mean-token-sum-norm'], drGrpo({ ...verl, horizon: 22 }), device);
    });

    test('dapo: dual clip 10', () => {
      expectLoss([VERL, 'vanilla.dual10.far'], dapo({ compat: 'verl' }), device);
    });

    describe.each([
      ['gspo', gspo],
      ['gspoToken', gspoToken],
    ] as const)('%s', (_, make) => {
      test('its own clip', () =>
        expectLoss([VERL, 'gspo.lp'], make({ compat: 'verl' }), device, { tolerance: LENGTH }));
      test.each(['gspo.wide', 'gspo.far'])('%s', (name) => {
        expectLoss([VERL, name], make(verl), device, { tolerance: LENGTH });
      });
      test('weights', () => {
        const more = { tokenWeights: VERL.tokens('isWeights') };
        const estimator = make({ ...verl, weights: [{ kind: 'given' }] });
        expectLoss([VERL, 'gspo.weighted'], estimator, device, { tolerance: LENGTH, more });
      });
    });

    test.each(['sapo.lp', 'sapo.wide', 'sapo.far'])('%s', (name) => {
      expectLoss([VERL, name], sapo({ compat: 'verl' }), device, { tolerance: LENGTH });
    });

    test('sapo of other temperatures', () => {
      const estimator = sapo({ compat: 'verl', temperature: { positive: 2, negative: 1.5 } });
      expectLoss([VERL, 'sapo.tau2'], estimator, device, { tolerance: LENGTH });
    });

    test.each(['geo-mean.lp', 'geo-mean.wide', 'geo-mean.far', 'geo-mean.token-advantages'])('gmpo, %s', (name) => {
      expectLoss([VERL, name], gmpo({ compat: 'verl' }), device, { tolerance: LENGTH_IN_EXPONENT });
    });

    test.each(['cispo.lp', 'cispo.wide', 'cispo.far'])('%s: both sides', (name) => {
      expectLoss([VERL, name], cispo({ compat: 'verl', high: 0.28 }), device);
    });

    test('reinforce: rloo, opo and remax without a clip', () => {
      for (const estimator of [rloo(), opo(), remax()])
        expectLoss([VERL, 'gpg'], { ...estimator, aggregate: 'token-mean' }, device);
    });
  });

  describe('TRL', () => {
    test('grpo: loss_type "grpo", and "bnpo" as token-mean', () => {
      expectLoss([TRL, 'grpo.token'], grpo(trl), device);
      expectLoss([TRL, 'bnpo.token'], grpo({ ...trl, aggregate: 'token-mean' }), device);
    });

    test('drGrpo: loss_type "dr_grpo"', () => {
      expectLoss([TRL, 'dr_grpo.token'], drGrpo({ ...trl, horizon: 32 }), device);
    });

    test('dapo, and its delta as dual clip', () => {
      expectLoss([TRL, 'dapo.token'], dapo({ compat: 'trl' }), device);
      expectLoss([TRL, 'dapo.delta'], dapo({ compat: 'trl', dual: 1.5 }), device);
    });

    test('dapo with KL, and with its correction by the ratio', () => {
      const more = { refLogProbs: Float32Array.from(TRL.tokens('ref')) };
      const kl = { coef: 0.04, estimator: 'k3', logRatioClamp: null } as const;
      expectLoss([TRL, 'dapo.token.kl'], dapo({ compat: 'trl', kl }), device, { more });
      const corrected = dapo({ compat: 'trl', kl: { ...kl, ratioCorrection: true } });
      expectLoss([TRL, 'dapo.token.kl-corrected'], corrected, device, { more });
    });

    test('grpo and dapo with the off-policy mask', () => {
      const weights = [{ kind: 'off-policy-mask', threshold: 0.02 }] as const;
      expectLoss([TRL, 'grpo.opsm'], grpo({ ...trl, weights }), device);
      expectLoss([TRL, 'dapo.opsm'], dapo({ compat: 'trl', weights }), device);
    });

    test('gspo: the true sequence ratio', () => {
      expectLoss([TRL, 'grpo.sequence'], gspo(trl), device);
      expectLoss([TRL, 'grpo.sequence.near'], gspo({ compat: 'trl' }), device);
    });

    test('gspoToken has the same gradient where advantages are constant in a trajectory', () => {
      expectLoss([TRL, 'grpo.sequence.near'], gspoToken({ compat: 'trl' }), device);
    });

    test('luspo', () => expectLoss([TRL, 'luspo.sequence'], luspo({ compat: 'trl' }), device));

    test('cispo: the upper side alone, epsilon_high 1.5 is the bound', () => {
      expectLoss([TRL, 'cispo.token'], cispo({ compat: 'trl', high: 0.5 }), device);
    });

    test('sapo', () => expectLoss([TRL, 'sapo.token'], sapo({ compat: 'trl' }), device));

    test.each(['vespo.token', 'vespo.sequence', 'vespo.near'])('%s', (name) => {
      expectLoss([TRL, name], vespo({ compat: 'trl' }), device);
    });

    test('rloo: the ratio of the whole trajectory', () => {
      // One trajectory of two tokens, log-ratios 1/8 and 1/32: ratio e^(5/32) = 1.169118, below 1.2; f = -A ratio, and that for each token.
      const batch = {
        logProbs: Float32Array.of(-0.5, -0.75),
        oldLogProbs: Float32Array.of(-0.625, -0.78125),
        trajectoryOffsets: [0, 2],
        advantages: [2],
        advantageLevel: 'turn' as const,
      };
      const { loss, grad } = policyLossSync(batch, rloo({ compat: 'trl' }), { device });
      const ratio = Math.exp(0.125 + 0.03125);
      expect(loss).toBeCloseTo(-2 * ratio, 13);
      expect([...grad.logProbs]).toEqual([Math.fround(-2 * ratio), Math.fround(-2 * ratio)]);
    });
  });

  test('no clamp in TRL: a token of log-ratio 25', () => {
    const batch = {
      logProbs: Float32Array.of(-1),
      oldLogProbs: Float32Array.of(-26),
      trajectoryOffsets: [0, 1],
      advantages: [-1],
      advantageLevel: 'turn' as const,
    };
    for (const make of [grpo, dapo, gspo] as const) {
      const { loss, metrics } = policyLossSync(batch, make({ compat: 'trl' }), { device });
      expect(loss / Math.exp(25)).toBeCloseTo(1, 12);
      expect(metrics.clampedLogRatios).toBe(0);
    }
    const clamped = policyLossSync(batch, dapo({ compat: 'verl', dual: null }), { device });
    expect(clamped.loss / Math.exp(20)).toBeCloseTo(1, 12);
    expect([...clamped.grad.logProbs]).toEqual([0]);
  });
});
