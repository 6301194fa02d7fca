/** The unclipped surrogate of the tokens that have not moved too far; the others are out. */
import type { GateArgs } from '../../../ops.js';
import { type GateInput, type GateTerm, NO_TERM } from './term.js';

/**
 *   f = ∂f/∂x = -Aρ if kept, else 0;   kept = A > 0 ? μ ≤ high : μ ≥ -low
 *
 * μ is signed, so that a token that moves back is always kept. The clip scale is not used.
 *
 * Source: DPPO, arXiv 2602.04879; verl core_algos (probability: its TV form, bernoulli-kl: its KL form).
 */
export function maskTerm(gate: GateArgs, input: GateInput): GateTerm {
  const { advantage, ratio, clamped } = input;
  const distance = movedBy(gate, input);
  const kept = advantage > 0 ? distance <= gate.high : distance >= -gate.low;
  const value = kept ? -advantage * ratio : 0;
  return {
    ...NO_TERM,
    value,
    gradient: clamped ? 0 : value,
    clippedLow: !kept && !(advantage > 0),
    clippedHigh: !kept && advantage > 0,
    masked: !kept,
  };
}

/**
 * How far the policy has moved at this token, positive towards more likely: μ.
 *
 *   ratio: ρ - 1;   log-ratio: x;   probability: p - p_old;   bernoulli-kl: sign(p - p_old) KL(p_old ‖ p)
 */
function movedBy({ measure }: GateArgs, { ratio, logRatio, logProb, oldLogProb }: GateInput): number {
  switch (measure) {
    case 'ratio':
      return ratio - 1;
    case 'log-ratio':
      return logRatio;
    case 'probability':
      return Math.exp(logProb) - Math.exp(oldLogProb);
    case 'bernoulli-kl':
      return signedBernoulliKl(logProb, oldLogProb);
  }
}

/**
 * KL divergence between "this token" and "any other one" under the two policies, with the sign of p - p_old.
 *
 *   KL = p_old log(p_old / p) + (1 - p_old) log((1 - p_old) / (1 - p)),   0 log 0 = 0
 *
 * Infinite where p = 1 and p_old is not. A probability that rounding put above 1 counts as 1.
 */
export function signedBernoulliKl(logProb: number, oldLogProb: number): number {
  const p = Math.min(Math.exp(logProb), 1);
  const old = Math.min(Math.exp(oldLogProb), 1);
  if (p === old) return 0;
  const others = old === 1 ? 0 : (1 - old) * (Math.log1p(-old) - Math.log1p(-p));
  const divergence = old * (Math.min(oldLogProb, 0) - Math.min(logProb, 0)) + others;
  return p > old ? divergence : -divergence;
}
