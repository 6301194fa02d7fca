/** Losses that no preset has, composed from one as docs/coming-from-trl-and-verl.md says, against verl and TRL (test/golden/releases). */
import { describe, expect, test } from 'vitest';
import {
  type Device,
  dapo,
  drGrpo,
  type Estimator,
  estimator,
  grpo,
  gspo,
  policyLossSync,
  segmentTurns,
} from '../../lib/index.js';
import { DEVICES } from '../support/backends.js';
import { deviation } from '../support/numbers.js';
import { expectLoss, loadRelease, lossBatch, type Release } from './release.js';

const VERL = loadRelease('verl-losses');
const TRL = loadRelease('trl-losses');
const WIDE = [0.2, 0.28] as const;
const trl = { compat: 'trl', clip: WIDE } as const;

type Weight = NonNullable<Parameters<typeof estimator>[0]['weights']>[number];

/** Gradients come back in float32, of which this is half a unit in the last place. */
const FLOAT32 = 6e-8;

const float32 = (release: Release, name: string) => Float32Array.from(release.tokens(name));
const options = (release: Release, name: string) =>
  (release.cases[name] as unknown as { options: Record<string, unknown> }).options;

/** -A logProb without a ratio. */
const REINFORCE = { kind: 'detached', low: 0, high: 0 } as const;

const K3 = { coef: 0.04, estimator: 'k3', logRatioClamp: null } as const;

/** The loss tokens that weights keep, from a call in which nothing else makes a gradient 0. */
function keptBy(weights: readonly Weight[], logProbs: object, release: Release, name: string, device: Device) {
  const stages = estimator({
    ...grpo({ compat: 'verl' }),
    name: 'kept',
    gate: { kind: 'none' },
    weights,
    aggregate: 'token-sum',
  });
  const batch = lossBatch(release, name, { advantages: release.tokens('advantages').fill(-1), ...logProbs });
  return Uint8Array.from(policyLossSync(batch, stages, { device }).grad.logProbs, (value) => (value === 0 ? 0 : 1));
}

/** Tokens that verl takes out of the response mask are no loss tokens: so its denominators. */
function onlyOn(actionMask: Uint8Array, { trajectoryOffsets, turnIds }: Release) {
  return { actionMask, turns: segmentTurns({ trajectoryOffsets, turnIds, actionMask }, { device: 'reference' }) };
}

describe.each(DEVICES)('%s', (device) => {
  describe('TRL', () => {
    describe.each([
      ['token_truncate', { level: 'token', mode: 'truncate', high: 1.3 }],
      ['token_mask', { level: 'token', mode: 'mask', low: 0.6, high: 1.6 }],
      ['sequence_truncate', { level: 'sequence', reduce: 'sum', mode: 'truncate', low: 0.5, high: 2 }],
      ['sequence_mask', { level: 'sequence', reduce: 'sum', mode: 'mask', high: 3 }],
    ] as const)('vllm_importance_sampling_mode %s', (mode, bounds) => {
      // vespo.is.*: TRL multiplies VESPO's W by the weight, token by token, inside its exponents. A weight here multiplies the loss: no stage.
      test('dapo', () => {
        const weights = [{ kind: 'importance', ...bounds }] as const;
        const more = { rolloutLogProbs: float32(TRL, 'roll') };
        expectLoss([TRL, `dapo.is.${mode}`], dapo({ compat: 'trl', weights }), device, { more });
      });
    });

    test('the sampler correction with the ratio of the sequence', () => {
      const weights = [
        { kind: 'importance', level: 'sequence', reduce: 'sum', mode: 'mask', low: 0.5, high: 2 },
      ] as const;
      const composed = gspo({ ...trl, weights, aggregate: 'token-mean' });
      const more = { rolloutLogProbs: float32(TRL, 'roll') };
      expectLoss([TRL, 'dapo.sequence.is.sequence_mask'], composed, device, { more });
    });

    test('the sampler correction leaves the KL term alone', () => {
      const weights = [{ kind: 'importance', level: 'token', mode: 'truncate', high: 1.3 }] as const;
      const more = { rolloutLogProbs: float32(TRL, 'roll'), refLogProbs: float32(TRL, 'ref') };
      expectLoss([TRL, 'dapo.is.kl'], dapo({ compat: 'trl', weights, kl: K3 }), device, { more });
    });

    test('beta with the ratio of the sequence; its correction by that ratio is refused', () => {
      const composed = { ...trl, aggregate: 'token-mean' } as const;
      const more = { refLogProbs: float32(TRL, 'ref') };
      expectLoss([TRL, 'dapo.sequence.kl'], gspo({ ...composed, kl: K3 }), device, { more });
      // dapo.sequence.kl-corrected: ratioCorrection is of token ratios.
      expect(() => gspo({ ...composed, kl: { ...K3, ratioCorrection: true } })).toThrow(/ratioCorrection/);
    });

    test('use_bias_correction_kl takes the ratio before delta', () => {
      const composed = dapo({ compat: 'trl', dual: 1.5, kl: { ...K3, ratioCorrection: true } });
      const more = { refLogProbs: float32(TRL, 'ref') };
      expectLoss([TRL, 'dapo.kl-corrected.delta'], composed, device, { more });
    });

    test('the off-policy mask leaves the KL term alone', () => {
      const weights = [{ kind: 'off-policy-mask', threshold: 0.02 }] as const;
      const more = { refLogProbs: float32(TRL, 'ref') };
      expectLoss([TRL, 'dapo.opsm.kl'], dapo({ compat: 'trl', weights, kl: K3 }), device, { more });
    });

    // The stage measures against the ratio's denominator; TRL keeps the ratio to `old` and measures against the sampler.
    test('the off-policy mask against the sampler: a mask of its own call, given', () => {
      const weights = [{ kind: 'off-policy-mask', threshold: 0.02 }] as const;
      const measured = { ...dapo({ compat: 'trl', weights }), gate: { kind: 'none' }, name: 'kept' } as const;
      const composed = estimator({ ...measured, ratio: { level: 'token', denominator: 'rollout' } });
      const { oldLogProbs: _, ...batch } = lossBatch(TRL, 'dapo.opsm-roll', { rolloutLogProbs: float32(TRL, 'roll') });
      const { grad, metrics } = policyLossSync(batch, composed, { device });
      expect(metrics.maskedFraction).toBeGreaterThan(0);
      const tokenWeights = Float64Array.from(grad.logProbs, (value) => (value === 0 ? 0 : 1));
      const given = dapo({ compat: 'trl', weights: [{ kind: 'given' }] });
      expectLoss([TRL, 'dapo.opsm-roll'], given, device, { more: { tokenWeights } });
    });

    test('top_entropy_quantile as weights of 0 and 1', () => {
      const entropies = TRL.tokens('entropies');
      const sorted = Array.from(entropies)
        .filter((_, n) => TRL.actionMask[n] === 1)
        .sort((a, b) => a - b);
      // torch.quantile(1 - 0.4) interpolates between two of them; what is not below it stays.
      const least = sorted[Math.ceil((sorted.length - 1) * (1 - 0.4))];
      const tokenWeights = entropies.map((value) => (value >= least ? 1 : 0));
      const composed = dapo({ compat: 'trl', weights: [{ kind: 'given' }] });
      expectLoss([TRL, 'dapo.entropy-mask'], composed, device, { more: { tokenWeights } });
    });

    /** Logits [s, 0, ... 0] of the given entropies: the vectors draw entropies and log-probs apart, and no logits have both. */
    function logitsOf(entropies: Float64Array, width: number): Float32Array {
      const entropyAt = (s: number) => {
        const sum = Math.exp(s) + width - 1;
        return Math.log(sum) - (s * Math.exp(s)) / sum;
      };
      const rows = Array.from(entropies, (entropy) => {
        let [low, high] = [0, 40];
        for (let i = 0; i < 60; i++) {
          const middle = (low + high) / 2;
          if (entropyAt(middle) > entropy) low = middle;
          else high = middle;
        }
        return [low, ...new Array(width - 1).fill(0)];
      });
      return Float32Array.from(rows.flat());
    }

    // So the two parts of the release's loss one after another: the policy term is that of dapo.token, the bonus that of logits with these entropies.
    // grpo.entropy-bonus: its bonus is the mean over tokens too, beside terms that are averaged per trajectory; here it needs aggregate token-mean.
    test.each(['dapo.entropy-bonus', 'grpo.entropy-bonus'])('%s: the bonus is a mean over tokens', (name) => {
      const { loss, metrics: release } = TRL.cases[name] as unknown as {
        loss: number;
        metrics: Record<string, number>;
      };
      const logits = logitsOf(TRL.tokens('entropies'), 16);
      const targets = new Int32Array(TRL.actionMask.length);
      const { oldLogProbs, turns, trajectoryOffsets, actionMask } = lossBatch(TRL, name);
      const advantages = TRL.tokens('rowAdvantage');
      const layout = { turns, trajectoryOffsets, actionMask, advantages, advantageLevel: 'token' } as const;
      const composed = dapo({ compat: 'trl', entropy: { coef: 0.01 } });
      const { metrics } = policyLossSync({ ...layout, logits, targets, oldLogProbs }, composed, { device });
      // Entropies of float32 logits: 1e-7 of each.
      const bonus = metrics.entropyNumerator / metrics.lossDenominator;
      expect(Math.abs(bonus / (loss - release.policy_loss) - 1)).toBeLessThan(5e-7);
      expect(Math.abs((metrics.entropy ?? 0) / release.entropy - 1)).toBeLessThan(5e-7);
    });

    test.each([
      ['dapo.entropy-bonus', dapo({ compat: 'trl' })],
      ['grpo.entropy-bonus', grpo(trl)],
    ] as const)('%s: the policy term and its gradient', (name, composed) => {
      const found = TRL.cases[name] as unknown as { dLogProbs: number[][]; metrics: Record<string, number> };
      const { loss, grad } = policyLossSync(lossBatch(TRL, name), composed, { device });
      expect(Math.abs(loss - found.metrics.policy_loss)).toBeLessThan(1e-12);
      expect(deviation(grad.logProbs, Float64Array.from(found.dLogProbs.flat()))).toBeLessThan(FLOAT32);
    });

    describe('importance_sampling_level "sequence"', () => {
      test.each([
        ['bnpo.sequence', 'token-mean'],
        ['dapo.sequence', 'token-mean'],
        ['dr_grpo.sequence', { kind: 'seq-mean-token-sum-norm', horizon: 32 }],
      ] as const)('%s', (name, aggregate) => expectLoss([TRL, name], gspo({ ...trl, aggregate }), device));

      test('grpo.sequence.delta', () => {
        expectLoss([TRL, 'grpo.sequence.delta'], gspo({ ...trl, clip: [0.2, 1.1 - 1], dual: 1.28 }), device);
      });
    });

    test('advantages per token', () => expectLoss([TRL, 'dapo.token-advantages'], dapo({ compat: 'trl' }), device));

    // TRL cuts the ratio of the unclipped branch, of either sign: below 1 + epsilon_high delta bounds A > 0, and 1 + epsilon_high A < 0.
    test('a delta inside the clip range is the upper clip, and the upper clip the dual one', () => {
      const composed = dapo({ compat: 'trl', clip: [0.2, 1.1 - 1], dual: 1.28 });
      expectLoss([TRL, 'dapo.delta-below-clip'], composed, device);
    });
  });

  describe('verl bypass mode: the sampler is what is compared with', () => {
    const sampled = (name: string) => ({
      oldLogProbs: undefined,
      rolloutLogProbs: float32(VERL, VERL.cases[name].old),
    });
    const clipped = estimator({
      ...grpo({ compat: 'verl', clip: WIDE }),
      name: 'bypass',
      ratio: { level: 'token', denominator: 'rollout' },
    });
    /** Weights and rejection compare the current policy: it stands in oldLogProbs, the sampler in rolloutLogProbs. */
    const current = (name: string) => ({
      oldLogProbs: float32(VERL, VERL.cases[name].logProbs),
      rolloutLogProbs: float32(VERL, VERL.cases[name].old),
    });
    const reinforce = (weights: readonly Weight[]): Estimator =>
      estimator({ ...grpo({ compat: 'verl' }), name: 'bypass', gate: REINFORCE, weights });

    test('ppo_clip ignores rollout_is', () => {
      const name = 'bypass.ppo_clip.is-sequence-2.0';
      expectLoss([VERL, name], clipped, device, { more: sampled(name) });
    });

    test('ppo_clip with rejection: the tokens that it keeps are the loss tokens', () => {
      const name = 'bypass.ppo_clip.rs-seq_mean_k1-0.9_1.15';
      const bounds = { low: Math.log(0.9), high: Math.log(1.15) };
      const weights = [{ kind: 'reject', level: 'sequence', reduce: 'mean', divergence: 'k1', ...bounds }] as const;
      const kept = onlyOn(keptBy(weights, current(name), VERL, name, device), VERL);
      expectLoss([VERL, name], clipped, device, { more: { ...sampled(name), ...kept } });
    });

    test('reinforce, the gate detached on the ratio of the sequence', () => {
      const name = 'bypass.reinforce.is-sequence-2.0';
      const composed = estimator({
        ...grpo({ compat: 'verl' }),
        name: 'bypass',
        gate: { kind: 'detached', low: null, high: 1 },
        ratio: { level: 'sequence', form: 'straight-through', reduce: 'sum', denominator: 'rollout' },
      });
      expectLoss([VERL, name], composed, device, { more: sampled(name) });
    });

    test.each([
      [
        'bypass.reinforce.is-sequence-2.0',
        { kind: 'importance', level: 'sequence', reduce: 'sum', mode: 'truncate', high: 2 },
      ],
      ['bypass.reinforce.is-token-0.7_1.6', { kind: 'importance', level: 'token', mode: 'mask', low: 0.7, high: 1.6 }],
    ] as const)('%s, as a weight', (name, weight) => {
      expectLoss([VERL, name], reinforce([weight]), device, { more: current(name) });
    });

    test.each([
      [
        'bypass.reinforce.is-token-1.2.rs-token_k1-0.6_1.6',
        { kind: 'reject', level: 'token', divergence: 'k1', low: Math.log(0.6), high: Math.log(1.6) },
      ],
      [
        'bypass.reinforce.is-token-1.2.rs-seq_max_k3-0.5',
        { kind: 'reject', level: 'sequence', reduce: 'max', divergence: 'k3', high: 0.5 },
      ],
    ] as const)('%s', (name, rejection) => {
      const weights = [{ kind: 'importance', level: 'token', mode: 'truncate', high: 1.2 }] as const;
      const kept = onlyOn(keptBy([rejection], current(name), VERL, name, device), VERL);
      expectLoss([VERL, name], reinforce(weights), device, { more: { ...current(name), ...kept } });
    });
  });

  describe('verl', () => {
    test.each(['dro.beta0.1', 'dro.beta1.0'])('%s: quadratic of the log-ratio', (name) => {
      const { dro_beta: coef } = options(VERL, name).policy_loss as { dro_beta: number };
      const gate = { kind: 'quadratic', coef, of: 'log-ratio' } as const;
      expectLoss([VERL, name], estimator({ ...grpo({ compat: 'verl' }), name: 'dro', gate }), device);
    });

    test('reinforce, and gpg and cispo with weights', () => {
      const reinforce = estimator({
        ...grpo({ compat: 'verl' }),
        name: 'reinforce',
        gate: REINFORCE,
        aggregate: 'seq-mean-token-sum',
      });
      expectLoss([VERL, 'reinforce'], reinforce, device);
      const [weights, more] = [[{ kind: 'given' }] as const, { tokenWeights: VERL.tokens('isWeights') }];
      const gpg = estimator({ ...grpo({ compat: 'verl' }), name: 'gpg', gate: REINFORCE, weights });
      expectLoss([VERL, 'gpg.weighted'], gpg, device, { more });
      const gate = { kind: 'detached', low: 0.2, high: 0.28 } as const;
      const cispo = estimator({ ...grpo({ compat: 'verl' }), name: 'cispo', gate, weights });
      expectLoss([VERL, 'cispo.weighted'], cispo, device, { more });
    });

    test('loss_scale_factor', () => {
      expectLoss([VERL, 'vanilla.sum-norm.factor'], drGrpo({ compat: 'verl', clip: WIDE, horizon: 64 }), device);
    });

    /**
     * verl's loss is -A sg(min(ratio, clip_ratio_c)) logProb on the tokens kept, the stage's -A ratio: another number with the same gradient,
     * wherever the ratio is below clip_ratio_c.
     */
    describe.each([
      'dppo-tv.lp',
      'dppo-kl.lp',
      'dppo-tv.wide',
      'dppo-kl.wide',
      'dppo-tv.far',
      'dppo-kl.far',
      'dppo-tv.cap',
    ])('%s', (name) => {
      const given = options(VERL, name) as Record<'clip_ratio_low' | 'clip_ratio_high' | 'clip_ratio_c', number>;
      const found = VERL.cases[name];
      const expected = Float64Array.from(found.dLogProbs.flat());
      const [logProbs, old] = [VERL.tokens(found.logProbs), VERL.tokens(found.old)];
      const ratios = logProbs.map((value, n) => Math.exp(value - old[n]));
      const cut = given.clip_ratio_c ?? 3;
      const dppo = (more: object = {}): Estimator =>
        estimator({
          ...grpo({ compat: 'verl' }),
          name: 'dppo',
          gate: {
            kind: 'mask',
            measure: name.startsWith('dppo-tv') ? 'probability' : 'bernoulli-kl',
            low: given.clip_ratio_low,
            high: given.clip_ratio_high,
          },
          ...more,
        });
      const gradientOf = (composed: Estimator, more: object = {}) =>
        policyLossSync(lossBatch(VERL, name, more), composed, { device }).grad.logProbs;
      // verl clamps log-ratios at ±20 without stopping the gradient, e^-20 of the advantage's; the stage stops it.
      const scale = Math.max(...expected.map(Math.abs));
      const close = (actual: number, value: number) =>
        expect(Math.abs(actual - value)).toBeLessThanOrEqual(FLOAT32 * Math.abs(value) + 2.1e-9 * scale);

      test('the gradient where the ratio is below the cut', () => {
        gradientOf(dppo()).forEach((value, n) => {
          if (ratios[n] <= cut) close(value, expected[n]);
        });
      });

      test('the whole gradient, with the cut as a weight', () => {
        const tokenWeights = ratios.map((ratio) => Math.min(1, cut / ratio));
        const ratio = { level: 'token', clamp: { low: null, high: null } } as const;
        const composed = dppo({ weights: [{ kind: 'given' }], ratio });
        gradientOf(composed, { tokenWeights }).forEach((value, n) => {
          close(value, expected[n]);
        });
      });
    });
  });
});
