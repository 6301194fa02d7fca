/** Cases of logitsGradient: all logits cases with coefficients of every kind, in place and out of place, scaled and deferred. */
import type { DTypeOfLogits, GatherLogProbsArgs, LogitsGradientArgs, Rows } from '../../lib/ops.js';
import { reference } from '../../lib/reference/index.js';
import { decode, encode, halfUlp } from '../support/numbers.js';
import { random } from '../support/random.js';
import { DTYPES, LOGITS_CASES, type LogitsCase, makeLogits } from './logits.js';
import type { OpCase, Output } from './op_case.js';

/** The promise on dLogits, times |coefficient| gradScale / T, before rounding to the output's dtype. */
export const GRADIENT_ABSOLUTE = 4e-7;

interface Variant {
  inPlace: boolean;
  deferred: boolean;
  gradScale: number;
  /** Multiplies the coefficients. */
  magnitude: number;
  /** Entropy's coefficients: none, beside those of the log-probs, alone, or all 0. */
  entropy: 'none' | 'both' | 'alone' | 'zero';
}

const PLAIN: Variant = { inPlace: false, deferred: false, gradScale: 1, magnitude: 1, entropy: 'none' };

/** Log-probs, log-sum-exp and entropy as the reference gathers them: this op is compared on its own. */
export function gathered(logitsCase: LogitsCase, dtype: DTypeOfLogits): GatherLogProbsArgs {
  const { gaps, ...input } = makeLogits(logitsCase, dtype);
  const count = input.targets.length;
  const args: GatherLogProbsArgs = {
    ...input,
    nonFinite: 'throw',
    logProbs: new Float32Array(count),
    logSumExp: new Float64Array(count),
    entropy: new Float32Array(count),
  };
  const status = reference.ops.gatherLogProbs(args);
  if (status.code !== 'ok') throw new Error(`${logitsCase.title}: ${status.code} at ${status.position}`);
  return args;
}

/** Coefficients of both signs; every fourth is exactly 0. */
function coefficientsOf(count: number, magnitude: number): Float64Array {
  const { normal } = random(count);
  return Float64Array.from({ length: count }, (_, n) => (n % 4 === 3 ? 0 : magnitude * normal()));
}

/** Of both signs; 0 in every third row, which meets a coefficient of 0 in every twelfth. */
function entropyCoefficientsOf(count: number, { entropy, magnitude }: Variant): Float64Array | null {
  if (entropy === 'none') return null;
  const { normal } = random(count + 1);
  return Float64Array.from({ length: count }, (_, n) => (entropy === 'zero' || n % 3 === 1 ? 0 : magnitude * normal()));
}

function makeArgs(logitsCase: LogitsCase, dtype: DTypeOfLogits, variant: Variant): LogitsGradientArgs {
  const { logits, targets, actionMask, logProbs, logSumExp, entropy, temperature } = gathered(logitsCase, dtype);
  const coefficients = coefficientsOf(targets.length, variant.entropy === 'alone' ? 0 : variant.magnitude);
  const gradient: Rows = variant.inPlace
    ? logits
    : { ...logits, data: encode(new Float64Array(logits.data.length).fill(-99), dtype) };
  return {
    logits,
    targets,
    actionMask,
    logProbs,
    logSumExp: logSumExp!,
    coefficients: variant.deferred ? null : coefficients,
    entropy: variant.entropy === 'none' ? null : entropy,
    entropyCoefficients: entropyCoefficientsOf(targets.length, variant),
    temperature,
    gradScale: variant.gradScale,
    gradient,
    underflowed: new Float64Array(1).fill(-99),
  };
}

export function gradientOutputs(args: LogitsGradientArgs): Output[] {
  const { gradient, targets, coefficients, entropy, entropyCoefficients, gradScale, temperature } = args;
  const values = decode(gradient.data, gradient.dtype);
  // p (log p + H): H itself where p is near 1, and |p log p| is below 1.
  const ofEntropy = (n: number) =>
    entropyCoefficients === null ? 0 : Math.abs(entropyCoefficients[n]) * (1 + Math.abs(entropy?.[n] ?? 0));
  const scaleOf = (n: number) =>
    (coefficients === null ? 1 : (Math.abs(coefficients[n]) + ofEntropy(n)) * gradScale) / temperature;
  const atTarget = {
    name: 'gradient at the target',
    values: Float64Array.from(targets, (target, n) => values[n * gradient.width + target]),
    tolerance: {
      why: 'expm1 of the log-prob: near p = 1 it is small, and is all there is',
      allowed: (expected: number) => 2 * halfUlp(expected, gradient.dtype) + 2 ** -149,
    },
  };
  return [
    {
      name: 'gradient',
      values,
      tolerance: {
        why: `the promise: ${GRADIENT_ABSOLUTE} |coefficient| / T, then one rounding on either side`,
        allowed: (expected, i) => {
          const before = GRADIENT_ABSOLUTE * scaleOf(Math.floor(i / gradient.width));
          return before === 0 ? 0 : before + 2 * halfUlp(Math.abs(expected) + before, gradient.dtype);
        },
      },
    },
    // With entropy's part the two cancel, and what is left has the error of the larger one.
    ...(entropyCoefficients === null ? [atTarget] : []),
  ];
}

/**
 * The reference also counts what is subnormal in float32, which SIMD kernels make 0 on the way: compared only where no element
 * is that small.
 */
function underflowOutput({ underflowed }: LogitsGradientArgs): Output {
  return {
    name: 'underflowed',
    values: underflowed ?? [],
    tolerance: {
      why: 'elements that an error of the gradient moves across the bound where rounding gives 0',
      allowed: (expected) => Math.ceil(0.002 * expected),
    },
  };
}

function caseOf(logitsCase: LogitsCase, dtype: DTypeOfLogits, variant: Variant = PLAIN): OpCase<'logitsGradient'> {
  const how = [
    variant.inPlace ? 'in place' : '',
    variant.deferred ? 'deferred' : '',
    variant.gradScale === 1 ? '' : `gradScale ${variant.gradScale}`,
    variant.magnitude === 1 ? '' : `coefficients of ${variant.magnitude}`,
    variant.entropy === 'none' ? '' : `entropy ${variant.entropy}`,
  ].filter((word) => word !== '');
  return {
    op: 'logitsGradient',
    title: [dtype, logitsCase.title, ...how].join(', '),
    why: logitsCase.why,
    make: () => makeArgs(logitsCase, dtype, variant),
    outputs: (args) =>
      some.includes(logitsCase) ? [...gradientOutputs(args), underflowOutput(args)] : gradientOutputs(args),
  };
}

const some = LOGITS_CASES.filter(({ title }) =>
  [
    'noise 5 x 2',
    'noise 5 x 33',
    'many short rows',
    'noise 2 x 16385',
    'masked rows of NaN',
    '-Infinity in a third of the vocabulary',
  ].includes(title),
);

function refused(why: string, spoil: (args: LogitsGradientArgs) => unknown): OpCase<'logitsGradient'> {
  return {
    op: 'logitsGradient',
    title: `invalid: ${why}`,
    why,
    make: () => {
      const args = makeArgs(some[1], 'f32', { ...PLAIN, entropy: 'both' });
      spoil(args);
      return args;
    },
    status: { code: 'invalid-argument', position: -1 },
    outputs: () => [],
  };
}

export const LOGITS_GRADIENT_CASES: readonly OpCase<'logitsGradient'>[] = [
  ...DTYPES.flatMap((dtype) => [
    ...LOGITS_CASES.flatMap((logitsCase) => [
      caseOf(logitsCase, dtype),
      caseOf(logitsCase, dtype, { ...PLAIN, entropy: 'both' }),
    ]),
    ...some.flatMap((logitsCase) => [
      caseOf(logitsCase, dtype, { ...PLAIN, inPlace: true }),
      caseOf(logitsCase, dtype, { ...PLAIN, deferred: true, inPlace: true }),
      caseOf(logitsCase, dtype, { ...PLAIN, gradScale: 1024 }),
      // Below the range of f16 and above its subnormals: rounding decides what is left.
      caseOf(logitsCase, dtype, { ...PLAIN, magnitude: 1e-6, gradScale: 0.5 }),
      caseOf(logitsCase, dtype, { ...PLAIN, inPlace: true, entropy: 'both', gradScale: 16 }),
      caseOf(logitsCase, dtype, { ...PLAIN, inPlace: true, entropy: 'alone' }),
      caseOf(logitsCase, dtype, { ...PLAIN, inPlace: true, entropy: 'zero' }),
    ]),
  ]),
  refused('entropy coefficients without coefficients', (args) => (args.coefficients = null)),
  refused('entropy coefficients without entropy', (args) => (args.entropy = null)),
  refused('entropy of too few rows', (args) => (args.entropy = args.entropy?.slice(1) ?? null)),
  refused(
    'entropy coefficients of too few rows',
    (args) => (args.entropyCoefficients = args.entropyCoefficients?.slice(1) ?? null),
  ),
];
