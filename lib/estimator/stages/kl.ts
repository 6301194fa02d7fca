import type { Fields } from '../../check/fields.js';
import type { KlArgs, KlEstimator, KlGradient } from '../../ops.js';

/**
 * S12, a penalty coef * KL(π ‖ reference) per token, x = logProbs - refLogProbs (Schulman's estimators):
 *
 *   k1 = x,   k2 = x² / 2,   k3 = exp(-x) + x - 1,   abs = |x|
 *
 * - `gradient: 'k2'` keeps the value and takes the gradient x of k2, the only one that is that of the KL divergence on-policy (verl's k1+, k3+).
 * - `ratioCorrection` multiplies the estimator, and differentiates, by the token's importance ratio (TRL's use_bias_correction_kl).
 * - The exponent of k3 is clamped at ±logRatioClamp and its value at valueClamp (null = off); beyond them its own gradient is 0, counted in the metrics (that of k2 has no clamp).
 *
 * Aggregated like the surrogate.
 */
export type Kl = KlValue & { gradient: KlGradient; ratioCorrection: boolean };

export type KlInput = KlValueInput & { gradient?: KlGradient; ratioCorrection?: boolean };

/** An estimator and its weight. */
export type KlValue =
  | { coef: number; estimator: Exclude<KlEstimator, 'k3'> }
  | { coef: number; estimator: 'k3'; logRatioClamp: number | null; valueClamp: number | null };

export type KlValueInput =
  | { coef: number; estimator: Exclude<KlEstimator, 'k3'> }
  | { coef: number; estimator: 'k3'; logRatioClamp?: number | null; valueClamp?: number | null };

export function readKl(fields: Fields): Kl {
  const gradient = fields.oneOf('gradient', ['own', 'k2'], 'own');
  return { ...readKlValue(fields), gradient, ratioCorrection: fields.boolean('ratioCorrection', false) };
}

export function readKlValue(fields: Fields): KlValue {
  const coef = fields.number('coef', { above: 0 });
  const estimator = fields.oneOf('estimator', ['k1', 'k2', 'k3', 'abs']);
  if (estimator !== 'k3') return { coef, estimator };
  return {
    coef,
    estimator,
    logRatioClamp: fields.numberOrNull('logRatioClamp', { above: 0 }, 20),
    valueClamp: fields.numberOrNull('valueClamp', { above: 0 }, null),
  };
}

/** The flat record of native/ops.h; null = off. */
export function klArgs(kl: Kl | KlValue | null): KlArgs {
  const { coef, estimator } = kl ?? { coef: 0, estimator: 'k1' as const };
  const { gradient, ratioCorrection } = kl !== null && 'gradient' in kl ? kl : OWN;
  const clamps = kl?.estimator === 'k3' ? kl : { logRatioClamp: null, valueClamp: null };
  return {
    coef,
    estimator,
    gradient,
    ratioCorrection,
    logRatioClamp: clamps.logRatioClamp ?? Infinity,
    valueClamp: clamps.valueClamp ?? Infinity,
  };
}

const OWN = { gradient: 'own', ratioCorrection: false } as const;
