/**
 * Neutral op records: every stage off. Cases and tests spread them and set what they are about. JavaScript with types in comments, because
 * fixtures that run in plain node spread them too.
 */
const OFF = Number.POSITIVE_INFINITY;

/** @type {import('../../lib/ops.js').KlArgs} */
export const NO_KL = {
  coef: 0,
  estimator: 'k1',
  gradient: 'own',
  ratioCorrection: false,
  logRatioClamp: OFF,
  valueClamp: OFF,
};

/** A trajectory-level channel: its outcome as it is. Set `level` and the signals. @type {import('../../lib/ops.js').ChannelArgs} */
export const CHANNEL = {
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

/** @type {import('../../lib/ops.js').ModulationArgs} */
export const NO_MODULATION = { kind: 'none', decay: 0, bonus: 0, bonusDecay: 0 };

/** @type {import('../../lib/ops.js').WhitenArgs} */
export const NO_WHITEN = { kind: 'none', over: 'token', ddof: 0, eps: 0, varianceFloor: 0 };

/**
 * Everything of TurnStatistics but turns, groups, channels and results.
 *
 * @satisfies {Partial<import('../../lib/ops.js').TurnStatisticsArgs>}
 */
export const CREDIT_INPUTS = /** @type {const} */ ({
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
});

/** @type {import('../../lib/ops.js').RatioArgs} */
export const RATIO = {
  level: 'token',
  form: 'straight-through',
  reduce: 'mean',
  clampLow: -20,
  clampHigh: 20,
  tokenClamp: OFF,
  clipLow: OFF,
  clipHigh: OFF,
};

/** @type {import('../../lib/ops.js').GateArgs} */
export const GATE = {
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

/** @type {import('../../lib/ops.js').WeightArgs} */
export const WEIGHT = {
  kind: 'importance',
  level: 'token',
  reduce: 'mean',
  mode: 'truncate',
  divergence: 'k1',
  low: 0,
  high: OFF,
  logClamp: 20,
};

/**
 * What Surrogate may do without.
 *
 * @satisfies {Partial<import('../../lib/ops.js').SurrogateArgs>}
 */
export const LOSS_INPUTS = /** @type {const} */ ({
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
});
