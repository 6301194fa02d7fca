/** A soft gate in place of the clip. */
import type { GateArgs } from '../../../ops.js';
import { sigmoid } from '../clip_scale.js';
import { type GateInput, type GateTerm, NO_TERM } from './term.js';

/**
 *   s = σ(τ (ρ - 1)),   f = -A (4/τ) s,   ∂f/∂x = -4 A s (1 - s) ρ
 *
 * τ is that of the advantage's sign. The derivative is -Aρ times a bell of height 1 at ρ = 1. 1 - s is formed as
 * σ(-τ (ρ - 1)): a difference would leave rounding noise, times a large ρ. Where it underflows the term is 0, also for
 * an infinite ρ.
 *
 * Source: SAPO, arXiv 2511.20347; verl core_algos (τ = 1.0 and 1.05).
 */
export function sigmoidTerm(gate: GateArgs, { advantage, ratio, clamped }: GateInput): GateTerm {
  const tau = advantage > 0 ? gate.positive : gate.negative;
  const s = sigmoid(tau * (ratio - 1));
  const bell = s * sigmoid(-tau * (ratio - 1));
  return {
    ...NO_TERM,
    value: -advantage * (4 / tau) * s,
    gradient: clamped || bell === 0 ? 0 : -4 * advantage * bell * ratio,
  };
}
