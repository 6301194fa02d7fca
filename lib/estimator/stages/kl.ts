import type { Fields } from '../../check/fields.js';
import type { KlArgs, KlEstimator } from '../../ops.js';

/**
 * S12, a penalty coef * KL(π ‖ reference) per token, x = logProbs - refLogProbs (Schulman's estimators):
 *
 *   k1 = x,   k2 = x² / 2,   k3 = exp(-x) + x - 1
 *
 * k3's exponent is clamped at ±logRatioClamp and its value at valueClamp (null = off); beyond them its gradient is 0, counted in the metrics.
 * Aggregated like the surrogate.
 */
export type Kl =
  | { coef: number; estimator: Exclude<KlEstimator, 'k3'> }
  | { coef: number; estimator: 'k3'; logRatioClamp: number | null; valueClamp: number | null };

export type KlInput =
  | { coef: number; estimator: Exclude<KlEstimator, 'k3'> }
  | { coef: number; estimator: 'k3'; logRatioClamp?: number | null; valueClamp?: number | null };

export function readKl(fields: Fields): Kl {
  const coef = fields.number('coef', { above: 0 });
  const estimator = fields.oneOf('estimator', ['k1', 'k2', 'k3']);
  if (estimator !== 'k3') return { coef, estimator };
  return {
    coef,
    estimator,
    logRatioClamp: fields.numberOrNull('logRatioClamp', { above: 0 }, 20),
    valueClamp: fields.numberOrNull('valueClamp', { above: 0 }, null),
  };
}

export function klArgs(kl: Kl | null): KlArgs {
  if (kl === null) return { coef: 0, estimator: 'k1', logRatioClamp: Infinity, valueClamp: Infinity };
  const clamps = kl.estimator === 'k3' ? kl : { logRatioClamp: null, valueClamp: null };
  return {
    coef: kl.coef,
    estimator: kl.estimator,
    logRatioClamp: clamps.logRatioClamp ?? Infinity,
    valueClamp: clamps.valueClamp ?? Infinity,
  };
}
