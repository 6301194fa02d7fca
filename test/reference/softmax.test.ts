/** Softmax of a row: values worked out by hand, digits near probability 1, derivatives by finite differences. */
import { describe, expect, test } from 'vitest';
import {
  entropyOf,
  gradientAtTarget,
  gradientElsewhere,
  logProbOf,
  logSumExpOf,
  softmaxRow,
} from '../../lib/reference/index.js';

const { NEGATIVE_INFINITY, POSITIVE_INFINITY } = Number;

function row(logits: number[], temperature = 1) {
  const z = Float64Array.from(logits);
  const softmax = softmaxRow(z, temperature);
  return {
    finite: softmax.finite,
    logProbs: logits.map((_, v) => logProbOf(z, v, softmax, temperature)),
    logSumExp: logSumExpOf(softmax, temperature),
    entropy: entropyOf(softmax),
  };
}

describe('values by hand', () => {
  test('two equal logits: p = 1/2', () => {
    const { logProbs, logSumExp, entropy } = row([3, 3]);
    expect(logProbs).toEqual([-Math.LN2, -Math.LN2]);
    expect(logSumExp).toBe(3 + Math.LN2);
    expect(entropy).toBeCloseTo(Math.LN2, 15);
  });

  // exp(z / T) = 1 and 3, so p = 1/4 and 3/4; H = ln 4 - 3/4 ln 3.
  test.each([1, 2, 0.5])('temperature %d', (temperature) => {
    const { logProbs, logSumExp, entropy } = row([0, temperature * Math.log(3)], temperature);
    expect(logProbs[0]).toBeCloseTo(-Math.log(4), 14);
    expect(logProbs[1]).toBeCloseTo(Math.log(0.75), 14);
    expect(logSumExp).toBeCloseTo(Math.log(4), 14);
    expect(entropy).toBeCloseTo(Math.log(4) - 0.75 * Math.log(3), 14);
  });

  test('a vocabulary of one', () => {
    const { logProbs, logSumExp, entropy } = row([7]);
    expect(Math.abs(logProbs[0])).toBe(0);
    expect(logSumExp).toBe(7);
    expect(Object.is(entropy, 0)).toBe(true);
  });

  test('near probability 1 all digits are there', () => {
    // p = 1 / (1 + e^-50): log p = -e^-50 to 22 digits, where log(exp(50) / sum) would say 0.
    const { logProbs, entropy } = row([50, 0]);
    expect(logProbs[0] / -Math.exp(-50)).toBeCloseTo(1, 14);
    expect(entropy / (51 * Math.exp(-50))).toBeCloseTo(1, 14);
  });

  test('a large offset does not change log-probabilities', () => {
    expect(row([1e4, 1e4 - 1, 1e4 - 2]).logProbs).toEqual(row([0, -1, -2]).logProbs);
  });

  test('-Infinity is probability 0, not NaN', () => {
    const { finite, logProbs, entropy } = row([1, NEGATIVE_INFINITY, 1]);
    expect(finite).toBe(true);
    expect(logProbs).toEqual([-Math.LN2, NEGATIVE_INFINITY, -Math.LN2]);
    expect(entropy).toBeCloseTo(Math.LN2, 15);
  });

  test.each([
    ['NaN', [1, Number.NaN]],
    ['NaN first', [Number.NaN, 1]],
    ['+Infinity', [1, POSITIVE_INFINITY]],
    ['only -Infinity', [NEGATIVE_INFINITY, NEGATIVE_INFINITY]],
  ])('not finite: %s', (_, logits) => {
    const { finite, logProbs, logSumExp, entropy } = row(logits);
    expect(finite).toBe(false);
    expect([...logProbs, logSumExp, entropy].every(Number.isNaN)).toBe(true);
  });
});

describe('gradient', () => {
  test.each([1, 0.7, 3])('finite differences, temperature %d', (temperature) => {
    const logits = [0.3, -1.2, 2.1, 0.4, -6];
    const step = 1e-5;
    const { logProbs, logSumExp } = row(logits, temperature);
    for (let target = 0; target < logits.length; target++) {
      for (let v = 0; v < logits.length; v++) {
        const at = (delta: number) => row(logits.with(v, logits[v] + delta), temperature).logProbs[target];
        const numeric = (at(step) - at(-step)) / (2 * step);
        const closed =
          v === target
            ? gradientAtTarget(logProbs[target], temperature)
            : gradientElsewhere(logits[v], logSumExp, temperature);
        // Central differences: truncation h²/6 and rounding 1e-16/h, about 1e-11 both.
        expect(Math.abs(closed - numeric)).toBeLessThan(1e-9);
      }
    }
  });

  test('at the target the small gradient of a sure token survives', () => {
    const { logProbs } = row([50, 0]);
    expect(gradientAtTarget(logProbs[0], 1) / Math.exp(-50)).toBeCloseTo(1, 14);
  });

  test('an impossible token gets no gradient', () => {
    expect(Math.abs(gradientElsewhere(NEGATIVE_INFINITY, 3, 1))).toBe(0);
  });
});
