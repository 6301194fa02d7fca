/**
 * `turnwise/reference`: the formulas in float64 TypeScript, to read beside the papers and to test backends against.
 * Shapes: N tokens, V vocabulary, M trajectories, K turns.
 */
// biome-ignore-all assist/source/organizeImports: a table of contents, in the order of the data's way

// Sums and 16-bit numbers
export { reproducibleSum } from './math/reproducible_sum.js';
export { fromBf16 } from './math/half.js';
export { fromF16 } from './math/half.js';
export { toBf16 } from './math/half.js';
export { toF16 } from './math/half.js';

// From logits to log-probabilities and back
export { softmaxRow } from './math/softmax.js';
export { logProbOf } from './math/softmax.js';
export { logSumExpOf } from './math/softmax.js';
export { entropyOf } from './math/softmax.js';
export { gradientAtTarget } from './math/softmax.js';
export { gradientElsewhere } from './math/softmax.js';
export { entropyGradient } from './math/softmax.js';
export type { RowSoftmax } from './math/softmax.js';

// Credit assignment, in the order of the stages
export { discounted } from './math/accumulate.js';
export { gae } from './math/accumulate.js';
export { treeValues } from './math/tree_values.js';
export type { Leaf } from './math/tree_values.js';
export type { Tree } from './math/tree_values.js';
export { rankGauss } from './math/rank_gauss.js';
export { normalQuantile } from './math/normal_quantile.js';
export { groupMoments } from './math/normalize.js';
export { normalizeGroup } from './math/normalize.js';
export { divisorOf } from './math/normalize.js';
export { quotient } from './math/normalize.js';
export { flooredStd } from './math/normalize.js';
export type { GroupContext } from './math/normalize.js';
export type { GroupMoments } from './math/normalize.js';
export type { NormalizeOptions } from './math/normalize.js';
export { divideBySqrtTerms } from './math/accumulate.js';
export { magnitudeCap } from './math/cap_and_gate.js';
export { outcomeGate } from './math/cap_and_gate.js';
export { entropyModulation } from './math/modulation.js';
export type { TurnModulation } from './math/modulation.js';
export { weightedMoments } from './math/weighted_moments.js';
export type { WeightedMoments } from './math/weighted_moments.js';
export { whiten } from './math/whiten.js';
export { sigmoid } from './math/clip_scale.js';
export { clipScale } from './math/clip_scale.js';

// Loss
export { tokenLogRatio } from './math/ratio.js';
export { reduceValues } from './math/ratio.js';
export { meanLogRatio } from './math/ratio.js';
export { clampLogRatio } from './math/ratio.js';
export { isClamped } from './math/ratio.js';
export type { TokenLogRatio } from './math/ratio.js';
export { gateTerm } from './math/gate.js';
export { ppoTerm } from './math/gates/ppo.js';
export { ppoBounds } from './math/gates/ppo.js';
export { ppoValue } from './math/gates/ppo.js';
export { ppoDerivative } from './math/gates/ppo.js';
export { clippedHigh } from './math/gates/ppo.js';
export { clippedLow } from './math/gates/ppo.js';
export { clippedDual } from './math/gates/ppo.js';
export { detachedTerm } from './math/gates/detached.js';
export { gammaTerm } from './math/gates/gamma.js';
export { gradPreservingTerm } from './math/gates/grad_preserving.js';
export { sigmoidTerm } from './math/gates/sigmoid.js';
export { quadraticTerm } from './math/gates/quadratic.js';
export { l1TargetTerm } from './math/gates/l1_target.js';
export { maskTerm } from './math/gates/mask.js';
export { signedBernoulliKl } from './math/gates/mask.js';
export { softplusOfMany } from './math/gates/log_sum_exp.js';
export type { GateInput } from './math/gates/term.js';
export type { GateTerm } from './math/gates/term.js';
export type { PpoBounds } from './math/gates/ppo.js';
export { importanceWeight } from './math/importance_weight.js';
export { rolloutDivergence } from './math/importance_weight.js';
export { acceptance } from './math/importance_weight.js';
export { offPolicyFactor } from './math/importance_weight.js';
export type { ImportanceWeight } from './math/importance_weight.js';
export { k1 } from './math/kl.js';
export { k2 } from './math/kl.js';
export { k3 } from './math/kl.js';
export { absKl } from './math/kl.js';
export { klTerm } from './math/kl.js';
export { correctByRatio } from './math/kl.js';
export type { KlTerm } from './math/kl.js';
export { termWeight } from './math/aggregate.js';
export { lossDenominator } from './math/aggregate.js';

// All ops
export { reference } from './backend.js';
export type { Backend } from '../ops.js';
