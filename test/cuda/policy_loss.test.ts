/**
 * policyLoss and gatherLogProbs on device tensors: the bits of the same call on host arrays that are copied there, the numbers of the CPU, and
 * results that stay on the device.
 */
import { describe, expect, test } from 'vitest';
import {
  estimator as define,
  type Estimator,
  estimateAdvantages,
  gatherLogProbs,
  gatherLogProbsSync,
  grpo,
  gspo,
  policyLoss,
  policyLossSync,
  ppo,
  Tensor,
} from '../../lib/index.js';
import type { DTypeOfLogits } from '../../lib/ops.js';
import { DTYPES } from '../cases/logits.js';
import { lossArraysFor, signalsFor } from '../support/estimator_batch.js';
import { ESTIMATORS, GRPO, variant } from '../support/estimators.js';
import { decode, expectSameBits, halfUlp } from '../support/numbers.js';
import { describeCuda, disposeAll, elements, taken, upload, uploaded } from '../support/on_device.js';
import { fromLogProbs, type Sample, sample, withDType } from '../support/sample.js';

const from = sample({ seed: 21, trajectories: 6, width: 37 });

const METHODS: Record<string, Estimator> = {
  a2tgpo: ESTIMATORS.a2tgpo,
  grpo: GRPO,
  gspo: gspo(),
  'ppo, credit per token': ppo(),
  'true mean of turns, weights and bonus': define({
    ...variant({ ratio: { level: 'turn', form: 'true' } }),
    name: 'all at once',
    weights: [{ kind: 'importance', level: 'token', mode: 'truncate', high: 2 }, { kind: 'given' }],
    entropy: { coef: 0.01 },
  }),
};

/** Everything of [N], [K] or [M] that may be a tensor. */
const PER_TOKEN = ['targets', 'oldLogProbs', 'refLogProbs', 'rolloutLogProbs', 'tokenWeights', 'actionMask'];
const SIGNALS = ['groups', 'outcome', 'informationGain', 'values', 'tokenRewards', 'bootstrapValues', 'truncated'];

function hostBatch(estimator: Estimator, dtype: DTypeOfLogits, of: Sample = from) {
  return { ...withDType(of, dtype), ...signalsFor(estimator, of), ...lossArraysFor(estimator, of) };
}

type Batch = Record<string, unknown>;
type Result = { loss: number; grad: Batch; logProbs: unknown; entropy?: unknown; metrics: Batch };
const run = policyLossSync as unknown as (batch: Batch, estimator: Estimator, options?: Batch) => Result;
const runLater = policyLoss as unknown as (batch: Batch, estimator: Estimator, options?: Batch) => Promise<Result>;

const shownAs = ({ backend: _, ...metrics }: Batch) => metrics;

/** Same bits, arrays on the device. */
function expectSame(actual: Result, expected: Result): void {
  expect(actual.loss).toBe(expected.loss);
  expect(actual.metrics).toEqual(expected.metrics);
  const arrays = ({ grad, logProbs, entropy }: Result) => ({ ...grad, logProbs, ...(entropy ? { entropy } : {}) });
  const found: Batch = arrays(actual);
  for (const [name, array] of Object.entries(arrays(expected))) {
    expect(found[name], name).toBeInstanceOf(Tensor);
    expect(found[name]).toMatchObject({ device: 'cuda' });
    expectSameBits(elements(found[name]), elements(array), name);
  }
}

/** Within the rounding of float32 log-probs, which differ between backends. */
function expectClose(actual: Result, expected: Result, dtype: DTypeOfLogits): void {
  expect(actual.loss).toBeCloseTo(expected.loss, 5);
  for (const [name, value] of Object.entries(shownAs(expected.metrics))) {
    if (typeof value === 'number') expect(actual.metrics[name] as number, name).toBeCloseTo(value, 4);
  }
  const [a, e] = [actual, expected].map(({ grad }) => decode(elements(grad.logits), dtype));
  const most = e.reduce((largest, x) => Math.max(largest, Math.abs(x)), 0);
  const wrong = e.findIndex((x, i) => !(Math.abs(a[i] - x) <= 1e-4 * most + 2 * halfUlp(x, dtype)));
  expect(wrong, `grad.logits[${wrong}] = ${a[wrong]}, not ${e[wrong]}`).toBe(-1);
}

describeCuda.each(Object.entries(METHODS))('%s', (_, estimator) => {
  test.each(DTYPES)('%s: the bits of host arrays that are copied, the numbers of the CPU', (dtype) => {
    const host = hostBatch(estimator, dtype);
    const expected = run(host, estimator, { device: 'cuda' });
    expect(expected.logProbs).toBeInstanceOf(Float32Array);
    expectClose(expected, run(host, estimator, { device: 'cpu' }), dtype);
    for (const names of [['logits'], ['logits', ...PER_TOKEN], ['logits', ...PER_TOKEN, ...SIGNALS]]) {
      const batch = uploaded(host, names);
      const actual = run(batch, estimator);
      expectSame(actual, expected);
      expect(actual.grad.logits).toMatchObject({ dtype, shape: [from.tokens, from.width] });
      disposeAll(actual, batch);
    }
  });

  test('inPlace, out, gradScale, temperature, nonFinite and asynchronous calls', async () => {
    const host = hostBatch(estimator, 'f32');
    const options = { temperature: 0.8, gradScale: 3, nonFinite: 'check-first' };
    const expected = run(host, estimator, { ...options, device: 'cuda' });
    const batch = uploaded(host, ['logits', ...PER_TOKEN]);
    const out = { logits: Tensor.alloc([from.tokens, from.width], 'f32', 'cuda') };
    const into = run(batch, estimator, { ...options, out });
    expect(into.grad.logits).toBe(out.logits);
    expectSame(into, expected);
    const later = await runLater(batch, estimator, { ...options, device: 'cuda' });
    expectSame(later, expected);
    const inPlace = await runLater(batch, estimator, { ...options, inPlace: true });
    expect(inPlace.grad.logits).toBe(batch.logits);
    expectSame(inPlace, expected);
    disposeAll(into, later, inPlace, batch, out);
  });

  test('deferred row scale', () => {
    if (estimator.entropy !== null) return;
    const host = hostBatch(estimator, 'f32');
    const options = { rowScale: 'deferred', gradScale: 2 };
    const expected = run(host, estimator, { ...options, device: 'cuda' });
    const batch = uploaded(host, ['logits', ...PER_TOKEN]);
    const actual = run(batch, estimator, options);
    expect(actual.grad.rowScale).toMatchObject({ device: 'cuda', dtype: 'f32', shape: [from.tokens] });
    expectSame(actual, expected);
    disposeAll(actual, batch);
  });

  test('from log-probs', async () => {
    if (estimator.entropy !== null) return;
    const host = { ...fromLogProbs(from), ...signalsFor(estimator, from), ...lossArraysFor(estimator, from) };
    const expected = run(host, estimator, { device: 'cuda', gradScale: 2 });
    const batch = uploaded(host, ['logProbs', ...PER_TOKEN, ...SIGNALS]);
    const actual = run(batch, estimator, { gradScale: 2 });
    expect(actual.logProbs).toBe(batch.logProbs);
    expectSame(actual, expected);
    const out = { logProbs: Tensor.alloc([from.tokens], 'f32', 'cuda') };
    const into = await runLater(batch, estimator, { gradScale: 2, out });
    expect(into.grad.logProbs).toBe(out.logProbs);
    expectSame(into, expected);
    disposeAll(actual, into, batch);
  });

  test('credit of estimateAdvantages, and advantages on the device', () => {
    const host = hostBatch(estimator, 'bf16');
    const given = signalsFor(estimator, from);
    const { turns, actionMask } = from;
    const credit = estimateAdvantages({ turns, actionMask, ...given } as never, estimator);
    const tokens = Object.fromEntries(Object.entries(host).filter(([name]) => !(name in given)));
    const expected = run({ ...tokens, credit }, estimator, { device: 'cuda' });
    const batch = uploaded(tokens, ['logits', ...PER_TOKEN]);
    const withCredit = run({ ...batch, credit }, estimator);
    expectSame(withCredit, expected);
    disposeAll(withCredit);
    if (credit.level === 'token') return disposeAll(batch);
    const { advantages, clipScale, denominators } = credit;
    const there = uploaded({ advantages, ...(clipScale.some((x) => x !== 1) ? { clipScale } : {}) }, [
      'advantages',
      'clipScale',
    ]);
    const withAdvantages = run({ ...batch, ...there, denominators }, estimator);
    expect(withAdvantages.loss).toBe(expected.loss);
    expectSameBits(elements(withAdvantages.grad.logits), elements(expected.grad.logits), 'grad.logits');
    disposeAll(withAdvantages, batch, there);
  });
});

describeCuda('around a call', () => {
  test('nothing is left of calls but their results', async () => {
    const estimator = ESTIMATORS.a2tgpo;
    const batch = uploaded(hostBatch(estimator, 'f32'), ['logits', ...PER_TOKEN, ...SIGNALS]);
    const once = async () => {
      disposeAll(run(batch, estimator), await runLater(batch, estimator, { rowScale: 'deferred' }));
      const failing = { ...batch, oldLogProbs: new Float32Array(1) };
      expect(() => run(failing, estimator)).toThrow(/oldLogProbs/);
    };
    await once();
    const before = taken();
    for (let i = 0; i < 3; i++) await once();
    expect(taken()).toBe(before);
    disposeAll(batch);
  });

  test('functions of the credit see the signals in host memory', () => {
    const estimator = ESTIMATORS.a2tgpo;
    const host = hostBatch(estimator, 'f32');
    const advantage = ({ advantages, arrays }: { advantages: Float64Array; arrays: Record<string, unknown> }) => {
      expect(arrays.outcome).toBeInstanceOf(Float64Array);
      return advantages.map((x) => 2 * x);
    };
    const expected = run(host, estimator, { device: 'cuda', advantage });
    const batch = uploaded(host, ['logits', ...PER_TOKEN, ...SIGNALS]);
    const actual = run(batch, estimator, { advantage });
    expectSame(actual, expected);
    disposeAll(actual, batch);
  });

  test('trajectories as turns, with a mask that only the device reads', () => {
    const host: Batch = { ...hostBatch(GRPO, 'f32'), trajectoryOffsets: from.trajectoryOffsets };
    delete host.turns;
    const expected = run(host, GRPO, { device: 'cuda' });
    const batch = uploaded(host, ['logits', ...PER_TOKEN, ...SIGNALS]);
    const actual = run(batch, GRPO);
    expectSame(actual, expected);
    disposeAll(actual, batch);
  });

  test('no rows at all', () => {
    const logits = Tensor.alloc([0, 7], 'bf16', 'cuda');
    const none = upload(new Float32Array(0), 'f32');
    const batch: Batch = { logits, targets: [], oldLogProbs: none, trajectoryOffsets: [0], groups: [], outcome: [] };
    const result = run(batch, grpo());
    expect(result.loss).toBe(0);
    expect(result.grad.logits).toMatchObject({ shape: [0, 7], device: 'cuda' });
    disposeAll(result, batch);
  });

  test('aborted calls', async () => {
    const estimator = ESTIMATORS.a2tgpo;
    const batch = uploaded(hostBatch(estimator, 'f32'), ['logits', ...PER_TOKEN]);
    disposeAll(run(batch, estimator));
    const before = taken();
    const controller = new AbortController();
    const running = runLater(batch, estimator, { signal: controller.signal });
    controller.abort();
    // It was over already, or it is not done.
    await running.then(disposeAll, (reason: unknown) => expect(reason).toBe(controller.signal.reason));
    await expect(runLater(batch, estimator, { signal: controller.signal })).rejects.toBe(controller.signal.reason);
    expect(taken()).toBe(before);
    disposeAll(batch);
  });
});

describeCuda('gatherLogProbs', () => {
  describe.each(DTYPES)('%s', (dtype) => {
    test('the bits of host arrays that are copied', async () => {
      const { logits, targets, actionMask } = withDType(from, dtype);
      const host = { logits, targets, actionMask };
      const expected = gatherLogProbsSync(host, { device: 'cuda', temperature: 0.7 });
      const gather = gatherLogProbs as unknown as (input: unknown, options: unknown) => Promise<Batch>;
      for (const names of [['logits'], ['logits', 'targets', 'actionMask']]) {
        const input = uploaded(host, names);
        const results = [
          gatherLogProbsSync(input as never, { temperature: 0.7 }),
          await gather(input, { temperature: 0.7 }),
        ];
        for (const result of results as Batch[]) {
          for (const name of ['logProbs', 'logSumExp', 'entropy'] as const) {
            expect(result[name]).toMatchObject({ device: 'cuda', shape: [from.tokens] });
            expectSameBits(elements(result[name]), expected[name], name);
          }
        }
        disposeAll(input, results);
      }
    });
  });
});
