/** Weighted L1 regression of the ratio to a target inside a range. */
import type { GateArgs } from '../../../ops.js';
import { sigmoid } from '../clip_scale.js';
import { type GateInput, type GateTerm, NO_TERM } from './term.js';

/**
 *   ρ* = 1 - low + (low + high) σ(u),   f = |A| |ρ - ρ*|,   ∂f/∂x = |A| sign(ρ - ρ*) ρ,   sign(0) = 0
 *
 * Two-sided: a ratio beyond its target is pulled back, and there is a gradient on-policy. The clip scale is not used.
 *
 * Source: BPO / GBPO, arXiv 2604.18578 and its release.
 */
export function l1TargetTerm({ low, high }: GateArgs, { advantage, ratio, clamped, ratioTarget }: GateInput): GateTerm {
  const distance = ratio - (1 - low + (low + high) * sigmoid(ratioTarget));
  const size = Math.abs(advantage);
  return {
    ...NO_TERM,
    value: size * Math.abs(distance),
    gradient: clamped || distance === 0 ? 0 : size * Math.sign(distance) * ratio,
    clippedLow: ratio < 1 - low,
    clippedHigh: ratio > 1 + high,
  };
}
