/** Settings of every stage of the loss: each value of each option at least once, with bounds in reach of usual data. */
import type { Aggregate, GateArgs, KlArgs, RatioArgs, WeightArgs } from '../../lib/ops.js';
import { GATE, NO_KL, RATIO, WEIGHT } from '../support/records.mjs';

export const OFF = Number.POSITIVE_INFINITY;

const segment: RatioArgs = { ...RATIO, clampLow: -OFF, clampHigh: 10 };

/** The usual ratios: one of each level and form. */
export const RATIOS: Record<string, RatioArgs> = {
  token: RATIO,
  'turn straight-through': { ...segment, level: 'turn' },
  'turn true': { ...segment, level: 'turn', form: 'true' },
  'sequence straight-through': { ...segment, level: 'sequence' },
  'sequence true': { ...segment, level: 'sequence', form: 'true' },
};

const sum: RatioArgs = { ...RATIO, reduce: 'sum', clampLow: -0.7, clampHigh: 0.6 };
const clipped: RatioArgs = { ...segment, tokenClamp: 0.5, clipLow: 0.15, clipHigh: 0.2 };

/** Sums, clamps in reach, and GMPO's clip of tokens before they are reduced. */
export const MORE_RATIOS: Record<string, RatioArgs> = {
  'token clamped': { ...RATIO, clampLow: -0.25, clampHigh: 0.3 },
  'token clamped on its own': { ...RATIO, tokenClamp: 0.25 },
  'token clipped by sign': { ...RATIO, clipLow: 0.15, clipHigh: 0.2 },
  'turn sum straight-through': { ...sum, level: 'turn' },
  'turn sum true': { ...sum, level: 'turn', form: 'true' },
  'sequence sum straight-through': { ...sum, level: 'sequence' },
  'sequence sum true': { ...sum, level: 'sequence', form: 'true' },
  'turn of clipped tokens, straight-through': { ...clipped, level: 'turn' },
  'turn of clipped tokens, true': { ...clipped, level: 'turn', form: 'true' },
  'sequence of clipped tokens, straight-through': { ...clipped, level: 'sequence', reduce: 'sum' },
  'sequence of clipped tokens, true': { ...clipped, level: 'sequence', form: 'true' },
};

export const AGGREGATES: readonly Aggregate[] = [
  'token-mean',
  'seq-mean-token-mean',
  'seq-mean-token-sum',
  'seq-mean-token-sum-norm',
  'turn-mean-token-mean',
  'token-sum',
  'prompt-mean',
];

export const GATES: Record<string, GateArgs> = {
  ppo: { ...GATE, low: 0.2, high: 0.28 },
  dual: { ...GATE, low: 0.2, high: 0.2, dual: 1.5 },
  narrow: { ...GATE, low: 3e-3, high: 4e-3 },
};

const preserving: GateArgs = { ...GATE, kind: 'grad-preserving', low: 0.1, high: 0.08 };
const mask: GateArgs = { ...GATE, kind: 'mask', low: 0.06, high: 0.08 };

export const MORE_GATES: Record<string, GateArgs> = {
  'no bounds': GATE,
  detached: { ...GATE, kind: 'detached', low: 0.1, high: 0.15 },
  'detached, high only': { ...GATE, kind: 'detached', high: 0.1 },
  reinforce: { ...GATE, kind: 'detached', low: 0, high: 0 },
  gamma: { ...GATE, kind: 'gamma', positive: 2, negative: 3, positiveRate: 3, negativeRate: 2 },
  'grad-preserving': preserving,
  'grad-preserving low': { ...preserving, preserve: 'low' },
  'grad-preserving high': { ...preserving, preserve: 'high' },
  sigmoid: { ...GATE, kind: 'sigmoid', positive: 1, negative: 1.05 },
  'quadratic in the ratio': { ...GATE, kind: 'quadratic', measure: 'ratio', coef: 0.4 },
  'quadratic in the log-ratio': { ...GATE, kind: 'quadratic', measure: 'log-ratio', coef: 0.6 },
  'l1-target': { ...GATE, kind: 'l1-target', low: 0.15, high: 0.2 },
  'mask by ratio': { ...mask, measure: 'ratio' },
  'mask by log-ratio': { ...mask, measure: 'log-ratio' },
  'mask by probability': { ...mask, measure: 'probability', low: 0.02, high: 0.03 },
  'mask by Bernoulli KL': { ...mask, measure: 'bernoulli-kl', low: 2e-3, high: 4e-3 },
};

/** Of ratio level sequence, true mean, with groups. */
export const COUPLED: GateArgs = { ...GATE, kind: 'log-sum-exp', temperature: 0.5 };

const cut: WeightArgs = { ...WEIGHT, low: 0.85, high: 1.15 };
const reject: WeightArgs = { ...WEIGHT, kind: 'reject', low: -OFF };
const given: WeightArgs = { ...WEIGHT, kind: 'given' };
const offPolicy: WeightArgs = { ...WEIGHT, kind: 'off-policy-mask', level: 'sequence', high: 0.02 };

export const WEIGHTS: Record<string, readonly WeightArgs[]> = {
  'token truncated': [cut],
  'turn mean truncated': [{ ...cut, level: 'turn', low: 0.95, high: 1.05 }],
  'turn sum truncated': [{ ...cut, level: 'turn', reduce: 'sum' }],
  'sequence mean truncated': [{ ...cut, level: 'sequence', low: 0.97, high: 1.03 }],
  'sequence sum truncated above': [{ ...cut, level: 'sequence', reduce: 'sum', low: 0 }],
  'token masked': [{ ...cut, mode: 'mask' }],
  'turn mean masked': [{ ...cut, level: 'turn', mode: 'mask', low: 0.95, high: 1.05 }],
  'turn sum masked': [{ ...cut, level: 'turn', reduce: 'sum', mode: 'mask' }],
  'sequence mean masked': [{ ...cut, level: 'sequence', mode: 'mask', low: 0.97, high: 1.03 }],
  'sequence sum masked': [{ ...cut, level: 'sequence', reduce: 'sum', mode: 'mask' }],
  'untouched but for the log clamp': [{ ...WEIGHT, logClamp: 0.1 }],
  'rejected tokens by k1': [{ ...reject, low: -0.15, high: 0.15 }],
  'rejected tokens by k2': [{ ...reject, divergence: 'k2', high: 0.02 }],
  'rejected turns by mean k3': [{ ...reject, divergence: 'k3', level: 'turn', high: 0.02 }],
  'rejected turns by sum of abs': [{ ...reject, divergence: 'abs', level: 'turn', reduce: 'sum', high: 0.6 }],
  'rejected turns by largest k2': [{ ...reject, divergence: 'k2', level: 'turn', reduce: 'max', high: 0.04 }],
  'rejected sequences by mean k1': [{ ...reject, level: 'sequence', low: -0.03, high: 0.03 }],
  'rejected sequences by sum of k3': [{ ...reject, divergence: 'k3', level: 'sequence', reduce: 'sum', high: 0.06 }],
  'rejected sequences by largest abs': [{ ...reject, divergence: 'abs', level: 'sequence', reduce: 'max', high: 0.28 }],
  'rejected by k3 behind a log clamp': [{ ...reject, divergence: 'k3', reduce: 'max', logClamp: 0.1, high: 0.004 }],
  given: [given],
  'off-policy mask': [offPolicy],
  'all four kinds': [cut, { ...reject, divergence: 'k3', level: 'turn', reduce: 'max', high: 0.1 }, given, offPolicy],
  'two importance weights': [cut, { ...cut, level: 'sequence', mode: 'mask', low: 0.97, high: 1.03 }],
};

const coef = 0.1;

export const KLS: Record<string, KlArgs> = {
  'no KL': NO_KL,
  k1: { ...NO_KL, coef, estimator: 'k1' },
  k2: { ...NO_KL, coef, estimator: 'k2' },
  k3: { ...NO_KL, coef, estimator: 'k3' },
  'k3 clamped': { ...NO_KL, coef, estimator: 'k3', logRatioClamp: 0.8, valueClamp: 0.2 },
  abs: { ...NO_KL, coef, estimator: 'abs' },
  'k1 with the gradient of k2': { ...NO_KL, coef, estimator: 'k1', gradient: 'k2' },
  'k2 with its own': { ...NO_KL, coef, estimator: 'k2', gradient: 'k2' },
  'k3 with the gradient of k2': { ...NO_KL, coef, estimator: 'k3', gradient: 'k2' },
  'abs with the gradient of k2': { ...NO_KL, coef, estimator: 'abs', gradient: 'k2' },
  'k3 clamped, with the gradient of k2': {
    ...NO_KL,
    coef,
    estimator: 'k3',
    gradient: 'k2',
    logRatioClamp: 0.8,
    valueClamp: 0.2,
  },
};

/** Of ratio level token. */
export const CORRECTED_KLS: Record<string, KlArgs> = Object.fromEntries(
  Object.entries(KLS)
    .filter(([, kl]) => kl.coef !== 0)
    .map(([name, kl]) => [`${name}, times the ratio`, { ...kl, ratioCorrection: true }]),
);
