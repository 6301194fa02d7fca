/**
 * Every gate as a function to differentiate, in the plainest words and with nothing of lib in it. What a method keeps
 * out of its derivative (a weight, a mask, the choice of a branch) is taken at the anchor.
 */
import type { GateArgs, KlArgs } from '../../lib/ops.js';

export const clamp = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high);
export const logistic = (x: number) => 1 / (1 + Math.exp(-x));

/** The quantities of one loss token, at some log-probs. */
export interface Here {
  logProb: number;
  /** x of the token's unit, clamped, and before. */
  x: number;
  free: number;
}

export interface Fixed {
  a: number;
  old: number;
  /** Clip scale. */
  c: number;
  /** Logit of the target of l1-target. */
  u: number;
}

type Forward = (gate: GateArgs, fixed: Fixed, at: Here, anchor: Here) => number;

/** 1 - eps c and 1 + eps c; an infinite eps is no bound. */
const clipTo = (rho: number, { low, high }: GateArgs, c: number) =>
  clamp(rho, low === Infinity ? -Infinity : 1 - low * c, 1 + high * c);

const bernoulliKl = (q: number, p: number) => q * Math.log(q / p) + (1 - q) * Math.log((1 - q) / (1 - p));

const isKept: (gate: GateArgs, fixed: Fixed, anchor: Here) => boolean = (gate, { a, old }, { logProb, x }) => {
  const [p, q] = [Math.exp(logProb), Math.exp(old)];
  const moved = {
    ratio: Math.exp(x) - 1,
    'log-ratio': x,
    probability: p - q,
    'bernoulli-kl': Math.sign(p - q) * bernoulliKl(q, p),
  }[gate.measure];
  return a > 0 ? moved <= gate.high : moved >= -gate.low;
};

export const FORWARD_GATES: Record<Exclude<GateArgs['kind'], 'log-sum-exp'>, Forward> = {
  ppo: (gate, { a, c }, { x }) => {
    const rho = Math.exp(x);
    const f = Math.max(-a * rho, -a * clipTo(rho, gate, c));
    return a < 0 ? Math.min(f, -a * gate.dual) : f;
  },
  detached: (gate, { a, c }, { logProb }, anchor) => -clipTo(Math.exp(anchor.x), gate, c) * a * logProb,
  gamma: (gate, { a }, { logProb }, anchor) => {
    const [k, lambda] = a > 0 ? [gate.positive, gate.positiveRate] : [gate.negative, gate.negativeRate];
    const w = Math.exp(anchor.x);
    return -(w ** k) * Math.exp(lambda * (1 - w)) * a * logProb;
  },
  'grad-preserving': (gate, { a, c }, { x, free }, anchor) => {
    const rho = Math.exp(anchor.x);
    const bound = clipTo(rho, gate, c);
    const side = a > 0 && rho > bound ? 'high' : a < 0 && rho < bound ? 'low' : null;
    if (side === null) return -a * Math.exp(x);
    const preserved = gate.preserve === 'both' || gate.preserve === side;
    // bound · ρ / sg(ρ): the value of the bound, the derivative of bound · x.
    return -a * bound * (preserved ? Math.exp(free - anchor.free) : 1);
  },
  sigmoid: (gate, { a }, { x }) => {
    const tau = a > 0 ? gate.positive : gate.negative;
    return ((-a * 4) / tau) * logistic(tau * (Math.exp(x) - 1));
  },
  quadratic: ({ measure, coef }, { a }, { x, logProb }) =>
    measure === 'ratio' ? -a * Math.exp(x) + coef * (Math.exp(x) - 1) ** 2 : -a * logProb + (coef / 2) * x ** 2,
  'l1-target': ({ low, high }, { a, u }, { x }) =>
    Math.abs(a) * Math.abs(Math.exp(x) - (1 - low + (low + high) * logistic(u))),
  mask: (gate, fixed, { x }, anchor) => (isKept(gate, fixed, anchor) ? -fixed.a * Math.exp(x) : 0),
};

/** The KL estimator of one token; with `gradient: 'k2'` its value at the anchor, moved by k2. */
export function forwardKl(kl: KlArgs, x: number, anchor: number): number {
  const value = (z: number) => {
    const y = clamp(-z, -kl.logRatioClamp, kl.logRatioClamp);
    return { k1: z, k2: z ** 2 / 2, k3: Math.min(Math.exp(y) - 1 - y, kl.valueClamp), abs: Math.abs(z) }[kl.estimator];
  };
  if (kl.gradient === 'own') return value(x);
  return value(anchor) + (x ** 2 - anchor ** 2) / 2;
}
