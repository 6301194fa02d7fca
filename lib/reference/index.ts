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
export type { RowSoftmax } from './math/softmax.js';

// Credit assignment
export { groupMoments } from './math/normalize.js';
export { normalizeGroup } from './math/normalize.js';
export { flooredStd } from './math/normalize.js';
export type { GroupMoments } from './math/normalize.js';
export type { NormalizeOptions } from './math/normalize.js';
export { discounted } from './math/accumulate.js';
export { divideBySqrtTerms } from './math/accumulate.js';
export { sigmoid } from './math/clip_scale.js';
export { clipScale } from './math/clip_scale.js';

// Loss
export { meanLogRatio } from './math/ratio.js';
export { clampLogRatio } from './math/ratio.js';
export { isClamped } from './math/ratio.js';
export { ppoBounds } from './math/gate.js';
export { ppoValue } from './math/gate.js';
export { ppoDerivative } from './math/gate.js';
export { clippedHigh } from './math/gate.js';
export { clippedLow } from './math/gate.js';
export { clippedDual } from './math/gate.js';
export type { PpoBounds } from './math/gate.js';
export { k1 } from './math/kl.js';
export { k2 } from './math/kl.js';
export { k3 } from './math/kl.js';
export { klTerm } from './math/kl.js';
export type { KlTerm } from './math/kl.js';
export { termWeight } from './math/aggregate.js';
export { lossDenominator } from './math/aggregate.js';

// All ops
export { reference } from './backend.js';
export type { Backend } from '../ops.js';
