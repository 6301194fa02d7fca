/** grpo against numbers worked out by hand. */
import { describe, expect, test } from 'vitest';
import { estimateAdvantages, grpo, policyLossSync } from '../../lib/index.js';
import { DEVICES } from '../support/backends.js';

describe.each(DEVICES)('%s', (device) => {
  /** One trajectory of two tokens each. */
  const trajectoryOffsets = [0, 2, 4, 6, 8, 10];
  /** Prompt 5: outcomes 1, 0, 1, 0. Prompt 9: a single trajectory. */
  const batch = { trajectoryOffsets, groups: [5, 5, 9, 5, 5], outcome: [1, 0, 0.75, 1, 0] };
  const advantages = (options: Parameters<typeof grpo>[0] = {}) => [
    ...estimateAdvantages(batch, grpo(options), { device }).advantages,
  ];

  test('standardised by the sample deviation', () => {
    // Mean 1/2; sample variance 4 (1/2)² / 3 = 1/3; (1/2) / (sqrt(1/3) + 1e-6) = 0.8660239...
    const a = 0.5 / (Math.sqrt(1 / 3) + 1e-6);
    expect(advantages()).toEqual([a, -a, 0, a, -a]);
    expect(a).toBeCloseTo(0.8660239, 7);
  });

  test('TRL’s eps', () => {
    const a = 0.5 / (Math.sqrt(1 / 3) + 1e-4);
    expect(advantages({ eps: 1e-4 })).toEqual([a, -a, 0, a, -a]);
  });

  test('Dr. GRPO only centres', () => {
    expect(advantages({ scale: 'none' })).toEqual([0.5, -0.5, 0, 0.5, -0.5]);
  });

  test('a group of one keeps its raw reward where that is asked for', () => {
    expect(advantages({ scale: 'none', singleton: 'raw' })[2]).toBe(0.75);
  });

  test('equal rewards give exactly 0, also 0.1 in thirds', () => {
    for (const reward of [0.1, 0.7, 1 / 3, -0.3]) {
      const input = { trajectoryOffsets: [0, 1, 2, 3], groups: [1, 1, 1], outcome: [reward, reward, reward] };
      expect([...estimateAdvantages(input, grpo(), { device }).advantages]).toEqual([0, 0, 0]);
    }
  });

  test('an unscored trajectory is out of the group', () => {
    const input = { trajectoryOffsets: [0, 1, 2, 3], groups: [1, 1, 1], outcome: [1, Number.NaN, 0] };
    const { advantages: values, groupStats } = estimateAdvantages(input, grpo({ scale: 'none' }), { device });
    expect([...values]).toEqual([0.5, 0, -0.5]);
    expect(groupStats[0]).toEqual({
      signal: 'outcome',
      groups: 1,
      singletons: 0,
      zeroVariance: 0,
      members: 2,
      smallest: 2,
      largest: 2,
    });
  });

  test('the loss of two tokens: clip, dual clip, KL', () => {
    // Old log-probs -1; log-ratios 0 and ln 2, so rho 1 and 2. Advantage -1 for both.
    const tokens = {
      logProbs: Float32Array.of(-1, Math.fround(-1 + Math.LN2)),
      oldLogProbs: Float32Array.of(-1, -1),
      trajectoryOffsets: [0, 2],
      advantages: [-1, -1],
      advantageLevel: 'token' as const,
    };
    // f = rho: 1 and 2, over 2 tokens; df = rho.
    const plain = policyLossSync(tokens, grpo(), { device });
    expect(plain.loss).toBeCloseTo(1.5, 7);
    expect([...plain.grad.logProbs].map((g) => g.toFixed(6))).toEqual(['0.500000', '1.000000']);
    // dual 1.5: the second term is at most 1.5, and has no gradient.
    const dual = policyLossSync(tokens, grpo({ dual: 1.5 }), { device });
    expect(dual.loss).toBeCloseTo(1.25, 7);
    expect([...dual.grad.logProbs]).toEqual([0.5, 0]);
    expect(dual.metrics.clipFractionDual).toBe(0.5);
    // KL k2 with reference = old: x = 0 and ln 2; (ln 2)² / 2 over 2 tokens, gradient ln 2 / 2.
    const kl = policyLossSync(
      { ...tokens, refLogProbs: tokens.oldLogProbs },
      grpo({ kl: { coef: 1, estimator: 'k2' } }),
      { device },
    );
    expect(kl.loss - plain.loss).toBeCloseTo(Math.LN2 ** 2 / 4, 7);
    expect(kl.grad.logProbs[1] - plain.grad.logProbs[1]).toBeCloseTo(Math.LN2 / 2, 6);
  });

  test('options in the data', () => {
    expect(
      grpo({
        clip: [0.1, 0.3],
        dual: 3,
        kl: { coef: 0.04, estimator: 'k3' },
        aggregate: { kind: 'seq-mean-token-sum-norm', horizon: 512 },
      }),
    ).toMatchObject({
      name: 'grpo',
      ratio: { level: 'token' },
      gate: { low: 0.1, high: 0.3, dual: 3, adapt: null },
      kl: { coef: 0.04, estimator: 'k3', logRatioClamp: 20, valueClamp: null },
      aggregate: { kind: 'seq-mean-token-sum-norm', horizon: 512 },
    });
  });
});
