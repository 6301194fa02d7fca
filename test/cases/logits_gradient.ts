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
}

const PLAIN: Variant = { inPlace: false, deferred: false, gradScale: 1, magnitude: 1 };

/** Log-probs and log-sum-exp as the reference gathers them: this op is compared on its own. */
export function gathered(logitsCase: LogitsCase, dtype: DTypeOfLogits): GatherLogProbsArgs {
  const { gaps, ...input } = makeLogits(logitsCase, dtype);
  const count = input.targets.length;
  const args: GatherLogProbsArgs = {
    ...input,
    nonFinite: 'throw',
    logProbs: new Float32Array(count),
    logSumExp: new Float64Array(count),
    entropy: null,
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

function makeArgs(logitsCase: LogitsCase, dtype: DTypeOfLogits, variant: Variant): LogitsGradientArgs {
  const { logits, targets, actionMask, logProbs, logSumExp, temperature } = gathered(logitsCase, dtype);
  const gradient: Rows = variant.inPlace
    ? logits
    : { ...logits, data: encode(new Float64Array(logits.data.length).fill(-99), dtype) };
  return {
    logits,
    targets,
    actionMask,
    logProbs,
    logSumExp: logSumExp!,
    coefficients: variant.deferred ? null : coefficientsOf(targets.length, variant.magnitude),
    temperature,
    gradScale: variant.gradScale,
    gradient,
    underflowed: new Float64Array(1).fill(-99),
  };
}

export function gradientOutputs(args: LogitsGradientArgs): Output[] {
  const { gradient, targets, coefficients, gradScale, temperature } = args;
  const values = decode(gradient.data, gradient.dtype);
  const scaleOf = (n: number) => (coefficients === null ? 1 : Math.abs(coefficients[n] * gradScale)) / temperature;
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
    {
      name: 'gradient at the target',
      values: Float64Array.from(targets, (target, n) => values[n * gradient.width + target]),
      tolerance: {
        why: 'expm1 of the log-prob: near p = 1 it is small, and is all there is',
        allowed: (expected) => 2 * halfUlp(expected, gradient.dtype) + 2 ** -149,
      },
    },
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
  ].filter((word) => word !== '');
  return {
    op: 'logitsGradient',
    title: [dtype, logitsCase.title, ...how].join(', '),
    why: logitsCase.why,
    make: () => makeArgs(logitsCase, dtype, variant),
    outputs: (args) => (variant === PLAIN ? gradientOutputs(args) : [...gradientOutputs(args), underflowOutput(args)]),
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

export const LOGITS_GRADIENT_CASES: readonly OpCase<'logitsGradient'>[] = DTYPES.flatMap((dtype) => [
  ...LOGITS_CASES.map((logitsCase) => caseOf(logitsCase, dtype)),
  ...some.flatMap((logitsCase) => [
    caseOf(logitsCase, dtype, { ...PLAIN, inPlace: true }),
    caseOf(logitsCase, dtype, { ...PLAIN, deferred: true, inPlace: true }),
    caseOf(logitsCase, dtype, { ...PLAIN, gradScale: 1024 }),
    // Below the range of f16 and above its subnormals: rounding decides what is left.
    caseOf(logitsCase, dtype, { ...PLAIN, magnitude: 1e-6, gradScale: 0.5 }),
  ]),
]);
