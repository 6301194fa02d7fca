/** The unclipped surrogate with a quadratic penalty on the distance from the old policy. */
import type { GateArgs } from '../../../ops.js';
import { type GateInput, type GateTerm, NO_TERM } from './term.js';

/**
 *   measure ratio:      f = -ρA + coef (ρ - 1)²,         ∂f/∂x = (-A + 2 coef (ρ - 1)) ρ
 *   measure log-ratio:  f = -A log π + coef/2 x²,        ∂f/∂log π = -A,   ∂f/∂x = coef x
 *
 * The penalty acts on tokens of A = 0 as well.
 *
 * Source: R²VPO, arXiv 2601.03320 (ratio); DRO, arXiv 2405.19107 (log-ratio).
 */
export function quadraticTerm({ measure, coef }: GateArgs, input: GateInput): GateTerm {
  const { advantage, ratio, logRatio, clamped, logProb } = input;
  if (measure === 'log-ratio') {
    const linear = advantage === 0 ? 0 : -advantage * logProb;
    return {
      ...NO_TERM,
      value: linear + 0.5 * coef * logRatio * logRatio,
      gradient: clamped ? 0 : coef * logRatio,
      direct: advantage === 0 ? 0 : -advantage,
    };
  }
  const gain = advantage === 0 ? 0 : -advantage * ratio;
  return {
    ...NO_TERM,
    value: gain + coef * (ratio - 1) * (ratio - 1),
    gradient: clamped ? 0 : (-advantage + 2 * coef * (ratio - 1)) * ratio,
  };
}
