/**
 * The op contract in TypeScript: argument records and the `Ops` interface that every backend implements.
 *
 * The same names, fields and order as `native/ops.h`, where each op and shape is documented; `test/contract.test.ts` holds the
 * two against each other. Records are flat and complete (no optional field; `null` = absent), because they are what
 * crosses into native code. Users never see them: `lib/estimator/plan.ts` makes them from an estimator.
 *
 * Shapes: N tokens (rows of logits), V vocabulary, M trajectories, K turns, C channels.
 */

export type DTypeOfLogits = 'f32' | 'bf16' | 'f16';

/** A row-major matrix [count, width]; `count = data.length / width`. bf16 and f16 travel as their 16 bits. */
export interface Rows {
  data: Float32Array | Uint16Array;
  dtype: DTypeOfLogits;
  width: number;
}

export type StatusCode =
  | 'ok'
  | 'aborted'
  | 'invalid-argument'
  | 'target-out-of-range'
  | 'non-finite-logits'
  | 'non-finite-log-prob'
  | 'logits-too-large'
  | 'turn-unclosed'
  | 'turn-unopened'
  | 'turn-nested'
  | 'turn-order'
  | 'turn-split'
  | 'turn-overlap'
  | 'turn-range'
  | 'mask-outside-turn'
  | 'group-of-one'
  | 'out-of-memory';

/** How an op ended; `position` is the first offending row, token, turn or span (-1: none). */
export interface Status {
  code: StatusCode;
  position: number;
}

/** policyLoss refuses rows with |logSumExp| above this, unless log Σ exp(z - max) is negligible; native/ops.h says why. */
export const LARGEST_LOG_SUM_EXP = 2 ** 31;
export const NEGLIGIBLE_LOG_SUM = 1e-7;

export type SegmentBy = 'turn-ids' | 'action-mask' | 'delimiters' | 'spans';
export type Unclosed = 'throw' | 'end';
export type NonFinite = 'throw' | 'check-first' | 'propagate';
export type Signal = 'outcome' | 'turn-reward' | 'information-gain' | 'joined';
export type Accumulate = 'none' | 'discounted';
export type Bootstrap = 'zero' | 'outcome';
export type GroupBy = 'batch' | 'prompt' | 'prompt-turn';
export type Singleton = 'zero' | 'raw' | 'throw';
export type Center = 'none' | 'mean';
export type Scale = 'none' | 'std';
export type Divide = 'none' | 'sqrt-terms';
export type Combine = 'sum' | 'join';
export type Level = 'token' | 'turn' | 'sequence';
export type RatioForm = 'straight-through' | 'true';
export type GateKind = 'ppo';
export type KlEstimator = 'k1' | 'k2' | 'k3';
export type Aggregate =
  | 'token-mean'
  | 'seq-mean-token-mean'
  | 'seq-mean-token-sum'
  | 'seq-mean-token-sum-norm'
  | 'turn-mean-token-mean'
  | 'token-sum';

/** Slots of `SurrogateArgs.metrics`, in order. Meanings: `TURNWISE_METRIC` in native/ops.h. */
export const METRIC_SLOTS = [
  'lossNumerator',
  'lossDenominator',
  'policyNumerator',
  'klNumerator',
  'tokens',
  'clippedLow',
  'clippedHigh',
  'clippedDual',
  'clampedLogRatio',
  'clampedKl',
  'ratioSum',
  'ratioSquareSum',
  'ratioMin',
  'ratioMax',
  'oldKlK1Sum',
  'oldKlK3Sum',
  'klSum',
  'entropySum',
  'nonFinite',
] as const;
export type MetricSlot = (typeof METRIC_SLOTS)[number];

/** Slots of one channel's row of `TurnStatisticsArgs.groupStats`, in order. */
export const GROUP_STAT_SLOTS = ['groups', 'singletons', 'zeroVariance', 'members', 'smallest', 'largest'] as const;
export type GroupStatSlot = (typeof GROUP_STAT_SLOTS)[number];

export interface TurnsArgs {
  starts: Int32Array;
  ends: Int32Array;
  tokens: Int32Array;
  trajectory: Int32Array;
  index: Int32Array;
}

export interface ChannelArgs {
  signal: Signal;
  matchOutcomeStd: boolean;
  stdFloor: number;
  accumulate: Accumulate;
  gamma: number;
  bootstrap: Bootstrap;
  group: GroupBy;
  singleton: Singleton;
  center: Center;
  scale: Scale;
  ddof: number;
  eps: number;
  varianceFloor: number;
  then: Accumulate;
  thenGamma: number;
  thenDivide: Divide;
  weight: number;
  lastWeight: number;
}

export interface RatioArgs {
  level: Level;
  form: RatioForm;
  clampLow: number;
  clampHigh: number;
}

export interface GateArgs {
  kind: GateKind;
  low: number;
  high: number;
  dual: number;
}

export interface KlArgs {
  coef: number;
  estimator: KlEstimator;
  logRatioClamp: number;
  valueClamp: number;
}

export interface DenominatorsArgs {
  tokens: number;
  turns: number;
  sequences: number;
}

export interface SegmentTurnsArgs {
  by: SegmentBy;
  trajectoryOffsets: Int32Array;
  actionMask: Uint8Array | null;
  turnIds: Int32Array | null;
  tokenIds: Int32Array | null;
  openToken: number;
  closeToken: number;
  unclosed: Unclosed;
  spanStarts: Int32Array | null;
  spanEnds: Int32Array | null;
  starts: Int32Array;
  ends: Int32Array;
  tokens: Int32Array;
  trajectory: Int32Array;
  index: Int32Array;
  count: Int32Array;
}

export interface GatherLogProbsArgs {
  logits: Rows;
  targets: Int32Array;
  actionMask: Uint8Array | null;
  temperature: number;
  nonFinite: NonFinite;
  logProbs: Float32Array;
  logSumExp: Float64Array | null;
  entropy: Float32Array | null;
}

export interface TurnStatisticsArgs {
  turns: TurnsArgs;
  groups: Int32Array;
  outcome: Float64Array | null;
  turnRewards: Float64Array | null;
  informationGain: Float64Array | null;
  channels: readonly ChannelArgs[];
  combine: Combine;
  joinGamma: number;
  normalizedChannel: number;
  clipScaleBeta: number;
  advantages: Float64Array;
  clipScale: Float64Array;
  normalizedSignal: Float64Array;
  groupStats: Float64Array;
}

export interface SurrogateArgs {
  logProbs: Float32Array;
  oldLogProbs: Float32Array;
  refLogProbs: Float32Array | null;
  entropy: Float32Array | null;
  actionMask: Uint8Array;
  turns: TurnsArgs;
  advantageLevel: Level;
  advantages: Float64Array;
  clipScale: Float64Array | null;
  ratio: RatioArgs;
  gate: GateArgs;
  kl: KlArgs;
  aggregate: Aggregate;
  horizon: number;
  denominators: DenominatorsArgs;
  nonFinite: NonFinite;
  coefficients: Float64Array;
  metrics: Float64Array;
}

export interface LogitsGradientArgs {
  logits: Rows;
  targets: Int32Array;
  actionMask: Uint8Array | null;
  logProbs: Float32Array;
  logSumExp: Float64Array;
  coefficients: Float64Array | null;
  temperature: number;
  gradScale: number;
  gradient: Rows;
  underflowed: Float64Array | null;
}

export interface PolicyLossArgs {
  statistics: TurnStatisticsArgs | null;
  gather: GatherLogProbsArgs;
  surrogate: SurrogateArgs;
  gradient: LogitsGradientArgs;
}

/** What a backend can do. Each op reads its inputs and writes into the buffers it is given. */
export interface Ops {
  segmentTurns(args: SegmentTurnsArgs): Status;
  gatherLogProbs(args: GatherLogProbsArgs): Status;
  turnStatistics(args: TurnStatisticsArgs): Status;
  surrogate(args: SurrogateArgs): Status;
  logitsGradient(args: LogitsGradientArgs): Status;
  policyLoss(args: PolicyLossArgs): Status;
}

export type OpName = keyof Ops;

/** `abort[0]` set to 1 stops a running op between rows. */
export type AsyncOps = {
  [Name in OpName]: (args: Parameters<Ops[Name]>[0], abort: Int32Array) => Promise<Status>;
};

export interface Backend {
  readonly name: 'reference' | 'cpu' | 'cuda';
  readonly ops: Ops;
  readonly async: AsyncOps;
}
