/** The clipped surrogate whose clipped tokens keep a gradient of bounded size. */
import type { GateArgs } from '../../../ops.js';
import { clippedHigh, clippedLow, ppoBounds, ppoValue } from './ppo.js';
import { type GateInput, type GateTerm, NO_TERM } from './term.js';

/**
 *   f = max(-Aρ, -A clip(ρ, lo, hi));   ∂f/∂x = -Aρ inside the range, -A lo or -A hi where that bound is active and its
 *   side is preserved, else 0
 *
 * The kept gradient is that of the bound times log π, so the clamp of x (whose derivative is 0) does not stop it.
 *
 * Source: GPPO, arXiv 2508.07629; AT²PO's release, ATPO soft clip.
 */
export function gradPreservingTerm(
  { low, high, preserve }: GateArgs,
  { advantage, ratio, clamped, clipScale }: GateInput,
): GateTerm {
  const bounds = ppoBounds(low, high, Number.POSITIVE_INFINITY, clipScale);
  const isLow = clippedLow(advantage, ratio, bounds);
  const isHigh = clippedHigh(advantage, ratio, bounds);
  const gradient = () => {
    if (isLow) return preserve === 'high' ? 0 : -advantage * bounds.lo;
    if (isHigh) return preserve === 'low' ? 0 : -advantage * bounds.hi;
    return clamped ? 0 : -advantage * ratio;
  };
  return {
    ...NO_TERM,
    value: ppoValue(advantage, ratio, bounds),
    gradient: gradient(),
    clippedLow: isLow,
    clippedHigh: isHigh,
  };
}
