/** The promises on digits, against float64 on the same input bits; prints the largest error seen of each kind. */
import { afterAll, describe, expect, test } from 'vitest';
import { selectBackend } from '../lib/backend/select.js';
import type { DTypeOfLogits, GatherLogProbsArgs } from '../lib/ops.js';
import {
  entropyGradient,
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
  target: number;
  logProb: number;
  logSumExp: number;
  entropy: number;
  /** d logProb / d logits. */
  gradient: Float64Array;
  /** d entropy / d logits. */
  entropyGradient: Float64Array;
  /** log p of each column, and of the target as the row has it. */
  logProbs: Float64Array;
}

function oracleOf({ logits, targets, temperature }: LogitsInput, n: number): Oracle {
  const row = decode(logits.data.subarray(n * logits.width, (n + 1) * logits.width), logits.dtype);
  const softmax = softmaxRow(row, temperature);
  const logProb = logProbOf(row, targets[n], softmax, temperature);
  const logSumExp = logSumExpOf(softmax, temperature);
  const gradient = row.map((z) => gradientElsewhere(z, logSumExp, temperature));
  gradient[targets[n]] = gradientAtTarget(logProb, temperature);
  const entropy = entropyOf(softmax);
  const logProbs = row.map((_, v) => logProbOf(row, v, softmax, temperature));
  const ofEntropy = logProbs.map((own) => entropyGradient(own, entropy, temperature));
  return { target: targets[n], logProb, logSumExp, entropy, gradient, entropyGradient: ofEntropy, logProbs };
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
  /** With an entropy bonus: |error| T / ((|c| + |e| (|log p| + H)) p), without the rounding of the output; p = 1 at the target. */
  bonus: number;
}

const NONE: Errors = { logProb: 0, share: 0, entropy: 0, gradient: 0, bonus: 0 };

const COEFFICIENT = -0.37;
const ENTROPY_COEFFICIENT = -0.83;
/** The promise on dLogits with an entropy bonus, in the unit of `Errors.bonus`. */
const BONUS_RELATIVE = 1e-6;

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
  const gradientWith = (entropyCoefficients: Float64Array | null): Float64Array => {
    const gradient = { ...logits, data: encode(new Float64Array(logits.data.length), dtype) };
    const status = ops.logitsGradient({
      logits,
      targets,
      actionMask: null,
      logProbs: args.logProbs,
      logSumExp: args.logSumExp!,
      coefficients: new Float64Array(count).fill(COEFFICIENT),
      entropy: args.entropy,
      entropyCoefficients,
      temperature,
      gradScale: 1,
      gradient,
      underflowed: null,
    });
    expect(status.code).toBe('ok');
    return decode(gradient.data, dtype);
  };
  const written = gradientWith(null);
  const withBonus = gradientWith(new Float64Array(count).fill(ENTROPY_COEFFICIENT));
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
      const both = exact + ENTROPY_COEFFICIENT * oracle.entropyGradient[v];
      const difference = withBonus[n * logits.width + v] - both;
      const bonusError = bonusErrorOf(difference, halfUlp(both, dtype), temperature, oracle, v);
      errors.bonus = Math.max(errors.bonus, bonusError);
    });
  }
  return errors;
}

/** Smaller than this, SIMD kernels make p 0, whatever it is to be multiplied with. */
const SMALLEST_NORMAL = 2 ** -126;

/** In the unit of `Errors.bonus`. */
function bonusErrorOf(difference: number, rounding: number, temperature: number, oracle: Oracle, v: number): number {
  const { entropy, logProbs, target } = oracle;
  const size = Math.abs(COEFFICIENT) + Math.abs(ENTROPY_COEFFICIENT) * (Math.abs(logProbs[v]) + entropy);
  const flushed = 2 * SMALLEST_NORMAL * Math.max(1, size / temperature);
  const error = Math.abs(difference) - rounding - flushed;
  // At the target 1 - p is not small where p is, and the log-prob has the digits of float32.
  const p = v === target ? 1 : Math.exp(logProbs[v]);
  return error <= 0 ? 0 : (error * temperature) / (size * p);
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
        'with entropy / ((|c| + |e| (|log p| + H)) p / T)': worst.bonus.toExponential(1),
      });
      expect(worst.share).toBeLessThanOrEqual(1);
      expect(worst.entropy).toBeLessThanOrEqual(ENTROPY_RELATIVE);
      expect(worst.gradient).toBeLessThanOrEqual(GRADIENT_ABSOLUTE);
      expect(worst.bonus).toBeLessThanOrEqual(BONUS_RELATIVE);
    });
  });
});

afterAll(() => {
  console.info('Largest errors against float64:');
  console.table(table);
});
