/** A clipped weight that is not differentiated, on the token's log-probability. */
import type { GateArgs } from '../../../ops.js';
import { ppoBounds } from './ppo.js';
import { type GateInput, type GateTerm, NO_TERM } from './term.js';

/**
 *   W = clip(ρ, 1 - low · c, 1 + high · c),   f = -sg(W) A log π,   ∂f/∂log π = -W A
 *
 * No dead zone: a clipped token keeps its gradient, of bounded size. low = high = 0 is REINFORCE. The value contains
 * log π itself and cannot be compared with that of a ratio-valued gate.
 *
 * Source: CISPO, arXiv 2506.13585; verl core_algos (both bounds), TRL (high only).
 */
export function detachedTerm(
  { low, high, dual }: GateArgs,
  { advantage, ratio, logProb, clipScale }: GateInput,
): GateTerm {
  const { lo, hi } = ppoBounds(low, high, dual, clipScale);
  const direct = -Math.min(Math.max(ratio, lo), hi) * advantage;
  return { ...NO_TERM, value: direct * logProb, direct, clippedLow: ratio < lo, clippedHigh: ratio > hi };
}
