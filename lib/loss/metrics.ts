import type { GroupStats } from '../credit/turn_statistics.js';
import type { Estimator } from '../estimator/types.js';
import { METRIC_SLOTS, type MetricSlot } from '../ops.js';

/** What happened in a call. Fractions and means are over the loss tokens of this batch; 0 where there are none. */
export interface Metrics {
  /** loss = lossNumerator / lossDenominator (0 where the denominator is 0). Numerators of micro-batches add up. */
  readonly lossNumerator: number;
  readonly lossDenominator: number;
  /** The three parts of lossNumerator. */
  readonly policyNumerator: number;
  readonly klNumerator: number;
  readonly entropyNumerator: number;
  /** Loss tokens of this batch. */
  readonly tokens: number;
  /** `clipFractionLow + clipFractionHigh`: tokens whose gradient the clip range switched off (dual clip is counted apart). */
  readonly clipFraction: number;
  readonly clipFractionLow: number;
  readonly clipFractionHigh: number;
  /** Tokens where dual clip was active. */
  readonly clipFractionDual: number;
  /** KL(old ‖ current) by k1: mean of old - current, in nats. */
  readonly approxKlK1: number;
  /** KL(old ‖ current) by k3: mean of exp(x) - 1 - x, x = current - old, in nats. */
  readonly approxKl: number;
  /** Tokens that a mask (gate `mask`, rejection, off-policy mask, weight 0) took out of the surrogate. */
  readonly maskedFraction: number;
  /** The product of a token's weights, over tokens; null without weights. */
  readonly weights: {
    readonly min: number;
    readonly mean: number;
    readonly max: number;
    /** (Σw)² / Σw² / tokens, in [0, 1]. */
    readonly effectiveSampleSize: number;
    /** Share of tokens whose importance weight was cut. */
    readonly truncatedFraction: number;
  } | null;
  /** Mean of the KL term's estimator to the reference; null without one. */
  readonly kl: number | null;
  /** Mean entropy of the policy in nats; null from log-probs. */
  readonly entropy: number | null;
  /** Importance ratio at the estimator's level, over tokens; null without loss tokens. */
  readonly ratio: { readonly min: number; readonly mean: number; readonly max: number } | null;
  /** (Σρ)² / Σρ² / tokens, in [0, 1]: 1 on-policy, 0 without weight. */
  readonly effectiveSampleSize: number;
  /** Tokens whose log-ratio hit ratio.clamp (their gradient is 0). */
  readonly clampedLogRatios: number;
  /** Tokens whose KL hit a clamp. */
  readonly clampedKl: number;
  /** Loss tokens with a non-finite log-prob (nonFinite: 'propagate'). */
  readonly nonFinite: number;
  /** Gradient elements that were not 0 in float32 (those below 2^-126 are), and became 0 in bf16 or f16. */
  readonly underflowedGradients: number;
  /** One entry per channel where credit was assigned; null where advantages were given. */
  readonly groups: readonly GroupStats[] | null;
  /** Of the logits; null from log-probs. */
  readonly temperature: number | null;
  /** What ran. */
  readonly backend: 'cpu' | 'cuda' | 'reference';
}

interface Context {
  estimator: Estimator;
  hasEntropy: boolean;
  underflowed: number;
  groups: readonly GroupStats[] | null;
  temperature: number | null;
  backend: Metrics['backend'];
}

/** Forms the means from the op's sums and counts. */
export function makeMetrics(slots: Float64Array, context: Context): Metrics {
  const at = (slot: MetricSlot) => slots[METRIC_SLOTS.indexOf(slot)];
  const tokens = at('tokens');
  const mean = (slot: MetricSlot) => (tokens === 0 ? 0 : at(slot) / tokens);
  const sampleSize = (sum: MetricSlot, squares: MetricSlot) =>
    at(squares) === 0 ? 0 : at(sum) ** 2 / at(squares) / tokens;
  const weighted = context.estimator.weights.length > 0 && tokens > 0;
  return Object.freeze({
    lossNumerator: at('lossNumerator'),
    lossDenominator: at('lossDenominator'),
    policyNumerator: at('policyNumerator'),
    klNumerator: at('klNumerator'),
    entropyNumerator: at('entropyNumerator'),
    tokens,
    clipFraction: mean('clippedLow') + mean('clippedHigh'),
    clipFractionLow: mean('clippedLow'),
    clipFractionHigh: mean('clippedHigh'),
    clipFractionDual: mean('clippedDual'),
    approxKlK1: mean('oldKlK1Sum'),
    approxKl: mean('oldKlK3Sum'),
    maskedFraction: mean('masked'),
    weights: weighted
      ? Object.freeze({
          min: at('weightMin'),
          mean: mean('weightSum'),
          max: at('weightMax'),
          effectiveSampleSize: sampleSize('weightSum', 'weightSquareSum'),
          truncatedFraction: mean('truncatedWeights'),
        })
      : null,
    kl: context.estimator.kl === null ? null : mean('klSum'),
    entropy: context.hasEntropy ? mean('entropySum') : null,
    ratio: tokens === 0 ? null : Object.freeze({ min: at('ratioMin'), mean: mean('ratioSum'), max: at('ratioMax') }),
    effectiveSampleSize: sampleSize('ratioSum', 'ratioSquareSum'),
    clampedLogRatios: at('clampedLogRatio'),
    clampedKl: at('clampedKl'),
    nonFinite: at('nonFinite'),
    underflowedGradients: context.underflowed,
    groups: context.groups,
    temperature: context.temperature,
    backend: context.backend,
  });
}
