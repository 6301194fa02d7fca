/** Rows that are not finite, in each mode of `nonFinite`: what is thrown, what is left intact, what flows. */
import { describe, expect, test } from 'vitest';
import {
  gatherLogProbsSync,
  grpo,
  type InvalidInputError,
  policyLoss,
  policyLossSync,
  Tensor,
  tensor,
} from '../../lib/index.js';
import { DEVICES } from '../support/backends.js';
import { type ExpectedError, expectInvalid, expectInvalidAsync, thrownBy } from '../support/errors.js';
import { variant } from '../support/estimators.js';
import { expectSameBits } from '../support/numbers.js';
import { fromLogits, fromLogProbs, sample, signals } from '../support/sample.js';

const from = sample({ seed: 6, trajectories: 5, prompts: 2, width: 9 });
const { width, tokens } = from;
const active = Array.from(from.actionMask.keys()).filter((n) => from.actionMask[n] === 1);
/** The first bad row is not the first row, and a later one is bad as well. */
const [bad, later] = [active[5], active[11]];
const ESTIMATOR = variant({ kl: { coef: 0.1, estimator: 'k2' } });

type Batch = ReturnType<typeof fresh>;

function fresh() {
  const { refLogProbs } = from;
  return structuredClone({ ...fromLogits(from), refLogProbs, ...signals(from) });
}

const NON_FINITE = { code: 'ERR_NON_FINITE' } as const;

const SPOILED: [title: string, spoil: (batch: Batch, n: number) => void, expected: ExpectedError][] = [
  [
    'NaN',
    (b, n) => (b.logits[n * width + 2] = Number.NaN),
    { ...NON_FINITE, path: `logits[${bad}]`, received: 'a row with NaN, +Infinity or only -Infinity' },
  ],
  ['+Infinity', (b, n) => (b.logits[n * width] = Number.POSITIVE_INFINITY), { ...NON_FINITE, path: `logits[${bad}]` }],
  [
    'only -Infinity',
    (b, n) => b.logits.fill(Number.NEGATIVE_INFINITY, n * width, (n + 1) * width),
    { ...NON_FINITE, path: `logits[${bad}]` },
  ],
  [
    'a target at -Infinity',
    (b, n) => (b.logits[n * width + b.targets[n]] = Number.NEGATIVE_INFINITY),
    {
      ...NON_FINITE,
      path: `targets[${bad}]`,
      expected: 'a target with a probability above 0',
      received: `token ${from.targets[bad]} with log-prob -Infinity`,
    },
  ],
  [
    'an old log-prob of -Infinity',
    (b, n) => (b.oldLogProbs[n] = Number.NEGATIVE_INFINITY),
    { ...NON_FINITE, path: `oldLogProbs[${bad}]`, expected: 'a finite log-prob', received: '-Infinity' },
  ],
  [
    'a reference log-prob of NaN',
    (b, n) => (b.refLogProbs[n] = Number.NaN),
    { ...NON_FINITE, path: `refLogProbs[${bad}]`, received: 'NaN' },
  ],
];

function spoiled(spoil: (batch: Batch, n: number) => void): Batch {
  const batch = fresh();
  spoil(batch, later);
  spoil(batch, bad);
  return batch;
}

describe.each(DEVICES)('%s', (device) => {
  describe.each(SPOILED)('%s', (title, spoil, expected) => {
    test.each(['throw', 'check-first'] as const)('%s names the first bad row', (nonFinite) => {
      const batch = spoiled(spoil);
      const { logits } = batch;
      const before = logits.slice();
      expectInvalid(() => policyLossSync(batch, ESTIMATOR, { device, nonFinite }), expected);
      expectSameBits(logits, before, 'logits');
    });

    test('in place the error says what became of the logits', () => {
      const thrown = thrownBy(() => policyLossSync(spoiled(spoil), ESTIMATOR, { device, inPlace: true }));
      const { message } = thrown as InvalidInputError;
      const fromTokens = title.includes('log-prob');
      expect(/the logits are now undefined.*"check-first" would have left them intact/.test(message)).toBe(!fromTokens);
    });

    test('check-first, in place and out of place, writes nothing', () => {
      const batch = spoiled(spoil);
      const before = batch.logits.slice();
      expectInvalid(
        () => policyLossSync(batch, ESTIMATOR, { device, inPlace: true, nonFinite: 'check-first' }),
        expected,
      );
      expectSameBits(batch.logits, before, 'logits');
      const out = { logits: new Float32Array(batch.logits.length).fill(7) };
      expectInvalid(() => policyLossSync(batch, ESTIMATOR, { device, out, nonFinite: 'check-first' }), expected);
      expectSameBits(out.logits, new Float32Array(batch.logits.length).fill(7), 'out.logits');
    });

    test('the promise is rejected with the same error', async () => {
      const data = spoiled(spoil);
      const logits = Tensor.alloc([tokens, width], 'f32');
      logits.data.set(data.logits);
      const call = policyLoss({ ...data, logits }, ESTIMATOR, { device, inPlace: true, nonFinite: 'check-first' });
      await expectInvalidAsync(call, expected);
      expectSameBits(logits.data, data.logits, 'logits');
    });

    test('propagate: counted, seen in the loss, and other tokens keep their bits', () => {
      // Token level, so that a bad token is alone in its segment.
      const estimator = variant({ ratio: { level: 'token' }, kl: ESTIMATOR.kl });
      const options = { device, nonFinite: 'propagate' } as const;
      const clean = policyLossSync(fresh(), estimator, options);
      const dirty = policyLossSync(spoiled(spoil), estimator, options);
      // An infinite log-ratio is clamped like any other, and may be clipped to a finite term.
      if (!title.includes('old log-prob')) expect(Number.isFinite(dirty.loss)).toBe(false);
      expect(dirty.metrics.nonFinite).toBe(2);
      for (let n = 0; n < tokens; n++) {
        const row = dirty.grad.logits.subarray(n * width, (n + 1) * width);
        if (n === bad || n === later) {
          if (!title.includes('log-prob')) expect(row.every((g) => !Number.isFinite(g))).toBe(true);
        } else {
          expectSameBits(row, clean.grad.logits.subarray(n * width, (n + 1) * width), `row ${n}`);
        }
      }
    });
  });

  test('from log-probs', () => {
    const batch = structuredClone({ ...fromLogProbs(from), ...signals(from) });
    batch.logProbs[bad] = Number.NaN;
    const estimator = variant({});
    expectInvalid(() => policyLossSync(batch, estimator, { device }), {
      ...NON_FINITE,
      path: `logProbs[${bad}]`,
      received: 'NaN',
    });
    const { metrics } = policyLossSync(batch, estimator, { device, nonFinite: 'propagate' });
    expect(metrics.nonFinite).toBeGreaterThan(0);
  });

  test('logits without digits left for a gradient: log-probs are there, the gradient is refused', () => {
    const batch = fresh();
    batch.logits.fill(2 ** 32, bad * width, (bad + 1) * width);
    const expected = { code: 'ERR_RANGE', path: `logits[${bad}]`, expected: /magnitude up to 2\^31/ } as const;
    expectInvalid(() => policyLossSync(batch, ESTIMATOR, { device }), expected);
    const { logits } = batch;
    const before = logits.slice();
    const checkFirst = { device, inPlace: true, nonFinite: 'check-first' } as const;
    expectInvalid(() => policyLossSync(batch, ESTIMATOR, checkFirst), expected);
    expectSameBits(logits, before, 'logits');
    const { actionMask, targets } = batch;
    expect(gatherLogProbsSync({ logits, targets, actionMask }, { device }).logProbs[bad]).toBe(
      Math.fround(-Math.log(width)),
    );
    // One-hot, nothing is lost: log p and the gradient are 0 as they are anywhere.
    logits.fill(-(2 ** 32), bad * width, (bad + 1) * width);
    logits[bad * width + targets[bad]] = 2 ** 32;
    expect(Math.abs(policyLossSync(batch, ESTIMATOR, { device }).logProbs[bad])).toBe(0);
  });

  test.each(['bf16', 'f16'] as const)('NaN in %s', (dtype) => {
    const bits = new Uint16Array(3 * width);
    bits[width + 4] = dtype === 'bf16' ? 0x7fc0 : 0x7e00;
    const input = { logits: tensor(bits, [3, width], dtype), targets: [0, 1, 2] };
    expectInvalid(() => gatherLogProbsSync(input, { device }), { ...NON_FINITE, path: 'logits[1]' });
    const { logProbs, entropy, logSumExp } = gatherLogProbsSync(input, { device, nonFinite: 'propagate' });
    for (const values of [logProbs, entropy, logSumExp]) {
      expect(Array.from(values, Number.isNaN)).toEqual([false, true, false]);
    }
  });

  test('gatherLogProbs: -Infinity somewhere is legal, at the target it is not', () => {
    const logits = Float32Array.of(0, Number.NEGATIVE_INFINITY, 0, Number.NEGATIVE_INFINITY, 2, 2);
    const { logProbs, entropy } = gatherLogProbsSync({ logits, targets: [0, 1] }, { device });
    expect(Array.from(logProbs)).toEqual([Math.fround(-Math.log(2)), Math.fround(-Math.log(2))]);
    expect(Array.from(entropy)).toEqual([Math.fround(Math.log(2)), Math.fround(Math.log(2))]);
    const call = { logits, targets: [1, 1] };
    expectInvalid(() => gatherLogProbsSync(call, { device }), { ...NON_FINITE, path: 'targets[0]' });
    expect(gatherLogProbsSync(call, { device, nonFinite: 'propagate' }).logProbs[0]).toBe(Number.NEGATIVE_INFINITY);
  });
});

describe('logits beyond what a gradient can be formed from', () => {
  // log-sum-exp = 3e9: float64 holds it, but its last digit is 4.8e-7.
  const huge = () => ({
    logits: Float32Array.of(3e9, 3e9, 0, 0, 1, 2),
    targets: Int32Array.of(0, 1),
    oldLogProbs: Float32Array.of(-1, -1),
    advantages: [1, 1],
    advantageLevel: 'token' as const,
  });

  test.each(DEVICES)('are refused by row (%s)', (device) => {
    for (const options of [{}, { inPlace: true }, { rowScale: 'deferred' }] as const) {
      expectInvalid(() => policyLossSync(huge(), grpo({ aggregate: 'token-mean' }), { device, ...options }), {
        code: 'ERR_RANGE',
        path: 'logits[0]',
      });
    }
  });

  test.each(DEVICES)('have exact log-probs all the same (%s)', (device) => {
    const { logits, targets } = huge();
    const { logProbs } = gatherLogProbsSync({ logits, targets }, { device });
    expect(logProbs[0]).toBe(Math.fround(-Math.LN2));
  });
});
