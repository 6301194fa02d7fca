/** Weights, KL kinds and entropy as stages, against what verl and TRL return (test/golden/releases): one stage at a time. */
import { describe, expect, test } from 'vitest';
import { type Device, estimator, gatherLogProbsSync, grpo, policyLossSync, segmentTurns } from '../../lib/index.js';
import { ENTROPY_RELATIVE } from '../cases/gather.js';
import { DEVICES } from '../support/backends.js';
import { deviation } from '../support/numbers.js';
import { loadRelease, type Release } from './release.js';

const ROLLOUT = loadRelease('verl-rollout-correction');
const VLLM = loadRelease('trl-vllm-correction');
const KL = loadRelease('verl-kl-value-entropy');

type Weights = NonNullable<Parameters<typeof estimator>[0]['weights']>;
type KlTerm = NonNullable<Parameters<typeof estimator>[0]['kl']>;
type Matrix = readonly (readonly number[])[];

/** Gradients come back in float32, of which this is half a unit in the last place. */
const FLOAT32 = 6e-8;

/** Fields of a case besides those of a loss. */
function caseOf(release: Release, name: string) {
  return release.cases[name] as unknown as Record<'weights' | 'keptMask' | 'ratio' | 'value' | 'grad', Matrix> & {
    options: Record<string, unknown>;
    old?: string;
    roll?: string;
  };
}

function layoutOf({ trajectoryOffsets, turnIds, actionMask }: Release) {
  const turns = segmentTurns({ trajectoryOffsets, turnIds, actionMask }, { device: 'reference' });
  return { trajectoryOffsets, actionMask, turns };
}

/** With ratio 1, advantage -1 and token-sum the gradient of a token is the product of its weights, and the loss their sum. */
function factorsOf(release: Release, name: string, weights: Weights, device: Device) {
  const { old = 'old', roll = 'roll' } = caseOf(release, name);
  const oldLogProbs = Float32Array.from(release.tokens(old));
  const stages = estimator({ ...grpo(), name: 'weights', gate: { kind: 'none' }, weights, aggregate: 'token-sum' });
  const batch = {
    logProbs: oldLogProbs,
    oldLogProbs,
    rolloutLogProbs: Float32Array.from(release.tokens(roll)),
    advantages: new Float64Array(oldLogProbs.length).fill(-1),
    advantageLevel: 'token' as const,
    ...layoutOf(release),
  };
  const { loss, grad, metrics } = policyLossSync(batch, stages, { device });
  return { sum: loss, factors: grad.logProbs, metrics };
}

const importance = (level: 'token' | 'sequence', bounds: { mode: 'truncate' | 'mask'; low?: number; high?: number }) =>
  level === 'token'
    ? ({ kind: 'importance', level, ...bounds } as const)
    : ({ kind: 'importance', level, reduce: 'sum', ...bounds } as const);

/** verl's rollout_is and rollout_is_threshold: one number truncates, "low_high" masks. */
function verlImportance({ rollout_is, rollout_is_threshold: threshold }: Record<string, unknown>) {
  const level = rollout_is as 'token' | 'sequence';
  if (typeof threshold === 'number') return importance(level, { mode: 'truncate', high: threshold });
  const [low, high] = String(threshold).split('_').map(Number);
  return importance(level, { mode: 'mask', low, high });
}

/** verl's rollout_rs and rollout_rs_threshold: bounds of k1 are of the ratio, one number u stands for 1/u .. u. */
function verlRejection({ rollout_rs, rollout_rs_threshold }: Record<string, unknown>): Weights {
  const thresholds = String(rollout_rs_threshold).split(',');
  return String(rollout_rs)
    .split(',')
    .map((mode, i) => {
      const divergence = mode.slice(-2) as 'k1' | 'k2' | 'k3';
      const given = thresholds[i].split('_').map(Number);
      const [lower, upper] = given.length === 2 ? given : [1 / given[0], given[0]];
      const bounds = divergence === 'k1' ? { low: Math.log(lower), high: Math.log(upper) } : { high: given[0] };
      if (mode.startsWith('token_')) return { kind: 'reject', level: 'token', divergence, ...bounds };
      const reduce = mode.split('_')[1] as 'sum' | 'mean' | 'max';
      return { kind: 'reject', level: 'sequence', reduce, divergence, ...bounds };
    });
}

function expectFactors(actual: ReturnType<typeof factorsOf>, expected: Float64Array, tolerance = FLOAT32): void {
  const sum = expected.reduce((total, value) => total + value, 0);
  expect(Math.abs(actual.sum - sum) / Math.max(sum, 1)).toBeLessThan(1e-12);
  actual.factors.forEach((value, n) => {
    expect(Math.abs(value - expected[n]), `weight[${n}] ${value}, ${expected[n]}`).toBeLessThanOrEqual(
      tolerance * expected[n],
    );
  });
}

const namesOf = (release: Release, prefix: string) =>
  Object.keys(release.cases).filter((name) => name.startsWith(prefix));
const IS = namesOf(ROLLOUT, 'is.');
const NORMALISED = IS.filter((name) => name.endsWith('.normalised'));

describe.each(DEVICES)('%s', (device) => {
  describe('verl rollout correction', () => {
    test.each(IS.filter((name) => !NORMALISED.includes(name)))('%s', (name) => {
      const { options, weights } = caseOf(ROLLOUT, name);
      const actual = factorsOf(ROLLOUT, name, [verlImportance(options)], device);
      expectFactors(actual, Float64Array.from(weights.flat()));
    });

    // No stage of the batch: the caller divides by the mean of the weights, over tokens or over trajectories, and gives them.
    test.each(NORMALISED)('%s, from the weights of a first call', (name) => {
      const { options, weights } = caseOf(ROLLOUT, name);
      const { factors, metrics } = factorsOf(ROLLOUT, name, [verlImportance(options)], device);
      const width = ROLLOUT.trajectoryOffsets[1];
      const first = Array.from(ROLLOUT.trajectoryOffsets.slice(0, -1), (start) =>
        ROLLOUT.actionMask.indexOf(1, start) < start + width ? factors[ROLLOUT.actionMask.indexOf(1, start)] : 0,
      );
      const ofRows = first.reduce((total, value) => total + value, 0) / first.length;
      const mean = options.rollout_is === 'token' ? (metrics.weights?.mean ?? Number.NaN) : ofRows;
      // The weights of the first call are float32, and so is the mean over rows.
      const expected = Float64Array.from(weights.flat());
      expect(
        deviation(
          Float64Array.from(factors, (value) => value / mean),
          expected,
        ),
      ).toBeLessThan(3 * FLOAT32);
    });

    // verl goes on with the kept mask, so its denominators shrink; turnwise's stay. What is kept is the same.
    test.each(namesOf(ROLLOUT, 'rs.'))('%s keeps the same tokens', (name) => {
      const { options, keptMask } = caseOf(ROLLOUT, name);
      const kept = keptMask.flat();
      const { factors, metrics } = factorsOf(ROLLOUT, name, verlRejection(options), device);
      expect([...factors]).toEqual(kept);
      const count = kept.reduce((total, value) => total + value, 0);
      expect(count).toBeLessThan(metrics.tokens);
      expect(metrics.maskedFraction).toBeCloseTo(1 - count / metrics.tokens, 14);
    });

    test('weights and rejection together', () => {
      const { options, weights, keptMask } = caseOf(ROLLOUT, 'is-and-rs');
      const stages = [verlImportance(options), ...verlRejection(options)];
      const kept = keptMask.flat();
      const expected = Float64Array.from(weights.flat(), (value, n) => value * kept[n]);
      expectFactors(factorsOf(ROLLOUT, 'is-and-rs', stages, device), expected);
    });
  });

  describe('TRL sampler correction', () => {
    test.each(Object.keys(VLLM.cases))('%s', (name) => {
      const { options, ratio } = caseOf(VLLM, name);
      const [level, mode] = String(options.mode).split('_') as ['token' | 'sequence', 'truncate' | 'mask'];
      const bounds = {
        ...(options.clip_min === null ? {} : { low: options.clip_min as number }),
        ...(options.clip_max === null ? {} : { high: options.clip_max as number }),
      };
      const width = VLLM.trajectoryOffsets[1];
      const expected = Float64Array.from(VLLM.actionMask, (loss, n) => {
        const row = ratio[Math.floor(n / width)];
        return loss === 1 ? row[row.length === 1 ? 0 : n % width] : 0;
      });
      expectFactors(factorsOf(VLLM, name, [importance(level, { mode, ...bounds })], device), expected);
    });
  });

  describe('verl KL kinds', () => {
    const K3 = { estimator: 'k3', logRatioClamp: 20, valueClamp: 10 } as const;
    const KINDS: Record<string, KlTerm> = {
      k1: { coef: 1, estimator: 'k1' },
      k2: { coef: 1, estimator: 'k2' },
      mse: { coef: 1, estimator: 'k2' },
      k3: { coef: 1, ...K3 },
      low_var_kl: { coef: 1, ...K3 },
      abs: { coef: 1, estimator: 'abs' },
      'k1+': { coef: 1, estimator: 'k1', gradient: 'k2' },
      'k2+': { coef: 1, estimator: 'k2', gradient: 'k2' },
      'k3+': { coef: 1, ...K3, gradient: 'k2' },
      'abs+': { coef: 1, estimator: 'abs', gradient: 'k2' },
    };

    test.each(namesOf(KL, 'kl.'))('%s, token by token', (name) => {
      const { options, value, grad } = caseOf(KL, name);
      const { kind, logProbs, ref } = options as Record<string, string>;
      const stages = estimator({ ...grpo(), name: 'kl', kl: KINDS[kind], aggregate: 'token-sum' });
      const current = Float32Array.from(KL.tokens(logProbs));
      const reference = Float32Array.from(KL.tokens(ref));
      const of = (from: number, to: number, { trajectoryOffsets, actionMask, turns }: ReturnType<typeof layoutOf>) =>
        policyLossSync(
          {
            logProbs: current.slice(from, to),
            oldLogProbs: current.slice(from, to),
            refLogProbs: reference.slice(from, to),
            advantages: new Float64Array(to - from),
            advantageLevel: 'token',
            trajectoryOffsets,
            actionMask,
            turns,
          },
          stages,
          { device },
        );
      const all = of(0, current.length, layoutOf(KL));
      expect(deviation(all.grad.logProbs, Float64Array.from(grad.flat()))).toBeLessThan(FLOAT32);
      const values = Float64Array.from(KL.actionMask, (loss, n) => {
        if (loss === 0) return 0;
        const one = { trajectoryOffsets: Int32Array.of(0, 1), actionMask: Uint8Array.of(1) };
        return of(n, n + 1, { ...one, turns: segmentTurns(one, { device: 'reference' }) }).loss;
      });
      value.flat().forEach((expected, n) => {
        // verl takes exp(y) - y - 1, which loses eps / (y² / 2) of k3; that is an error of the vector, 2e-16 absolute.
        expect(Math.abs(values[n] - expected)).toBeLessThanOrEqual(4e-16 * Math.max(1, Math.abs(expected)));
      });
      const sum = value.flat().reduce((total, v) => total + v, 0);
      expect(Math.abs(all.loss - sum)).toBeLessThanOrEqual(1e-13 * Math.max(1, Math.abs(sum)));
    });
  });

  describe('entropy', () => {
    test.each([
      ['entropy.token-mean', 'token-mean', 0],
      // verl adds 1e-8 to the length of a row, and these have 2 tokens.
      ['entropy.seq-mean-token-mean', 'seq-mean-token-mean', 5.1e-9],
    ] as const)('verl, %s', (name, aggregate, length) => {
      const found = KL.cases[name] as unknown as Record<'logits' | 'dLogits', number[][][]> & {
        mask: Matrix;
        entropy: Matrix;
        loss: number;
      };
      const rows = found.logits.flat();
      const actionMask = Uint8Array.from(found.mask.flat());
      const logits = Float32Array.from(rows.flat());
      const targets = new Int32Array(rows.length);
      const trajectoryOffsets = [0, found.mask[0].length, rows.length];
      const stages = estimator({ ...grpo(), name: 'bonus', entropy: { coef: 1 }, aggregate });
      const { logProbs, entropy } = gatherLogProbsSync({ logits, targets }, { device });
      expect(deviation(entropy, Float64Array.from(found.entropy.flat()))).toBeLessThan(ENTROPY_RELATIVE);
      const { loss, grad } = policyLossSync(
        {
          logits,
          targets,
          oldLogProbs: logProbs,
          trajectoryOffsets,
          actionMask,
          turns: segmentTurns({ trajectoryOffsets, actionMask }, { device: 'reference' }),
          advantages: new Float64Array(rows.length),
          advantageLevel: 'token',
        },
        stages,
        { device },
      );
      // The bonus lowers the loss.
      expect(Math.abs(loss + found.loss) / found.loss).toBeLessThan(ENTROPY_RELATIVE + length);
      const bonus = Float64Array.from(found.dLogits.flat(2), (value) => -value);
      expect(deviation(grad.logits, bonus)).toBeLessThan(2 * FLOAT32 + length);
    });
  });
});
