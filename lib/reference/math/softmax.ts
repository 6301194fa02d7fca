/**
 * One row of logits: log-probability of a token, log-sum-exp, entropy, and the gradient of the log-probability.
 * The largest logit never enters the sum of exponentials, so that a probability near 1 keeps all digits of 1 - p.
 */

/** What one pass over a row leaves behind. */
export interface RowSoftmax {
  /** False: a logit is NaN or +Infinity, or every logit is -Infinity; the other fields then mean nothing. */
  finite: boolean;
  /** Column of the largest logit; the first one of several. */
  argmax: number;
  /** m, the largest logit. */
  max: number;
  /** s = Σ_{i ≠ argmax} exp((zᵢ - m) / T) */
  rest: number;
  /** Σ_{i ≠ argmax} (m - zᵢ) / T · exp((zᵢ - m) / T) */
  spread: number;
}

/**
 * Sums of a softmax row relative to its largest logit.
 *
 *   m = maxᵢ zᵢ,   s = Σ_{i ≠ argmax} exp((zᵢ - m) / T)
 *
 * (zᵢ - m) / T and not zᵢ/T - m/T: the difference of two large rounded quotients would lose the digits of a small gap.
 * A logit of -Infinity has probability 0 and adds 0 · log 0 = 0 to the entropy.
 *
 * Source: log-sum-exp with the maximum taken out, e.g. Blanchard, Higham and Higham, arXiv 1909.03469.
 *
 * @param row logits z [V]
 * @param temperature T > 0
 */
export function softmaxRow(row: Float64Array, temperature: number): RowSoftmax {
  let argmax = 0;
  let isNumber = true;
  for (let i = 0; i < row.length; i++) {
    if (Number.isNaN(row[i])) isNumber = false;
    if (row[i] > row[argmax]) argmax = i;
  }
  const max = row[argmax];
  if (!isNumber || !Number.isFinite(max)) return { finite: false, argmax, max, rest: Number.NaN, spread: Number.NaN };
  let rest = 0;
  let spread = 0;
  for (let i = 0; i < row.length; i++) {
    if (i === argmax) continue;
    const gap = (row[i] - max) / temperature;
    const term = Math.exp(gap);
    if (term === 0) continue;
    rest += term;
    spread -= gap * term;
  }
  return { finite: true, argmax, max, rest, spread };
}

/**
 * Log-probability of one token under softmax(z / T).
 *
 *   log p(t) = -log1p(s) for t = argmax,   (z_t - m) / T - log1p(s) otherwise
 *
 * Source: as `softmaxRow`.
 *
 * @param row logits z [V]
 * @param target t in [0, V)
 */
export function logProbOf(row: Float64Array, target: number, softmax: RowSoftmax, temperature: number): number {
  if (!softmax.finite) return Number.NaN;
  const logRest = Math.log1p(softmax.rest);
  return target === softmax.argmax ? -logRest : (row[target] - softmax.max) / temperature - logRest;
}

/**
 * Log of the softmax denominator.
 *
 *   lse = log Σᵢ exp(zᵢ / T) = m / T + log1p(s)
 */
export function logSumExpOf(softmax: RowSoftmax, temperature: number): number {
  return softmax.finite ? softmax.max / temperature + Math.log1p(softmax.rest) : Number.NaN;
}

/**
 * Entropy of softmax(z / T) in nats, never negative, exactly 0 for V = 1.
 *
 *   H = -Σᵢ pᵢ log pᵢ = log1p(s) + Σᵢ (m - zᵢ) / T · exp((zᵢ - m) / T) / (1 + s)
 */
export function entropyOf(softmax: RowSoftmax): number {
  return softmax.finite ? Math.log1p(softmax.rest) + softmax.spread / (1 + softmax.rest) : Number.NaN;
}

/**
 * Derivative of the target's log-probability by the target's own logit.
 *
 *   ∂ log p(t) / ∂z_t = (1 - p_t) / T = -expm1(log p_t) / T
 *
 * 1 - exp(log p) would cancel to 0 for p near 1, where the gradient is small but is all there is.
 */
export function gradientAtTarget(logProb: number, temperature: number): number {
  return -Math.expm1(logProb) / temperature;
}

/**
 * Derivative of the target's log-probability by another token's logit.
 *
 *   ∂ log p(t) / ∂z_v = -p_v / T = -exp(z_v / T - lse) / T,   v ≠ t
 */
export function gradientElsewhere(logit: number, logSumExp: number, temperature: number): number {
  return -Math.exp(logit / temperature - logSumExp) / temperature;
}

/**
 * Derivative of the entropy of softmax(z / T) by a logit.
 *
 *   ∂H / ∂z_v = -p_v (log p_v + H) / T
 *
 * 0 for p_v = 0, where p log p is 0 and not 0 · Infinity.
 *
 * @param logProb log p_v: z_v / T - lse, or the log-probability of the target as gathered
 * @param entropy H
 */
export function entropyGradient(logProb: number, entropy: number, temperature: number): number {
  const p = Math.exp(logProb);
  return p === 0 ? 0 : (-p * (logProb + entropy)) / temperature;
}
