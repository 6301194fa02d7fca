/** A weight of the shape of a gamma density in the ratio, not differentiated, on the token's log-probability. */
import type { GateArgs } from '../../../ops.js';
import { type GateInput, type GateTerm, NO_TERM } from './term.js';

/**
 *   φ = exp(λ + k x - λ ρ),   f = -sg(φ) A log π,   ∂f/∂log π = -φ A
 *
 * φ(ρ = 1) = 1, and φ falls on both sides of ρ = k / λ. k, λ are those of the advantage's sign. A φ that is not finite
 * counts as 0.
 *
 * Source: VESPO, arXiv 2602.10693 (k, λ = 2, 3 for A ≥ 0 and 3, 2 for A < 0; ratio of the sequence sum); TRL.
 */
export function gammaTerm(gate: GateArgs, { advantage, ratio, logRatio, logProb }: GateInput): GateTerm {
  const shape = advantage > 0 ? gate.positive : gate.negative;
  const rate = advantage > 0 ? gate.positiveRate : gate.negativeRate;
  const phi = Math.exp(rate + shape * logRatio - rate * ratio);
  const direct = Number.isFinite(phi) ? -phi * advantage : 0;
  return { ...NO_TERM, value: direct * logProb, direct };
}
