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
  | 'tree-broken'
  | 'turn-count'
  | 'out-of-memory'
  | 'device-error'
  | 'device-lost';

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
export type Level = 'token' | 'turn' | 'sequence';
export type Place = 'last' | 'every';
export type Accumulate = 'none' | 'discounted' | 'gae' | 'tree';
export type Bootstrap = 'zero' | 'outcome' | 'carry' | 'given';
export type Observation = 'skip' | 'reset';
export type TreeBackup = 'child-mean' | 'child-softmax' | 'leaf-mean';
export type TreeBaseline = 'none' | 'parent' | 'root';
export type GroupBy = 'batch' | 'prompt' | 'prompt-turn' | 'prompt-key' | 'parent';
export type Members = 'all' | 'first';
export type Singleton = 'zero' | 'raw' | 'throw';
export type Transform = 'none' | 'rank-gauss';
export type Center = 'none' | 'mean' | 'leave-one-out' | 'median' | 'length-weighted' | 'given';
export type Scale = 'none' | 'std' | 'batch-std';
export type Then = 'none' | 'discounted' | 'tree';
export type Divide = 'none' | 'sqrt-terms';
export type ChannelUse = 'advantage' | 'ratio-target';
export type Combine = 'sum' | 'join' | 'weighted-mean';
export type Modulate = 'none' | 'entropy';
export type WhitenKind = 'none' | 'center' | 'standardize';
export type RatioForm = 'straight-through' | 'true';
export type Reduce = 'mean' | 'sum' | 'max';
export type GateKind =
  | 'ppo'
  | 'detached'
  | 'gamma'
  | 'grad-preserving'
  | 'sigmoid'
  | 'quadratic'
  | 'l1-target'
  | 'mask'
  | 'log-sum-exp';
export type Side = 'both' | 'low' | 'high';
export type Measure = 'ratio' | 'log-ratio' | 'probability' | 'bernoulli-kl';
export type WeightKind = 'importance' | 'reject' | 'given' | 'off-policy-mask';
export type WeightMode = 'truncate' | 'mask';
export type KlEstimator = 'k1' | 'k2' | 'k3' | 'abs';
export type KlGradient = 'own' | 'k2';
export type Aggregate =
  | 'token-mean'
  | 'seq-mean-token-mean'
  | 'seq-mean-token-sum'
  | 'seq-mean-token-sum-norm'
  | 'turn-mean-token-mean'
  | 'token-sum'
  | 'prompt-mean';

/** Slots of `SurrogateArgs.metrics`, in order. Meanings: `TURNWISE_METRIC` in native/vocabulary.h. */
export const METRIC_SLOTS = [
  'lossNumerator',
  'lossDenominator',
  'policyNumerator',
  'klNumerator',
  'entropyNumerator',
  'tokens',
  'clippedLow',
  'clippedHigh',
  'clippedDual',
  'clampedLogRatio',
  'clampedKl',
  'masked',
  'truncatedWeights',
  'ratioSum',
  'ratioSquareSum',
  'ratioMin',
  'ratioMax',
  'weightSum',
  'weightSquareSum',
  'weightMin',
  'weightMax',
  'oldKlK1Sum',
  'oldKlK3Sum',
  'klSum',
  'entropySum',
  'nonFinite',
  'largestCoefficient',
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

export interface KlArgs {
  coef: number;
  estimator: KlEstimator;
  gradient: KlGradient;
  ratioCorrection: boolean;
  logRatioClamp: number;
  valueClamp: number;
}

export interface ChannelArgs {
  level: Level;
  trajectorySignal: Float64Array | null;
  turnSignal: Float64Array | null;
  tokenSignal: Float64Array | null;
  place: Place;
  klPenalty: KlArgs;
  matchOutcomeStd: boolean;
  stdFloor: number;
  accumulate: Accumulate;
  gamma: number;
  lambda: number;
  bootstrap: Bootstrap;
  observation: Observation;
  values: Float64Array | null;
  treeBackup: TreeBackup;
  treeBaseline: TreeBaseline;
  group: GroupBy;
  keys: Int32Array | null;
  members: Members;
  singleton: Singleton;
  transform: Transform;
  center: Center;
  baseline: Float64Array | null;
  scale: Scale;
  ddof: number;
  eps: number;
  varianceFloor: number;
  leastStd: number;
  then: Then;
  thenGamma: number;
  thenDivide: Divide;
  gateTemperature: number;
  capEps: number;
  use: ChannelUse;
  weight: number;
  lastWeight: number;
}

export interface ModulationArgs {
  kind: Modulate;
  decay: number;
  bonus: number;
  bonusDecay: number;
}

export interface WhitenArgs {
  kind: WhitenKind;
  over: Level;
  ddof: number;
  eps: number;
  varianceFloor: number;
}

export interface RatioArgs {
  level: Level;
  form: RatioForm;
  reduce: Reduce;
  clampLow: number;
  clampHigh: number;
  tokenClamp: number;
  clipLow: number;
  clipHigh: number;
}

export interface GateArgs {
  kind: GateKind;
  low: number;
  high: number;
  dual: number;
  preserve: Side;
  measure: Measure;
  coef: number;
  positive: number;
  negative: number;
  positiveRate: number;
  negativeRate: number;
  temperature: number;
}

export interface WeightArgs {
  kind: WeightKind;
  level: Level;
  reduce: Reduce;
  mode: WeightMode;
  divergence: KlEstimator;
  low: number;
  high: number;
  logClamp: number;
}

export interface DenominatorsArgs {
  tokens: number;
  turns: number;
  sequences: number;
  prompts: number;
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
  effectiveMask: Uint8Array | null;
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
  actionMask: Uint8Array | null;
  oldLogProbs: Float32Array | null;
  refLogProbs: Float32Array | null;
  turnEntropies: Float64Array | null;
  nodes: Int32Array | null;
  bootstrapValues: Float64Array | null;
  truncated: Uint8Array | null;
  channels: readonly ChannelArgs[];
  combine: Combine;
  joinGamma: number;
  modulation: ModulationArgs;
  whiten: WhitenArgs;
  normalizedChannel: number;
  clipScaleBeta: number;
  resultLevel: Level;
  advantages: Float64Array;
  clipScale: Float64Array;
  ratioTargets: Float64Array | null;
  normalizedSignal: Float64Array;
  groupStats: Float64Array;
}

export interface SurrogateArgs {
  logProbs: Float32Array;
  oldLogProbs: Float32Array;
  refLogProbs: Float32Array | null;
  rolloutLogProbs: Float32Array | null;
  entropy: Float32Array | null;
  tokenWeights: Float64Array | null;
  actionMask: Uint8Array;
  turns: TurnsArgs;
  groups: Int32Array | null;
  advantageLevel: Level;
  advantages: Float64Array;
  clipScale: Float64Array | null;
  ratioTargets: Float64Array | null;
  ratio: RatioArgs;
  gate: GateArgs;
  weights: readonly WeightArgs[];
  kl: KlArgs;
  entropyCoef: number;
  aggregate: Aggregate;
  horizon: number;
  denominators: DenominatorsArgs | null;
  nonFinite: NonFinite;
  coefficients: Float64Array;
  entropyCoefficients: Float64Array | null;
  metrics: Float64Array;
}

export interface LogitsGradientArgs {
  logits: Rows;
  targets: Int32Array;
  actionMask: Uint8Array | null;
  logProbs: Float32Array;
  logSumExp: Float64Array;
  coefficients: Float64Array | null;
  entropy: Float32Array | null;
  entropyCoefficients: Float64Array | null;
  temperature: number;
  gradScale: number;
  gradient: Rows;
  underflowed: Float64Array | null;
}

export interface PolicyLossArgs {
  segment: SegmentTurnsArgs | null;
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
