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
export type { Logits } from './loss/logits.js';
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
export { type A2tgpoOptions, a2tgpo } from './presets/a2tgpo.js';
export { type ArpoOptions, arpo } from './presets/arpo.js';
export { type AtpoOptions, atpo } from './presets/atpo.js';
export { type CispoOptions, cispo } from './presets/cispo.js';
export type { Clip, Compat } from './presets/common.js';
export { type DapoOptions, dapo } from './presets/dapo.js';
export { type DrGrpoOptions, drGrpo } from './presets/dr_grpo.js';
export { type EmpgOptions, empg } from './presets/empg.js';
export { type EpoOptions, epo } from './presets/epo.js';
export { type G2rpoOptions, g2rpo } from './presets/g2rpo.js';
export { type GbpoOptions, gbpo } from './presets/gbpo.js';
export { type GdpoOptions, gdpo } from './presets/gdpo.js';
export { type GigpoOptions, gigpo } from './presets/gigpo.js';
export { type GmpoOptions, gmpo } from './presets/gmpo.js';
export { type GrpoOptions, grpo } from './presets/grpo.js';
export { type GspoOptions, gspo } from './presets/gspo.js';
export { type GspoTokenOptions, gspoToken } from './presets/gspo_token.js';
export { type HgpoOptions, hgpo } from './presets/hgpo.js';
export { type HiperOptions, hiper } from './presets/hiper.js';
export { type IgpoOptions, igpo } from './presets/igpo.js';
export { type InfoPoOptions, infoPo } from './presets/info_po.js';
export { type LuspoOptions, luspo } from './presets/luspo.js';
export { type MapoOptions, mapo } from './presets/mapo.js';
export { type MatchTirOptions, matchTir } from './presets/match_tir.js';
export { type MtGrpoOptions, mtGrpo } from './presets/mt_grpo.js';
export { type OpoOptions, opo } from './presets/opo.js';
export { type PortoolOptions, portool } from './presets/portool.js';
export { type PpoOptions, ppo } from './presets/ppo.js';
export { type R2vpoOptions, r2vpo } from './presets/r2vpo.js';
export { type RealOptions, real } from './presets/real.js';
export { type ReinforcePlusPlusOptions, reinforcePlusPlus } from './presets/reinforce_plus_plus.js';
export {
  type ReinforcePlusPlusBaselineOptions,
  reinforcePlusPlusBaseline,
} from './presets/reinforce_plus_plus_baseline.js';
export { type RemaxOptions, remax } from './presets/remax.js';
export { type RlooOptions, rloo } from './presets/rloo.js';
export { type SapoOptions, sapo } from './presets/sapo.js';
export { type SiopOptions, siop } from './presets/siop.js';
export { type SpaRlOptions, spaRl } from './presets/spa_rl.js';
export { type StPpoOptions, stPpo } from './presets/st_ppo.js';
export { type StratifiedGrpoOptions, stratifiedGrpo } from './presets/stratified_grpo.js';
export { type TPpoOptions, tPpo } from './presets/t_ppo.js';
export { type TrlooOptions, trloo } from './presets/trloo.js';
export { type TurnPpoOptions, turnPpo } from './presets/turn_ppo.js';
export { type VespoOptions, vespo } from './presets/vespo.js';
export type { DType, FloatDType } from './tensor/dtype.js';
// Data in
export { Tensor, type TensorDevice, tensor } from './tensor/tensor.js';
