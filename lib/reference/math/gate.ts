/** S10, what the ratio does to the advantage: one term per loss token, chosen by `gate.kind`. */
import type { GateArgs } from '../../ops.js';
import { detachedTerm } from './gates/detached.js';
import { gammaTerm } from './gates/gamma.js';
import { gradPreservingTerm } from './gates/grad_preserving.js';
import { l1TargetTerm } from './gates/l1_target.js';
import { maskTerm } from './gates/mask.js';
import { ppoTerm } from './gates/ppo.js';
import { quadraticTerm } from './gates/quadratic.js';
import { sigmoidTerm } from './gates/sigmoid.js';
import { type GateInput, type GateTerm, NO_TERM } from './gates/term.js';

/**
 * f, ∂f/∂x and ∂f/∂log π of one loss token. A = 0 gives 0 throughout, also behind an infinite ratio, except in
 * `quadratic`, whose penalty does not depend on A.
 *
 * A `log-sum-exp` gate is no function of one token: gates/log_sum_exp.ts.
 */
export function gateTerm(gate: GateArgs, input: GateInput): GateTerm {
  if (input.advantage === 0 && gate.kind !== 'quadratic') return NO_TERM;
  switch (gate.kind) {
    case 'ppo':
      return ppoTerm(gate, input);
    case 'detached':
      return detachedTerm(gate, input);
    case 'gamma':
      return gammaTerm(gate, input);
    case 'grad-preserving':
      return gradPreservingTerm(gate, input);
    case 'sigmoid':
      return sigmoidTerm(gate, input);
    case 'quadratic':
      return quadraticTerm(gate, input);
    case 'l1-target':
      return l1TargetTerm(gate, input);
    case 'mask':
      return maskTerm(gate, input);
    case 'log-sum-exp':
      return NO_TERM;
  }
}
