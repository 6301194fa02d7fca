/** Per-token estimators of KL(π ‖ π_ref) from x = log π - log π_ref, each with its derivative by log π. */
import type { KlArgs } from '../../ops.js';

/** Value and derivative of an estimator; `clamped`: a clamp was active, the derivative is then 0. */
export interface KlTerm {
  value: number;
  gradient: number;
  clamped: boolean;
}

/**
 * Unbiased, of high variance, may be negative.
 *
 *   k1 = x,   ∂k1/∂x = 1
 *
 * Source: Schulman, Approximating KL divergence, joschu.net/blog/kl-approx.html (2020).
 */
export function k1(x: number): KlTerm {
  return { value: x, gradient: 1, clamped: false };
}

/**
 * Biased, of low variance; on-policy its gradient is that of the KL divergence.
 *
 *   k2 = x² / 2,   ∂k2/∂x = x
 *
 * Source: as k1.
 */
export function k2(x: number): KlTerm {
  return { value: 0.5 * x * x, gradient: x, clamped: false };
}

/**
 * Unbiased, never negative. e⁻ˣ grows without bound where the policy has left the reference, hence two clamps.
 *
 *   y = clamp(-x, ±logRatioClamp),   k3 = min(eʸ - 1 - y, valueClamp),   ∂k3/∂x = 1 - eʸ = -expm1(y)
 *
 * Source: as k1; GRPO, arXiv 2402.03300; verl core_algos.kl_penalty low_var_kl (logRatioClamp 20, valueClamp 10).
 */
export function k3(x: number, logRatioClamp: number, valueClamp: number): KlTerm {
  const y = Math.min(Math.max(-x, -logRatioClamp), logRatioClamp);
  const raw = Math.expm1(y) - y;
  const clamped = Math.abs(x) > logRatioClamp || raw > valueClamp;
  return { value: Math.min(raw, valueClamp), gradient: clamped ? 0 : -Math.expm1(y), clamped };
}

/**
 * Never negative, with a gradient of constant size.
 *
 *   abs = |x|,   ∂abs/∂x = sign(x), 0 at 0
 *
 * Source: verl core_algos.kl_penalty abs.
 */
export function absKl(x: number): KlTerm {
  return { value: Math.abs(x), gradient: Math.sign(x), clamped: false };
}

/**
 * The estimator chosen by `kl.estimator`, with its clamps. `gradient: 'k2'` keeps its value and takes the gradient of
 * k2, x, which on-policy is that of the KL divergence. Clamps cut the value alone then: k2 needs none, verl has none.
 *
 * Source: verl core_algos.kl_penalty "k1+", "k3+".
 */
export function klTerm(x: number, kl: KlArgs): KlTerm {
  const own = estimate(x, kl);
  if (kl.gradient === 'own') return own;
  return { value: own.value, gradient: x, clamped: own.clamped };
}

function estimate(x: number, kl: KlArgs): KlTerm {
  switch (kl.estimator) {
    case 'k1':
      return k1(x);
    case 'k2':
      return k2(x);
    case 'k3':
      return k3(x, kl.logRatioClamp, kl.valueClamp);
    case 'abs':
      return absKl(x);
  }
}

/**
 * The estimator times the token's importance ratio: unbiased under the old policy, and so is its gradient.
 *
 *   value = ρ v,   ∂/∂log π = ρ (v + v') where ρ moves with log π, ρ v' where a clamp holds it
 *
 * Source: TRL grpo_trainer use_bias_correction_kl.
 */
export function correctByRatio({ value, gradient, clamped }: KlTerm, ratio: number, live: boolean): KlTerm {
  return { value: ratio * value, gradient: ratio * (live ? value + gradient : gradient), clamped };
}
