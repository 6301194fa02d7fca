/** Gradients against finite differences of a loss that is written down independently, and the ways to ask for a gradient. */
import { describe, expect, test } from 'vitest';
import { type Estimator, type EstimatorInput, estimateAdvantages, policyLossSync, Tensor } from '../lib/index.js';
import { DTYPES } from './cases/logits.js';
import { DEVICES } from './support/backends.js';
import { AGGREGATES, RATIOS, variant } from './support/estimators.js';
import { finiteDifferences, forwardLoss, logProbsOf } from './support/forward_loss.js';
import { decode, deviation, expectSameBits, halfUlp } from './support/numbers.js';
import { fromLogits, fromLogProbs, type Sample, sample, signals, withDType } from './support/sample.js';

/** Public gradients of log-probs are float32: half a ULP, and the error of the differences. */
const LOG_PROBS_TOLERANCE = 1e-7;
/** Log-probs of float32 pass through the ratio: their rounding, a few 1e-7, is a relative error of the coefficient. */
const LOGITS_TOLERANCE = 2e-6;

const batch = sample({ seed: 5, trajectories: 5, width: 7, scale: 1 });

const GATES: Record<string, Partial<EstimatorInput>> = {
  'adaptive clip': {},
  'dual clip': { gate: { kind: 'ppo', low: 0.1, high: 0.1, dual: 1.1, adapt: null } },
  'no clip in reach': { gate: { kind: 'ppo', low: 1, high: 9, dual: null, adapt: null } },
  k1: { kl: { coef: 0.3, estimator: 'k1' } },
  k2: { kl: { coef: 0.3, estimator: 'k2' } },
  k3: { kl: { coef: 0.3, estimator: 'k3', logRatioClamp: 20, valueClamp: null } },
  'k3 clamped': { kl: { coef: 0.3, estimator: 'k3', logRatioClamp: 0.4, valueClamp: 0.02 } },
  'clamped log-ratio': {},
};

function estimatorOf(ratio: keyof typeof RATIOS, gate: keyof typeof GATES, aggregate: Estimator['aggregate']) {
  const clamp = gate === 'clamped log-ratio' ? { clamp: { low: -0.05, high: 0.08 } } : {};
  return variant({ ratio: { ...RATIOS[ratio], ...clamp } as Estimator['ratio'], aggregate, ...GATES[gate] });
}

/** Loss and its differences by every log-prob, from the credit that the library assigned. */
function oracle(from: Sample, est: Estimator) {
  const credit = estimateAdvantages({ turns: from.turns, ...signals(from) }, est, { device: 'reference' });
  const at = (logProbs: Float64Array, anchor: Float64Array) =>
    forwardLoss(from, est, { logProbs, anchor, advantages: credit.advantages, clipScale: credit.clipScale });
  return { credit, at };
}

const withReference = (est: Estimator) => (est.kl ? { refLogProbs: batch.refLogProbs } : {});
const everyToken = Array.from(batch.actionMask.keys());
const everyLogit = Array.from(batch.logits.keys());

describe.each(DEVICES)('%s', (device) => {
  describe.each(Object.keys(RATIOS))('%s', (ratio) => {
    test.each(Object.keys(GATES))('log-probs: %s, every aggregate', (gate) => {
      for (const aggregate of AGGREGATES) {
        const est = estimatorOf(ratio, gate, aggregate);
        const { credit, at } = oracle(batch, est);
        const x = Float64Array.from(batch.logProbs);
        const differences = finiteDifferences((logProbs) => at(logProbs, x), x, everyToken);
        const { loss, grad } = policyLossSync({ ...fromLogProbs(batch), ...withReference(est), credit }, est, {
          device,
        });
        expect(Math.abs(loss - at(x, x)), JSON.stringify(aggregate)).toBeLessThan(1e-12);
        expect(deviation(grad.logProbs, differences), JSON.stringify(aggregate)).toBeLessThan(LOG_PROBS_TOLERANCE);
        expect(differences.some((d) => d !== 0)).toBe(true);
      }
    });

    test.each(['adaptive clip', 'dual clip', 'k3'])('logits: %s', (gate) => {
      const est = estimatorOf(ratio, gate, 'token-mean');
      const { credit, at } = oracle(batch, est);
      const temperature = 0.8;
      const x = Float64Array.from(batch.logits);
      const anchor = logProbsOf(x, batch, temperature);
      const differences = finiteDifferences((z) => at(logProbsOf(z, batch, temperature), anchor), x, everyLogit);
      const result = policyLossSync({ ...fromLogits(batch), ...withReference(est), credit }, est, {
        device,
        temperature,
      });
      expect(Math.abs(result.loss - at(anchor, anchor))).toBeLessThan(LOGITS_TOLERANCE);
      expect(deviation(result.grad.logits, differences)).toBeLessThan(LOGITS_TOLERANCE);
    });
  });

  test.each(['bf16', 'f16'] as const)('logits of %s: differences at the stored numbers, rounded once', (dtype) => {
    const est = variant({});
    const { credit, at } = oracle(batch, est);
    const input = withDType(batch, dtype);
    const x = decode(input.logits.data, dtype);
    const anchor = logProbsOf(x, batch, 1);
    const differences = finiteDifferences((z) => at(logProbsOf(z, batch, 1), anchor), x, everyLogit);
    const { grad } = policyLossSync({ ...input, credit }, est, { device });
    const written = decode((grad.logits as Tensor<'bf16'>).data, dtype);
    const most = differences.reduce((largest, d) => Math.max(largest, Math.abs(d)), 0);
    differences.forEach((d, i) => {
      expect(Math.abs(written[i] - d)).toBeLessThanOrEqual(LOGITS_TOLERANCE * most + halfUlp(d, dtype) * 1.001);
    });
  });

  test('straight-through equals the true mean where a segment has one advantage, and differs where it does not', () => {
    const of = (ratio: keyof typeof RATIOS) => {
      const est = estimatorOf(ratio, 'no clip in reach', 'token-mean');
      return policyLossSync({ ...fromLogProbs(batch), ...signals(batch) }, est, { device }).grad.logProbs;
    };
    expect(deviation(of('turn, straight-through'), of('turn, true'))).toBeLessThan(LOG_PROBS_TOLERANCE);
    expect(deviation(of('sequence, straight-through'), of('sequence, true'))).toBeGreaterThan(1e-3);
  });

  test('on-policy every ratio level gives the gradient -w A, also exactly at the clip bounds', () => {
    const est = (ratio: keyof typeof RATIOS) =>
      variant({ ratio: RATIOS[ratio], gate: { kind: 'ppo', low: 0, high: 0 }, aggregate: 'token-sum' });
    const onPolicy = { ...fromLogProbs(batch), logProbs: batch.oldLogProbs };
    const { advantages } = estimateAdvantages({ turns: batch.turns, ...signals(batch) }, est('token'), { device });
    const expected = new Float32Array(batch.tokens);
    for (let k = 0; k < batch.turns.count; k++) {
      for (let n = batch.turns.starts[k]; n < batch.turns.ends[k]; n++)
        expected[n] = batch.actionMask[n] * -advantages[k];
    }
    for (const ratio of ['token', 'turn, straight-through', 'sequence, straight-through']) {
      const { grad, metrics } = policyLossSync({ ...onPolicy, ...signals(batch) }, est(ratio), { device });
      expect(deviation(grad.logProbs, expected)).toBe(0);
      expect(metrics.clipFraction).toBe(0);
      expect(metrics.ratio).toEqual({ min: 1, mean: 1, max: 1 });
    }
  });

  describe.each(DTYPES)('how a gradient of %s is asked for', (dtype) => {
    const est = variant({});
    const make = () => ({ ...withDType(batch, dtype), ...signals(batch) });
    const plain = () => policyLossSync(make(), est, { device }).grad.logits.data;

    test('in place: the same bits, in the memory of the logits', () => {
      const input = make();
      const { grad } = policyLossSync(input, est, { device, inPlace: true });
      expect(grad.logits).toBe(input.logits);
      expectSameBits(input.logits.data, plain(), 'logits');
    });

    test('out: the same bits, in the given memory; the logits stay as they are', () => {
      const input = make();
      const out = Tensor.alloc([batch.tokens, batch.width], dtype);
      const { grad } = policyLossSync(input, est, { device, out: { logits: out } });
      expect(grad.logits).toBe(out);
      expectSameBits(out.data, plain(), 'out.logits');
      expectSameBits(input.logits.data, make().logits.data, 'logits');
    });

    test('a tensor of the same dtype and shape comes back', () => {
      const { grad } = policyLossSync(make(), est, { device });
      expect(grad.logits).toMatchObject({ dtype, shape: [batch.tokens, batch.width] });
    });

    test('rows outside the loss are exactly 0, the others sum to 0', () => {
      const gradient = decode(plain(), dtype);
      const most = gradient.reduce((largest, g) => Math.max(largest, Math.abs(g)), 0);
      const unit = halfUlp(most, dtype) * batch.width;
      for (let n = 0; n < batch.tokens; n++) {
        const row = gradient.subarray(n * batch.width, (n + 1) * batch.width);
        if (batch.actionMask[n] === 0) expect(row.every((g) => Object.is(g, 0))).toBe(true);
        else expect(Math.abs(row.reduce((sum, g) => sum + g))).toBeLessThanOrEqual(unit);
      }
    });

    test('gradScale multiplies before rounding', () => {
      const scaled = policyLossSync(make(), est, { device, gradScale: 1024 }).grad.logits.data;
      const [a, b] = [decode(scaled, dtype), decode(plain(), dtype)];
      const most = b.reduce((largest, g) => Math.max(largest, Math.abs(g)), 0);
      b.forEach((g, i) => {
        // A power of two changes no digit of a normal number; below the normal range of f16 the scaled one has more of them.
        const allowed = dtype === 'f16' ? 2 ** -24 : 0;
        expect(Math.abs(a[i] / 1024 - g)).toBeLessThanOrEqual(allowed);
      });
      expect(most).toBeGreaterThan(0);
    });

    test('gradients that rounding turns into 0 are counted; gradScale saves them', () => {
      const tiny = { device, gradScale: dtype === 'bf16' ? 1e-39 : 1e-7 };
      const lost = policyLossSync(make(), est, tiny).metrics.underflowedGradients;
      const kept = policyLossSync(make(), est, { device }).metrics.underflowedGradients;
      if (dtype === 'f32') expect(lost).toBe(0);
      else expect(lost).toBeGreaterThan(0);
      expect(kept).toBe(0);
    });

    test('deferred: rowScale times the unscaled gradient is the applied one', () => {
      const { grad, loss } = policyLossSync(make(), est, { device, rowScale: 'deferred', gradScale: 4 });
      const applied = policyLossSync(make(), est, { device, gradScale: 4 });
      expect(loss).toBe(applied.loss);
      const rows = decode(grad.logits.data, dtype);
      const expected = decode(applied.grad.logits.data, dtype);
      // Three roundings to float32 for two, and one to the dtype on either side.
      const units = dtype === 'f32' ? 3 : 2.01;
      expected.forEach((g, i) => {
        const product = rows[i] * grad.rowScale![Math.floor(i / batch.width)];
        expect(Math.abs(product - g)).toBeLessThanOrEqual(units * halfUlp(g, dtype) + 1e-9);
      });
      expect(applied.grad.rowScale).toBeUndefined();
    });
  });

  test('out.logProbs and gradScale from log-probs', () => {
    const est = variant({});
    const input = { ...fromLogProbs(batch), ...signals(batch) };
    const plain = policyLossSync(input, est, { device });
    const logProbs = new Float32Array(batch.tokens).fill(5);
    const scaled = policyLossSync(input, est, { device, gradScale: 8, out: { logProbs } });
    expect(scaled.grad.logProbs).toBe(logProbs);
    expectSameBits(
      logProbs,
      plain.grad.logProbs.map((g) => 8 * g),
      'out.logProbs',
    );
    expect(scaled.loss).toBe(plain.loss);
    expect(plain.logProbs).toBe(input.logProbs);
  });
});
