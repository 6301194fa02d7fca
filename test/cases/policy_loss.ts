/** Cases of policyLoss: the whole step in one call, at every ratio level and dtype, with every kind of loss, with and without turn statistics. */
import {
  type ChannelArgs,
  type DTypeOfLogits,
  GROUP_STAT_SLOTS,
  METRIC_SLOTS,
  type NonFinite,
  type PolicyLossArgs,
  type SurrogateArgs,
  type TurnStatisticsArgs,
} from '../../lib/ops.js';
import { decode, encode, halfUlp, ulp32 } from '../support/numbers.js';
import { random } from '../support/random.js';
import { CHANNEL, CREDIT_INPUTS, GATE, LOSS_INPUTS, NO_KL } from '../support/records.mjs';
import { denominatorsOf, isLastTurn, type Layout, randomLayout } from '../support/turns.js';
import { DTYPES } from './logits.js';
import { COUPLED, MORE_GATES, MORE_RATIOS, RATIOS, WEIGHTS } from './loss_options.js';
import { EXACT, type OpCase, type Output } from './op_case.js';

/** What the loss is made of, beside the usual clip. */
const LOSSES: Record<string, Partial<SurrogateArgs>> = {
  usual: {},
  bonus: { entropyCoef: 0.05 },
  'negative bonus, detached': { entropyCoef: -0.02, gate: MORE_GATES.detached },
  weights: { weights: WEIGHTS['all four kinds'] },
  'weights and bonus': { weights: WEIGHTS['sequence mean masked'], entropyCoef: 0.05 },
  gamma: { gate: MORE_GATES.gamma },
  'quadratic in the log-ratio': { gate: MORE_GATES['quadratic in the log-ratio'] },
  'mask by Bernoulli KL': { gate: MORE_GATES['mask by Bernoulli KL'] },
  'l1-target': { gate: MORE_GATES['l1-target'] },
  'coupled, with a bonus': {
    gate: COUPLED,
    ratio: RATIOS['sequence true'],
    aggregate: 'prompt-mean',
    entropyCoef: 0.05,
  },
  'clipped tokens': { ratio: MORE_RATIOS['sequence of clipped tokens, true'], gate: MORE_GATES['no bounds'] },
};

interface Variant {
  dtype: DTypeOfLogits;
  ratio: keyof typeof RATIOS;
  width: number;
  trajectories: number;
  withStatistics: boolean;
  inPlace: boolean;
  deferred: boolean;
  withKl: boolean;
  nonFinite: NonFinite;
  /** Default: usual. */
  loss?: keyof typeof LOSSES;
  /** The buffers of the entropy's gradient are given; default: where there is a bonus. */
  withEntropy?: boolean;
}

const GAIN: ChannelArgs = {
  ...CHANNEL,
  level: 'turn',
  group: 'prompt-turn',
  center: 'mean',
  scale: 'std',
  eps: 1e-6,
  varianceFloor: 1e-8,
  then: 'discounted',
  thenGamma: 0.9,
  thenDivide: 'sqrt-terms',
  weight: 0.3,
  lastWeight: 0.3,
};

function statisticsOf({ turns }: Layout, groups: Int32Array): TurnStatisticsArgs {
  const { normal, integer } = random(8);
  const output = () => new Float64Array(turns.starts.length).fill(-99);
  const outcome = Float64Array.from(groups, () => integer(3));
  const turnSignal = Float64Array.from(turns.starts, (_, k) => (isLastTurn(turns, k) ? Number.NaN : normal()));
  return {
    ...CREDIT_INPUTS,
    turns,
    groups,
    outcome,
    channels: [
      { ...GAIN, turnSignal },
      {
        ...GAIN,
        level: 'sequence',
        trajectorySignal: outcome,
        group: 'prompt',
        then: 'none',
        thenGamma: 1,
        thenDivide: 'none',
        weight: 1,
        lastWeight: 1,
      },
    ],
    clipScaleBeta: 0.3,
    advantages: output(),
    clipScale: output(),
    normalizedSignal: output(),
    groupStats: new Float64Array(2 * GROUP_STAT_SLOTS.length).fill(-99),
  };
}

export function policyLossArgs(variant: Variant): PolicyLossArgs {
  const layout = randomLayout(60, variant.trajectories);
  const { tokens: count, turns, actionMask } = layout;
  const { width, dtype, nonFinite } = variant;
  const { normal, integer } = random(61);
  // Rows outside the loss are NaN: what is read there shows.
  // Numbers repeat with a period that no width divides: drawing them is most of the work.
  const drawn = Float64Array.from({ length: 4099 }, () => 2 * normal());
  const values = Float64Array.from({ length: count * width }, (_, i) =>
    actionMask[Math.floor(i / width)] === 1 ? drawn[i % drawn.length] : Number.NaN,
  );
  const logits = { data: encode(values, dtype), dtype, width };
  const targets = Int32Array.from({ length: count }, () => integer(width));
  const logProbs = new Float32Array(count).fill(-99);
  const logSumExp = new Float64Array(count).fill(-99);
  const entropy = new Float32Array(count).fill(-99);
  const coefficients = new Float64Array(count).fill(-99);
  const entropyCoefficients = new Float64Array(count).fill(-99);
  const groups = Int32Array.from({ length: variant.trajectories }, () => integer(2));
  const statistics = variant.withStatistics ? statisticsOf(layout, groups) : null;
  const logUniform = Math.log(width);
  const near = () => Float32Array.from({ length: count }, () => Math.min(0, -logUniform + 0.2 * normal()));
  const loss = LOSSES[variant.loss ?? 'usual'];
  const withEntropy = variant.withEntropy ?? loss.entropyCoef !== undefined;
  const oldLogProbs = near();
  return {
    segment: null,
    statistics,
    gather: { logits, targets, actionMask, temperature: 0.9, nonFinite, logProbs, logSumExp, entropy },
    surrogate: {
      ...LOSS_INPUTS,
      logProbs,
      oldLogProbs,
      refLogProbs: variant.withKl ? near() : null,
      rolloutLogProbs: oldLogProbs.map((x) => x + 0.2 * normal()),
      tokenWeights: Float64Array.from({ length: count }, (_, n) => (n % 10 === 3 ? 0 : 1 + 0.3 * normal())),
      entropy,
      actionMask,
      turns,
      groups,
      advantageLevel: 'turn',
      advantages: statistics?.advantages ?? Float64Array.from(turns.starts, normal),
      clipScale: statistics?.clipScale ?? null,
      ratioTargets: Float64Array.from(turns.starts, normal),
      ratio: RATIOS[variant.ratio],
      gate: { ...GATE, low: 0.5, high: 0.5, dual: 3 },
      kl: variant.withKl ? { ...NO_KL, coef: 0.05, estimator: 'k3', logRatioClamp: 20, valueClamp: 10 } : NO_KL,
      aggregate: 'token-mean',
      denominators: { ...denominatorsOf(turns), prompts: new Set(groups).size },
      nonFinite,
      coefficients,
      entropyCoefficients: withEntropy ? entropyCoefficients : null,
      metrics: new Float64Array(METRIC_SLOTS.length).fill(-99),
      ...loss,
    },
    gradient: {
      logits,
      targets,
      actionMask,
      logProbs,
      logSumExp,
      coefficients: variant.deferred ? null : coefficients,
      entropy: withEntropy ? entropy : null,
      entropyCoefficients: withEntropy ? entropyCoefficients : null,
      temperature: 0.9,
      gradScale: 2,
      gradient: variant.inPlace
        ? logits
        : { ...logits, data: encode(new Float64Array(values.length).fill(-99), dtype) },
      underflowed: new Float64Array(1).fill(-99),
    },
  };
}

/** Everything that the call writes, for comparisons of bits. */
export function policyLossResults({ statistics, gather, surrogate, gradient }: PolicyLossArgs) {
  return {
    ...(statistics && {
      advantages: statistics.advantages,
      clipScale: statistics.clipScale,
      normalizedSignal: statistics.normalizedSignal,
      groupStats: statistics.groupStats,
    }),
    logProbs: gather.logProbs,
    logSumExp: gather.logSumExp!,
    entropy: gather.entropy!,
    coefficients: surrogate.coefficients,
    ...(surrogate.entropyCoefficients && { entropyCoefficients: surrogate.entropyCoefficients }),
    metrics: surrogate.metrics,
    gradient: gradient.gradient.data,
    underflowed: gradient.underflowed!,
  };
}

/** A ratio is as good as its log-probs: a log-prob a few float32 ULP off moves every number downstream by as much. */
const RATIO_RELATIVE = 2e-5;

function outputs(args: PolicyLossArgs): Output[] {
  const { gather, surrogate, gradient } = args;
  const { coefficients, entropyCoefficients, metrics } = surrogate;
  const largestOf = (values: ArrayLike<number>) =>
    Array.from(values).reduce((largest, c) => Math.max(largest, Math.abs(c)), 0);
  const most = largestOf(coefficients);
  const why = 'log-probs of float32 carry through the ratio';
  const loose = { why, allowed: (expected: number) => RATIO_RELATIVE * Math.max(Math.abs(expected), most) };
  const sums = {
    why,
    allowed: (expected: number) => RATIO_RELATIVE * Math.max(Math.abs(expected), coefficients.length),
  };
  const counts = METRIC_SLOTS.map((slot, i) => ({ slot, value: metrics[i] })).filter(({ slot }) =>
    ['tokens', 'lossDenominator', 'nonFinite'].includes(slot),
  );
  // |log p + H| is at most of the order of log V where p is not small.
  const ofEntropy = largestOf(entropyCoefficients ?? []) * Math.log(2 + gradient.logits.width);
  const applied = (most + ofEntropy) * gradient.gradScale;
  const perRow = (gradient.coefficients === null ? 1 : applied) / gradient.temperature;
  return [
    { name: 'logProbs', values: gather.logProbs, tolerance: { why: 'a few ULP', allowed: (e) => 8 * ulp32(e) } },
    { name: 'coefficients', values: coefficients, tolerance: loose },
    { name: 'entropyCoefficients', values: entropyCoefficients ?? [], tolerance: EXACT },
    { name: 'counts', values: counts.map(({ value }) => value), tolerance: EXACT },
    { name: 'metrics', values: metrics, tolerance: sums },
    {
      name: 'gradient',
      values: decode(gradient.gradient.data, gradient.gradient.dtype),
      tolerance: { why, allowed: (e) => RATIO_RELATIVE * perRow + 2 * halfUlp(e, gradient.gradient.dtype) },
    },
  ];
}

const USUAL: Variant = {
  dtype: 'f32',
  ratio: 'token',
  width: 33,
  trajectories: 6,
  withStatistics: true,
  inPlace: false,
  deferred: false,
  withKl: false,
  nonFinite: 'throw',
};

function caseOf(why: string, change: Partial<Variant>): OpCase<'policyLoss'> {
  const variant = { ...USUAL, ...change };
  const { dtype, ratio, width, loss = 'usual' } = variant;
  const flags = (['withStatistics', 'inPlace', 'deferred', 'withKl', 'withEntropy'] as const).filter(
    (flag) => variant[flag],
  );
  return {
    op: 'policyLoss',
    title: [dtype, ratio, loss, `V ${width}`, `${variant.trajectories} trajectories`, variant.nonFinite, ...flags].join(
      ', ',
    ),
    why,
    make: () => policyLossArgs(variant),
    outputs,
  };
}

function refused(why: string, change: Partial<Variant>, spoil: (args: PolicyLossArgs) => void): OpCase<'policyLoss'> {
  const given = caseOf(why, change);
  return {
    ...given,
    title: `invalid: ${why}`,
    make: () => {
      const args = given.make();
      spoil(args);
      return args;
    },
    status: { code: 'invalid-argument', position: -1 },
  };
}

export const POLICY_LOSS_CASES: readonly OpCase<'policyLoss'>[] = [
  ...DTYPES.flatMap((dtype) =>
    Object.keys(RATIOS).flatMap((ratio) => [
      caseOf('the usual step', { dtype, ratio }),
      caseOf('in place, where a row may not be read after it was written', { dtype, ratio, inPlace: true }),
      caseOf('deferred, in place', { dtype, ratio, inPlace: true, deferred: true }),
      caseOf('checked first, in place, with KL', {
        dtype,
        ratio,
        inPlace: true,
        nonFinite: 'check-first',
        withKl: true,
      }),
      caseOf('given advantages', { dtype, ratio, withStatistics: false }),
      caseOf('many short rows: several blocks of rows per thread', {
        dtype,
        ratio,
        trajectories: 60,
        width: 5,
        inPlace: true,
      }),
      caseOf('long rows: two column segments', { dtype, ratio, trajectories: 1, width: 16411, inPlace: true }),
      ...[false, true].map((inPlace) =>
        caseOf('an entropy bonus through the logits', { dtype, ratio, inPlace, loss: 'bonus' }),
      ),
      caseOf('a bonus in long rows', { dtype, ratio, trajectories: 1, width: 16411, inPlace: true, loss: 'bonus' }),
    ]),
  ),
  ...DTYPES.flatMap((dtype, d) =>
    Object.keys(LOSSES).flatMap((loss, i) => [
      caseOf('every kind of loss', {
        dtype,
        loss,
        inPlace: d % 2 === 0,
        ratio: Object.keys(RATIOS)[(i + d) % 5],
        withKl: true,
      }),
      caseOf('many short rows', { dtype, loss, trajectories: 60, width: 5, inPlace: true, nonFinite: 'propagate' }),
    ]),
  ),
  ...Object.keys(LOSSES)
    .filter((loss) => LOSSES[loss].entropyCoef === undefined)
    .map((loss) => caseOf('deferred row scale', { loss, deferred: true, withStatistics: false })),
  caseOf('buffers of an entropy bonus that is off', { withEntropy: true }),
  caseOf('nothing', { trajectories: 0 }),
  caseOf('nothing, with a bonus', { trajectories: 0, loss: 'bonus' }),
  refused('a bonus that the gradient would not have', { loss: 'bonus', withEntropy: false }, () => undefined),
  refused('a bonus with a deferred row scale', { loss: 'bonus', deferred: true }, () => undefined),
  refused('entropy that is not what was gathered', { loss: 'bonus' }, (args) => {
    args.gradient.entropy = new Float32Array(args.gather.targets.length);
  }),
  refused('entropy coefficients that are not what was computed', { loss: 'bonus' }, (args) => {
    args.gradient.entropyCoefficients = new Float64Array(args.gather.targets.length);
  }),
];
