/** The promises on digits, against float64 on the same input bits; prints the largest error seen of each kind. */
import { afterAll, describe, expect, test } from 'vitest';
import { selectBackend } from '../lib/backend/select.js';
import type { DTypeOfLogits, GatherLogProbsArgs } from '../lib/ops.js';
import {
  entropyOf,
  gradientAtTarget,
  gradientElsewhere,
  logProbOf,
  logSumExpOf,
  softmaxRow,
} from '../lib/reference/index.js';
import { ENTROPY_RELATIVE, LOG_PROB_ULP } from './cases/gather.js';
import { DTYPES, LOGITS_CASES, type LogitsCase, type LogitsInput, makeLogits } from './cases/logits.js';
import { GRADIENT_ABSOLUTE } from './cases/logits_gradient.js';
import { describeTargets } from './support/backends.js';
import { decode, encode, halfUlp, ulp32 } from './support/numbers.js';

/** Titles of the case table by what they ask of the digits. */
const KINDS: Record<string, (logitsCase: LogitsCase) => boolean> = {
  noise: ({ title }) => title.startsWith('noise'),
  'peaked 5': ({ title }) => title.startsWith('peak 5'),
  'peaked 15': ({ title }) => title.startsWith('peak 15'),
  'peaked 25': ({ title }) => title.startsWith('peak 25'),
  'peaked 30': ({ title }) => title.startsWith('peak 30'),
  temperature: ({ title, temperature }) => title.startsWith('temperature') && temperature > 1e-6,
  'masked vocabulary': ({ title }) => title.startsWith('-Infinity'),
  extreme: ({ title }) => /^(offset|all|outliers|ascending|descending|range|large)/.test(title),
};

interface Oracle {
  logProb: number;
  logSumExp: number;
  entropy: number;
  /** d logProb / d logits. */
  gradient: Float64Array;
}

function oracleOf({ logits, targets, temperature }: LogitsInput, n: number): Oracle {
  const row = decode(logits.data.subarray(n * logits.width, (n + 1) * logits.width), logits.dtype);
  const softmax = softmaxRow(row, temperature);
  const logProb = logProbOf(row, targets[n], softmax, temperature);
  const logSumExp = logSumExpOf(softmax, temperature);
  const gradient = row.map((z) => gradientElsewhere(z, logSumExp, temperature));
  gradient[targets[n]] = gradientAtTarget(logProb, temperature);
  return { logProb, logSumExp, entropy: entropyOf(softmax), gradient };
}

interface Errors {
  /** ULP of float32. */
  logProb: number;
  /** ULP, as a share of the promised 4 + gap. */
  share: number;
  /** Relative. */
  entropy: number;
  /** |error| T / |coefficient|, without the rounding of the output. */
  gradient: number;
}

const NONE: Errors = { logProb: 0, share: 0, entropy: 0, gradient: 0 };

const COEFFICIENT = -0.37;

/** Gathers and differentiates with the backend; the largest error over all rows. */
function measure(logitsCase: LogitsCase, dtype: DTypeOfLogits): Errors {
  const { ops } = selectBackend('cpu');
  const input = makeLogits(logitsCase, dtype);
  const { logits, targets, temperature, gaps } = input;
  const count = targets.length;
  const args: GatherLogProbsArgs = {
    logits,
    targets,
    actionMask: null,
    temperature,
    nonFinite: 'throw',
    logProbs: new Float32Array(count),
    logSumExp: new Float64Array(count),
    entropy: new Float32Array(count),
  };
  expect(ops.gatherLogProbs(args).code).toBe('ok');
  const gradient = { ...logits, data: encode(new Float64Array(logits.data.length), dtype) };
  const status = ops.logitsGradient({
    logits,
    targets,
    actionMask: null,
    logProbs: args.logProbs,
    logSumExp: args.logSumExp!,
    coefficients: new Float64Array(count).fill(COEFFICIENT),
    temperature,
    gradScale: 1,
    gradient,
    underflowed: null,
  });
  expect(status.code).toBe('ok');
  const written = decode(gradient.data, dtype);
  const errors: Errors = { ...NONE };
  for (let n = 0; n < count; n++) {
    const oracle = oracleOf(input, n);
    const ulps = Math.abs(args.logProbs[n] - oracle.logProb) / ulp32(oracle.logProb);
    errors.logProb = Math.max(errors.logProb, ulps);
    errors.share = Math.max(errors.share, ulps / (LOG_PROB_ULP + gaps[n]));
    // The result is stored as float32: below its normal range the unit is absolute.
    const entropyError = Math.max(0, Math.abs(args.entropy![n] - oracle.entropy) - 2 ** -149);
    errors.entropy = Math.max(errors.entropy, oracle.entropy === 0 ? entropyError : entropyError / oracle.entropy);
    oracle.gradient.forEach((g, v) => {
      const exact = COEFFICIENT * g;
      const error = Math.abs(written[n * logits.width + v] - exact) - halfUlp(exact, dtype);
      errors.gradient = Math.max(errors.gradient, (error * temperature) / Math.abs(COEFFICIENT));
    });
  }
  return errors;
}

const table: Record<string, string | number>[] = [];

describeTargets((target) => {
  describe.each(DTYPES)('%s', (dtype) => {
    test.each(Object.keys(KINDS))('%s', (kind) => {
      const worst: Errors = { ...NONE };
      const cases = LOGITS_CASES.filter((logitsCase) => KINDS[kind](logitsCase) && logitsCase.rows > 0);
      expect(cases.length).toBeGreaterThan(0);
      for (const logitsCase of cases) {
        const errors = measure(logitsCase, dtype);
        for (const name of Object.keys(NONE) as (keyof Errors)[]) worst[name] = Math.max(worst[name], errors[name]);
      }
      table.push({
        target,
        dtype,
        kind,
        'log-prob, ULP': worst.logProb.toFixed(2),
        'of 4 + gap': worst.share.toFixed(2),
        'entropy, relative': worst.entropy.toExponential(1),
        'gradient / (|c| / T)': worst.gradient.toExponential(1),
      });
      expect(worst.share).toBeLessThanOrEqual(1);
      expect(worst.entropy).toBeLessThanOrEqual(ENTROPY_RELATIVE);
      expect(worst.gradient).toBeLessThanOrEqual(GRADIENT_ABSOLUTE);
    });
  });
});

afterAll(() => {
  console.info('Largest errors against float64:');
  console.table(table);
});
