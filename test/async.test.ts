/** Calls off the main thread: the bits of the blocking form, whatever happens to the caller's memory meanwhile. */
import { describe, expect, test } from 'vitest';
import {
  estimator as define,
  gatherLogProbs,
  gatherLogProbsSync,
  policyLoss,
  policyLossSync,
  Tensor,
  tensor,
} from '../lib/index.js';
import { DTYPES } from './cases/logits.js';
import { DEVICES } from './support/backends.js';
import { expectInvalidAsync } from './support/errors.js';
import { lossArraysFor, signalsFor } from './support/estimator_batch.js';
import { ESTIMATORS, variant } from './support/estimators.js';
import { encode, expectSameBits, type Numbers } from './support/numbers.js';
import { fromLogits, fromLogProbs, type Sample, sample, signals } from './support/sample.js';

const small = sample({ seed: 12, trajectories: 6 });
/** Long enough that a call is still running when the next line of JavaScript runs. */
const large = sample({ seed: 13, trajectories: 120, prompts: 20, width: 2000 });

const batchOf = (from: Sample) => structuredClone({ ...fromLogits(from), ...signals(from) });

function allocated(from: Sample): Tensor<'f32'> {
  const logits = Tensor.alloc([from.tokens, from.width], 'f32');
  logits.data.set(from.logits);
  return logits;
}

function shared(from: Sample): Float32Array {
  const logits = new Float32Array(new SharedArrayBuffer(from.logits.byteLength));
  logits.set(from.logits);
  return logits;
}

function transferAll(batch: object): void {
  const buffers = new Set<ArrayBuffer>();
  for (const value of Object.values(batch)) if (ArrayBuffer.isView(value)) buffers.add(value.buffer as ArrayBuffer);
  structuredClone(null, { transfer: [...buffers] });
}

describe.each(DEVICES)('%s', (device) => {
  const estimator = ESTIMATORS.a2tgpo;

  test.each(Object.keys(ESTIMATORS))('policyLoss equals policyLossSync: %s', async (name) => {
    const batch = batchOf(small);
    const expected = policyLossSync(batch, ESTIMATORS[name], { device });
    const actual = await policyLoss(batch, ESTIMATORS[name], { device });
    expect(actual.loss).toBe(expected.loss);
    expect(actual.metrics).toEqual(expected.metrics);
    expectSameBits(actual.grad.logits, expected.grad.logits, 'grad.logits');
    expectSameBits(actual.logProbs, expected.logProbs, 'logProbs');
    expectSameBits(actual.entropy, expected.entropy, 'entropy');
  });

  test.each(DTYPES)('gatherLogProbs equals gatherLogProbsSync: %s', async (dtype) => {
    const data = encode(small.logits, dtype) as never;
    const input = {
      logits: tensor(data, [small.tokens, small.width], dtype),
      targets: small.targets,
      actionMask: small.actionMask,
    };
    const options = { device, temperature: 0.7 };
    const [expected, actual] = [gatherLogProbsSync(input, options), await gatherLogProbs(input, options)];
    for (const field of ['logProbs', 'logSumExp', 'entropy'] as const)
      expectSameBits(actual[field], expected[field], field);
  });

  test('from log-probs, with gradScale and out', async () => {
    const batch = { ...fromLogProbs(small), ...signals(small) };
    const out = { logProbs: new Float32Array(new SharedArrayBuffer(4 * small.tokens)) };
    const expected = policyLossSync(batch, estimator, { device, gradScale: 3 });
    const actual = await policyLoss(batch, estimator, { device, gradScale: 3, out });
    expect(actual.grad.logProbs).toBe(out.logProbs);
    expectSameBits(actual.grad.logProbs.slice(), expected.grad.logProbs, 'grad.logProbs');
    expect(actual.loss).toBe(expected.loss);
  });

  test("transferring all of the caller's buffers right after the call is harmless", async () => {
    const expected = policyLossSync(batchOf(large), estimator, { device });
    const batch = batchOf(large);
    const call = policyLoss(batch, estimator, { device });
    transferAll(batch);
    transferAll(batch.turns);
    expect(batch.logits.length).toBe(0);
    const actual = await call;
    expect(actual.loss).toBe(expected.loss);
    expectSameBits(actual.grad.logits, expected.grad.logits, 'grad.logits');
  });

  test('overwriting the inputs right after the call changes nothing', async () => {
    const expected = policyLossSync(batchOf(large), estimator, { device });
    const batch = batchOf(large);
    const call = policyLoss(batch, estimator, { device });
    for (const array of [...Object.values(batch), ...Object.values(batch.turns)]) {
      if (ArrayBuffer.isView(array)) (array as unknown as Numbers).fill(1);
    }
    const actual = await call;
    expect(actual.loss).toBe(expected.loss);
    expectSameBits(actual.grad.logits, expected.grad.logits, 'grad.logits');
  });

  test('several at once, of different shapes', async () => {
    const seeds = [21, 22, 23, 24, 25, 26, 27, 28];
    const batches = seeds.map((seed) => batchOf(sample({ seed, trajectories: 3 + (seed % 5), width: 5 + seed })));
    const expected = batches.map((batch) => policyLossSync(batch, estimator, { device }));
    const actual = await Promise.all(batches.map((batch) => policyLoss(batch, estimator, { device })));
    actual.forEach((result, i) => {
      expect(result.loss).toBe(expected[i].loss);
      expectSameBits(result.grad.logits, expected[i].grad.logits, `call ${i}`);
    });
  });

  test('Tensor.alloc in place', async () => {
    const expected = policyLossSync(batchOf(small), estimator, { device });
    const logits = allocated(small);
    const { grad } = await policyLoss({ ...batchOf(small), logits }, estimator, { device, inPlace: true });
    expect(grad.logits).toBe(logits);
    expectSameBits(logits.data, expected.grad.logits, 'logits');
  });

  test('a view of a SharedArrayBuffer, in place and as out', async () => {
    const expected = policyLossSync(batchOf(small), estimator, { device });
    const logits = shared(small);
    const out = new Float32Array(new SharedArrayBuffer(logits.byteLength));
    await policyLoss({ ...batchOf(small), logits }, estimator, { device, out: { logits: out } });
    expectSameBits(out.slice(), expected.grad.logits, 'out');
    const { grad } = await policyLoss({ ...batchOf(small), logits }, estimator, { device, inPlace: true });
    expect(grad.logits).toBe(logits);
    expectSameBits(logits.slice(), expected.grad.logits, 'logits');
  });

  test('memory that could be taken away is refused where the call writes into it', async () => {
    const batch = batchOf(small);
    const borrowed = {
      code: 'ERR_BORROWED_BUFFER',
      expected: /Tensor\.alloc, or a view of a SharedArrayBuffer/,
    } as const;
    await expectInvalidAsync(policyLoss(batch, estimator, { device, inPlace: true }), { ...borrowed, path: 'logits' });
    const out = { logits: new Float32Array(batch.logits.length) };
    await expectInvalidAsync(policyLoss(batch, estimator, { device, out }), { ...borrowed, path: 'out.logits' });
    const logProbs = { logProbs: new Float32Array(small.tokens) };
    const call = policyLoss({ ...fromLogProbs(small), ...signals(small) }, estimator, { device, out: logProbs });
    await expectInvalidAsync(call, { ...borrowed, path: 'out.logProbs', received: `Float32Array(${small.tokens})` });
    // The blocking form may write into it: nothing else runs meanwhile.
    policyLossSync(batch, estimator, { device, inPlace: true });
  });

  describe('AbortSignal', () => {
    test('raised before the call: rejected with its reason, nothing touched', async () => {
      const logits = allocated(small);
      const reason = new Error('too late');
      const call = policyLoss({ ...batchOf(small), logits }, estimator, {
        device,
        inPlace: true,
        signal: AbortSignal.abort(reason),
      });
      await expect(call).rejects.toBe(reason);
      expectSameBits(logits.data, small.logits, 'logits');
    });

    test('raised right after the call: rejected with an AbortError, or done already', async () => {
      const controller = new AbortController();
      const calls = [1, 2, 3, 4].map(() =>
        policyLoss(batchOf(large), estimator, { device, signal: controller.signal }),
      );
      controller.abort();
      const results = await Promise.allSettled(calls);
      const rejected = results.filter((result) => result.status === 'rejected');
      expect(rejected.length).toBeGreaterThan(0);
      for (const { reason } of rejected) expect(reason.name).toBe('AbortError');
    });

    test('raised after the end: no effect, and no listener left behind', async () => {
      const controller = new AbortController();
      const { loss } = await policyLoss(batchOf(small), estimator, { device, signal: controller.signal });
      controller.abort();
      expect(loss).toBe(policyLossSync(batchOf(small), estimator, { device }).loss);
    });

    test('is refused where it cannot act', async () => {
      const { signal } = new AbortController();
      const wrong = { device, signal: 1 } as never;
      await expectInvalidAsync(policyLoss(batchOf(small), estimator, wrong), {
        code: 'ERR_TYPE',
        path: 'signal',
        expected: 'an AbortSignal',
      });
      const blocking = async () => policyLossSync(batchOf(small), estimator, { device, signal } as never);
      await expectInvalidAsync(blocking(), {
        code: 'ERR_NO_EFFECT',
        path: 'signal',
        expected: /a synchronous call cannot be aborted/,
      });
    });
  });

  test('an error of the arguments rejects, it does not throw', async () => {
    const call = policyLoss({} as never, estimator, { device });
    await expectInvalidAsync(call, { code: 'ERR_MISSING', path: 'logits' });
  });

  test('deferred row scale', async () => {
    const estimator = variant({});
    const expected = policyLossSync(batchOf(small), estimator, { device, rowScale: 'deferred' });
    const actual = await policyLoss(batchOf(small), estimator, { device, rowScale: 'deferred' });
    expectSameBits(actual.grad.logits, expected.grad.logits, 'grad.logits');
    expectSameBits(actual.grad.rowScale!, expected.grad.rowScale!, 'grad.rowScale');
  });
});

/** Reads every array that credit and loss can read. */
const RICH = define({
  name: 'rich',
  channels: [
    {
      signal: { level: 'token', terms: ['outcome', 'token-reward'], klPenalty: { coef: 0.1, estimator: 'k3' } },
      accumulate: { kind: 'gae', gamma: 0.9, lambda: 0.95, bootstrap: 'given' },
      group: { kind: 'batch' },
      center: { kind: 'none' },
      scale: { kind: 'none' },
    },
    {
      signal: { level: 'turn', terms: [{ name: 'format', level: 'turn' }] },
      group: { kind: 'prompt-key', key: 'anchor' },
      center: { kind: 'mean' },
      scale: { kind: 'std', ddof: 0, eps: 1e-6, varianceFloor: 0 },
    },
    {
      signal: 'outcome',
      group: { kind: 'prompt' },
      center: { kind: 'mean' },
      scale: { kind: 'std', ddof: 0, eps: 1e-6, varianceFloor: 0 },
      then: { kind: 'tree', backup: 'child-softmax', baseline: 'parent' },
    },
  ],
  modulate: { kind: 'entropy', decay: 1, bonus: 0.1, bonusDecay: 1 },
  ratio: { level: 'turn', form: 'true' },
  gate: { kind: 'ppo', low: 0.2, high: 0.2 },
  weights: [
    { kind: 'importance', level: 'token', mode: 'truncate', low: 0.5, high: 2 },
    { kind: 'given' },
    { kind: 'off-policy-mask', threshold: 0.5 },
  ],
  kl: { coef: 0.1, estimator: 'k3' },
  entropy: { coef: 0.01 },
});

describe.each(DEVICES)('%s: every array there is', (device) => {
  const batch = () => {
    const { logits, targets, turns, actionMask } = batchOf(large);
    return structuredClone({
      logits,
      targets,
      turns,
      actionMask,
      ...signalsFor(RICH, large),
      ...lossArraysFor(RICH, large),
    });
  };
  const run = (input: object) => policyLoss(input as never, RICH, { device });
  const arraysIn = (value: object): Numbers[] =>
    Object.values(value).flatMap((item) => {
      if (ArrayBuffer.isView(item)) return [item as unknown as Numbers];
      return typeof item === 'object' && item !== null ? arraysIn(item) : [];
    });
  const { loss, grad } = policyLossSync(batch() as never, RICH, { device });

  test('equals the blocking call, overwritten or transferred right after it', async () => {
    expect(arraysIn(batch()).length).toBeGreaterThan(20);
    const attacks: ((arrays: Numbers[]) => void)[] = [
      () => {},
      (arrays) => arrays.forEach((array) => void array.fill(1)),
      (arrays) => {
        const buffers = new Set(arrays.map(({ buffer }) => buffer as ArrayBuffer));
        structuredClone(null, { transfer: [...buffers] });
      },
    ];
    for (const attack of attacks) {
      const input = batch();
      const call = run(input);
      attack(arraysIn(input));
      const actual = await call;
      expect(actual.loss).toBe(loss);
      expectSameBits((actual.grad as typeof grad).logits as never, grad.logits as never, 'grad.logits');
    }
  });
});

/** The add-on counts references to its memory: a running call keeps it. */
describe('cpu: a tensor that goes away during a call', () => {
  const device = 'cpu';
  const estimator = ESTIMATORS.a2tgpo;

  test('disposing of the input during a call', async () => {
    const expected = policyLossSync(batchOf(large), estimator, { device });
    const logits = allocated(large);
    const call = policyLoss({ ...batchOf(large), logits }, estimator, { device });
    logits.dispose();
    const { loss, grad } = await call;
    expect(loss).toBe(expected.loss);
    expect(grad.logits).not.toBe(logits);
    expectSameBits(grad.logits.data, expected.grad.logits, 'grad.logits');
  });

  test('disposing of the tensor of an in-place call', async () => {
    const logits = allocated(large);
    const call = policyLoss({ ...batchOf(large), logits }, estimator, { device, inPlace: true });
    logits.dispose();
    const { loss, grad } = await call;
    expect(Number.isFinite(loss)).toBe(true);
    expect(grad.logits).toBe(logits);
    expect(logits.disposed).toBe(true);
  });
});
