/** turnwise: the reinforcement-learning loss of multi-turn LLM agents, and its gradient. The public names, in the data's way. */

// The machine
export { type Configuration, configure, type Info, info } from './backend/info.js';
export type { Device } from './backend/select.js';
export type { Integers, Mask, Reals } from './check/arrays.js';
export type { Credit, SliceOptions, TrajectoryIds } from './credit/credit.js';
export type { CustomContext, CustomFunctions } from './credit/custom.js';
export { type Denominators, type DenominatorsInput, sumDenominators } from './credit/denominators.js';
// Phase A: credit per turn
export {
  type EstimateAdvantagesInput,
  type EstimateAdvantagesOptions,
  estimateAdvantages,
} from './credit/estimate_advantages.js';
export type { CreditRow, CreditRows } from './credit/rows.js';
export type { CreditSignals } from './credit/signals.js';
export type { GroupStats } from './credit/turn_statistics.js';
export { type InformationGainInput, informationGain } from './data/information_gain.js';
export {
  type Delimiters,
  type SegmentTurnsInput,
  type SegmentTurnsOptions,
  segmentTurns,
  type TurnSources,
  type Turns,
} from './data/turns.js';
export { type BackendCode, BackendError, type InvalidInputCode, InvalidInputError } from './errors.js';
// Methods are data
export { estimator } from './estimator/estimator.js';
export type * from './estimator/stages/index.js';
export type { CustomStage, Entropy, Estimator, EstimatorInput } from './estimator/types.js';
export type { LogitsBatch, LogProbsBatch } from './loss/batch.js';
export type { CreditSource } from './loss/batch_credit.js';

// Phase B: loss and gradient
export {
  type GatherLogProbsInput,
  type GatherLogProbsOptions,
  type GatherLogProbsResult,
  gatherLogProbs,
  gatherLogProbsSync,
} from './loss/gather_log_probs.js';
export type { DeviceLogits, Logits } from './loss/logits.js';
export type { Metrics } from './loss/metrics.js';
export type { AsyncOptions, CallOptions } from './loss/options.js';
export {
  type LogitsOptions,
  type LogitsResult,
  type LogProbsOptions,
  type LogProbsResult,
  policyLoss,
  policyLossSync,
} from './loss/policy_loss.js';
export type { Level } from './ops.js';
export type { Clip, Compat } from './presets/common.js';
export * from './presets/methods.js';
export type { DType, FloatDType } from './tensor/dtype.js';
// Data in
export { Tensor, type TensorDevice, tensor } from './tensor/tensor.js';
