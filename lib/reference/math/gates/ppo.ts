/** The clipped surrogate of one token as a function of its ratio, and its derivative by the log-ratio. */
import type { GateArgs } from '../../../ops.js';
import type { GateInput, GateTerm } from './term.js';

/** Bounds of the ratio: [lo, hi], and dual > 1 for negative advantages (Infinity = no dual clip). */
export interface PpoBounds {
  lo: number;
  hi: number;
  dual: number;
}

/**
 * Bounds of the clipping range.
 *
 *   lo = 1 - low · c,   hi = 1 + high · c
 *
 * @param low, high epsilons of the estimator; Infinity = no bound, whatever c
 * @param scale c, the clip scale of the token's turn; 1 where there is none
 */
export function ppoBounds(low: number, high: number, dual: number, scale: number): PpoBounds {
  const { POSITIVE_INFINITY: OFF } = Number;
  return { lo: low === OFF ? -OFF : 1 - low * scale, hi: high === OFF ? OFF : 1 + high * scale, dual };
}

/** As `ppoValue` and `ppoDerivative`; the derivative is 0 where the ratio's clamp is active, too. */
export function ppoTerm({ low, high, dual }: GateArgs, { advantage, ratio, clamped, clipScale }: GateInput): GateTerm {
  const bounds = ppoBounds(low, high, dual, clipScale);
  return {
    value: ppoValue(advantage, ratio, bounds),
    gradient: clamped ? 0 : ppoDerivative(advantage, ratio, bounds),
    direct: 0,
    clippedLow: clippedLow(advantage, ratio, bounds),
    clippedHigh: clippedHigh(advantage, ratio, bounds),
    clippedDual: clippedDual(advantage, ratio, bounds),
    masked: false,
  };
}

/**
 * Clipped surrogate, to be minimised.
 *
 *   f = max(-Aρ, -A clip(ρ, lo, hi));   for A < 0 also f = min(f, -A dual)
 *
 * A = 0 gives 0 even for an infinite ratio.
 *
 * Source: PPO, arXiv 1707.06347; dual clip, arXiv 1912.09729; verl core_algos.compute_policy_loss.
 *
 * @param advantage A
 * @param ratio ρ ≥ 0
 */
export function ppoValue(advantage: number, ratio: number, { lo, hi, dual }: PpoBounds): number {
  if (advantage === 0) return 0;
  const clipped = Math.min(Math.max(ratio, lo), hi);
  const value = Math.max(-advantage * ratio, -advantage * clipped);
  return advantage < 0 ? Math.min(value, -advantage * dual) : value;
}

/**
 * Derivative of the clipped surrogate by the log-ratio x, ρ = exp(x).
 *
 *   ∂f/∂x = -Aρ where the unclipped branch is live, 0 for (A > 0, ρ > hi), (A < 0, ρ < lo), (A < 0, ρ > dual)
 *
 * Exactly at a bound the branches coincide and the gradient passes, as in torch, whose clamp passes at its own bounds.
 * The caller adds the other dead zone, a log-ratio outside its clamp (`isClamped`).
 */
export function ppoDerivative(advantage: number, ratio: number, bounds: PpoBounds): number {
  if (advantage === 0) return 0;
  const dead =
    clippedHigh(advantage, ratio, bounds) ||
    clippedLow(advantage, ratio, bounds) ||
    clippedDual(advantage, ratio, bounds);
  return dead ? 0 : -advantage * ratio;
}

/** A > 0 and ρ > hi: the token is already more likely than the range allows. */
export function clippedHigh(advantage: number, ratio: number, { hi }: PpoBounds): boolean {
  return advantage > 0 && ratio > hi;
}

/** A < 0 and ρ < lo: the token is already less likely than the range allows. */
export function clippedLow(advantage: number, ratio: number, { lo }: PpoBounds): boolean {
  return advantage < 0 && ratio < lo;
}

/** A < 0 and ρ > dual: a bad token became so likely that its term would dominate the batch. */
export function clippedDual(advantage: number, ratio: number, { dual }: PpoBounds): boolean {
  return advantage < 0 && ratio > dual;
}
