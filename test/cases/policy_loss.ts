/** Cases of policyLoss: the whole step in one call, at every ratio level and dtype, with and without turn statistics. */
import {
  type ChannelArgs,
  type DTypeOfLogits,
  GROUP_STAT_SLOTS,
  METRIC_SLOTS,
  type NonFinite,
  type PolicyLossArgs,
  type TurnStatisticsArgs,
} from '../../lib/ops.js';
import { decode, encode, halfUlp, ulp32 } from '../support/numbers.js';
import { random } from '../support/random.js';
import { denominatorsOf, isLastTurn, type Layout, randomLayout } from '../support/turns.js';
import { DTYPES } from './logits.js';
import { EXACT, type OpCase, type Output } from './op_case.js';
import { RATIOS } from './surrogate.js';

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
}

const GAIN: ChannelArgs = {
  signal: 'information-gain',
  matchOutcomeStd: false,
  stdFloor: 0,
  accumulate: 'none',
  gamma: 0,
  bootstrap: 'zero',
  group: 'prompt-turn',
  singleton: 'zero',
  center: 'mean',
  scale: 'std',
  ddof: 0,
  eps: 1e-6,
  varianceFloor: 1e-8,
  then: 'discounted',
  thenGamma: 0.9,
  thenDivide: 'sqrt-terms',
  weight: 0.3,
  lastWeight: 0.3,
};

function statisticsOf({ turns }: Layout, trajectories: number): TurnStatisticsArgs {
  const { normal, integer } = random(8);
  const output = () => new Float64Array(turns.starts.length).fill(-99);
  return {
    turns,
    groups: Int32Array.from({ length: trajectories }, () => integer(2)),
    outcome: Float64Array.from({ length: trajectories }, () => integer(3)),
    turnRewards: null,
    informationGain: Float64Array.from(turns.starts, (_, k) => (isLastTurn(turns, k) ? Number.NaN : normal())),
    channels: [GAIN, { ...GAIN, signal: 'outcome', group: 'prompt', then: 'none', weight: 1, lastWeight: 1 }],
    combine: 'sum',
    joinGamma: 0,
    normalizedChannel: 0,
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
  const statistics = variant.withStatistics ? statisticsOf(layout, variant.trajectories) : null;
  const logUniform = Math.log(width);
  const near = () => Float32Array.from({ length: count }, () => Math.min(0, -logUniform + 0.2 * normal()));
  return {
    statistics,
    gather: { logits, targets, actionMask, temperature: 0.9, nonFinite, logProbs, logSumExp, entropy },
    surrogate: {
      logProbs,
      oldLogProbs: near(),
      refLogProbs: variant.withKl ? near() : null,
      entropy,
      actionMask,
      turns,
      advantageLevel: 'turn',
      advantages: statistics?.advantages ?? Float64Array.from(turns.starts, normal),
      clipScale: statistics?.clipScale ?? null,
      ratio: RATIOS[variant.ratio],
      gate: { kind: 'ppo', low: 0.5, high: 0.5, dual: 3 },
      kl: { coef: variant.withKl ? 0.05 : 0, estimator: 'k3', logRatioClamp: 20, valueClamp: 10 },
      aggregate: 'token-mean',
      horizon: 1,
      denominators: denominatorsOf(turns),
      nonFinite,
      coefficients,
      metrics: new Float64Array(METRIC_SLOTS.length).fill(-99),
    },
    gradient: {
      logits,
      targets,
      actionMask,
      logProbs,
      logSumExp,
      coefficients: variant.deferred ? null : coefficients,
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
    metrics: surrogate.metrics,
    gradient: gradient.gradient.data,
    underflowed: gradient.underflowed!,
  };
}

/** A ratio is as good as its log-probs: a log-prob a few float32 ULP off moves every number downstream by as much. */
const RATIO_RELATIVE = 2e-5;

function outputs(args: PolicyLossArgs): Output[] {
  const { gather, surrogate, gradient } = args;
  const { coefficients, metrics } = surrogate;
  const most = coefficients.reduce((largest, c) => Math.max(largest, Math.abs(c)), 0);
  const why = 'log-probs of float32 carry through the ratio';
  const loose = { why, allowed: (expected: number) => RATIO_RELATIVE * Math.max(Math.abs(expected), most) };
  const sums = {
    why,
    allowed: (expected: number) => RATIO_RELATIVE * Math.max(Math.abs(expected), coefficients.length),
  };
  const counts = METRIC_SLOTS.map((slot, i) => ({ slot, value: metrics[i] })).filter(({ slot }) =>
    ['tokens', 'lossDenominator', 'nonFinite'].includes(slot),
  );
  const perRow = (gradient.coefficients === null ? 1 : most * gradient.gradScale) / gradient.temperature;
  return [
    { name: 'logProbs', values: gather.logProbs, tolerance: { why: 'a few ULP', allowed: (e) => 8 * ulp32(e) } },
    { name: 'coefficients', values: coefficients, tolerance: loose },
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
  const { dtype, ratio, width } = variant;
  const flags = (['withStatistics', 'inPlace', 'deferred', 'withKl'] as const).filter((flag) => variant[flag]);
  return {
    op: 'policyLoss',
    title: [dtype, ratio, `V ${width}`, `${variant.trajectories} trajectories`, variant.nonFinite, ...flags].join(', '),
    why,
    make: () => policyLossArgs(variant),
    outputs,
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
    ]),
  ),
  caseOf('nothing', { trajectories: 0 }),
];
