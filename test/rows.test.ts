/** Values that a row must have exactly, on every SIMD target: probability 1, probability 0, ties, masked rows. */
import { describe, expect, test } from 'vitest';
import { gatherLogProbsSync, policyLossSync, tensor } from '../lib/index.js';
import type { TypedArrayOf } from '../lib/tensor/dtype.js';
import { LOG_PROB_ULP } from './cases/gather.js';
import { DTYPES } from './cases/logits.js';
import { describeTargets } from './support/backends.js';
import { GRPO } from './support/estimators.js';
import { decode, encode, ulp32 } from './support/numbers.js';
import { random } from './support/random.js';

const WIDTHS = [2, 3, 8, 17, 33, 100, 2049, 16385];
const { NEGATIVE_INFINITY: NEVER } = Number;

describeTargets(() => {
  describe.each(DTYPES)('%s', (dtype) => {
    const device = 'cpu';
    const matrix = (values: ArrayLike<number>, rows: number) =>
      tensor(encode(values, dtype) as TypedArrayOf[typeof dtype], [rows, values.length / rows], dtype);
    const gather = (values: ArrayLike<number>, targets: number[]) =>
      gatherLogProbsSync({ logits: matrix(values, targets.length), targets }, { device });
    /** d logProb / d logits of each row. */
    const gradient = (values: ArrayLike<number>, targets: number[]) => {
      const zeros = new Float32Array(targets.length);
      const batch = {
        logits: matrix(values, targets.length),
        targets,
        oldLogProbs: zeros,
        refLogProbs: zeros,
        advantages: zeros,
      };
      const options = { device, rowScale: 'deferred' } as const;
      const { grad } = policyLossSync({ ...batch, advantageLevel: 'token' as const }, GRPO, options);
      return decode(grad.logits.data, dtype);
    };

    test('a vocabulary of 1: log-prob 0, entropy +0, gradient 0', () => {
      const { logProbs, entropy, logSumExp } = gather([3, -5, 0], [0, 0, 0]);
      expect([...logProbs].map(Math.abs)).toEqual([0, 0, 0]);
      expect([...entropy].every((h) => Object.is(h, 0))).toBe(true);
      expect([...logSumExp]).toEqual([3, -5, 0]);
      expect([...gradient([3, -5, 0], [0, 0, 0])].map(Math.abs)).toEqual([0, 0, 0]);
    });

    test.each(WIDTHS)('equal logits of %i: -log V', (width) => {
      const { logProbs, entropy } = gather(new Float64Array(2 * width).fill(-1.5), [0, width - 1]);
      for (const logProb of logProbs)
        expect(Math.abs(logProb + Math.log(width))).toBeLessThanOrEqual(LOG_PROB_ULP * ulp32(logProb));
      for (const h of entropy) expect(Math.abs(h - Math.log(width))).toBeLessThanOrEqual(LOG_PROB_ULP * ulp32(h));
    });

    test.each(WIDTHS)(
      '-Infinity in %i has probability 0: gradient exactly 0, also when it is every other token',
      (width) => {
        const { normal } = random(width);
        for (const legal of [1, 2, 7]) {
          const row = Float64Array.from({ length: width }, (_, v) => (v % legal === 0 ? normal() : NEVER));
          const values = gradient(row, [0]);
          expect(values.every((g, v) => row[v] !== NEVER || g === 0)).toBe(true);
          const only = Float64Array.from({ length: width }, (_, v) => (v === width - 1 ? normal() : NEVER));
          expect(gradient(only, [width - 1]).every((g) => g === 0)).toBe(true);
          expect(gather(only, [width - 1])).toMatchObject({ entropy: Float32Array.of(0) });
        }
      },
    );

    test.each(WIDTHS)('what is far below the top of %i adds nothing: log-prob 0, entropy at least +0', (width) => {
      const row = Float64Array.from({ length: width }, (_, v) => (v === 1 ? 2000 : -2000));
      const { logProbs, entropy } = gather(row, [1]);
      expect(Math.abs(logProbs[0])).toBe(0);
      expect(Object.is(entropy[0], 0)).toBe(true);
      expect(gradient(row, [1]).every((g) => g === 0)).toBe(true);
    });

    test('two tokens: log-probs by hand', () => {
      const { logProbs } = gather([0, 1, 0, 1, 0, 20, 0, 20], [0, 1, 0, 1]);
      const softplus = (x: number) => -Math.log1p(Math.exp(x));
      [softplus(1), softplus(-1), softplus(20), softplus(-20)].forEach((expected, n) => {
        expect(Math.abs(logProbs[n] - expected)).toBeLessThanOrEqual(LOG_PROB_ULP * ulp32(expected));
      });
    });
  });
});
