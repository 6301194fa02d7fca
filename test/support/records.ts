/** Neutral op records: every stage off. Cases and tests spread them and set what they are about. */
import type {
  ChannelArgs,
  GateArgs,
  KlArgs,
  ModulationArgs,
  RatioArgs,
  SurrogateArgs,
  TurnStatisticsArgs,
  WeightArgs,
  WhitenArgs,
} from '../../lib/ops.js';

const OFF = Number.POSITIVE_INFINITY;

export const NO_KL: KlArgs = {
  coef: 0,
  estimator: 'k1',
  gradient: 'own',
  ratioCorrection: false,
  logRatioClamp: OFF,
  valueClamp: OFF,
};

/** A trajectory-level channel: its outcome as it is. Set `level` and the signals. */
export const CHANNEL: ChannelArgs = {
  level: 'sequence',
  trajectorySignal: null,
  turnSignal: null,
  tokenSignal: null,
  place: 'last',
  klPenalty: NO_KL,
  matchOutcomeStd: false,
  stdFloor: 0,
  accumulate: 'none',
  gamma: 1,
  lambda: 1,
  bootstrap: 'zero',
  observation: 'skip',
  values: null,
  treeBackup: 'child-mean',
  treeBaseline: 'none',
  group: 'prompt',
  keys: null,
  members: 'all',
  singleton: 'zero',
  transform: 'none',
  center: 'none',
  baseline: null,
  scale: 'none',
  ddof: 0,
  eps: 0,
  varianceFloor: 0,
  leastStd: 0,
  then: 'none',
  thenGamma: 1,
  thenDivide: 'none',
  gateTemperature: 0,
  capEps: 0,
  use: 'advantage',
  weight: 1,
  lastWeight: 1,
};

export const NO_MODULATION: ModulationArgs = { kind: 'none', decay: 0, bonus: 0, bonusDecay: 0 };
export const NO_WHITEN: WhitenArgs = { kind: 'none', over: 'token', ddof: 0, eps: 0, varianceFloor: 0 };

/** Everything of TurnStatistics but turns, groups, channels and results. */
export const CREDIT_INPUTS = {
  outcome: null,
  actionMask: null,
  oldLogProbs: null,
  refLogProbs: null,
  turnEntropies: null,
  nodes: null,
  bootstrapValues: null,
  truncated: null,
  combine: 'sum',
  joinGamma: 1,
  modulation: NO_MODULATION,
  whiten: NO_WHITEN,
  normalizedChannel: 0,
  clipScaleBeta: 0,
  resultLevel: 'turn',
  ratioTargets: null,
} as const satisfies Partial<TurnStatisticsArgs>;

export const RATIO: RatioArgs = {
  level: 'token',
  form: 'straight-through',
  reduce: 'mean',
  clampLow: -20,
  clampHigh: 20,
  tokenClamp: OFF,
  clipLow: OFF,
  clipHigh: OFF,
};

export const GATE: GateArgs = {
  kind: 'ppo',
  low: OFF,
  high: OFF,
  dual: OFF,
  preserve: 'both',
  measure: 'ratio',
  coef: 0,
  positive: 1,
  negative: 1,
  positiveRate: 1,
  negativeRate: 1,
  temperature: 1,
};

export const WEIGHT: WeightArgs = {
  kind: 'importance',
  level: 'token',
  reduce: 'mean',
  mode: 'truncate',
  divergence: 'k1',
  low: 0,
  high: OFF,
  logClamp: 20,
};

/** What Surrogate may do without. */
export const LOSS_INPUTS = {
  refLogProbs: null,
  rolloutLogProbs: null,
  entropy: null,
  tokenWeights: null,
  groups: null,
  clipScale: null,
  ratioTargets: null,
  weights: [],
  kl: NO_KL,
  entropyCoef: 0,
  horizon: 1,
  entropyCoefficients: null,
} as const satisfies Partial<SurrogateArgs>;
