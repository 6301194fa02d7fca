/** Every gate but ppo (formulas.test.ts) at values worked out by hand: inside, at and beyond its bounds. */
import { describe, expect, test } from 'vitest';
import type { GateArgs } from '../../lib/ops.js';
import { type GateInput, type GateTerm, gateTerm } from '../../lib/reference/index.js';
import { MORE_GATES } from '../cases/loss_options.js';
import { GATE } from '../support/records.mjs';

const { NaN: NONE, POSITIVE_INFINITY: INF } = Number;
const NOTHING: GateTerm = {
  value: 0,
  gradient: 0,
  direct: 0,
  clippedLow: false,
  clippedHigh: false,
  clippedDual: false,
  masked: false,
};

function at(gate: Partial<GateArgs>, ratio: number, given: Partial<GateInput> = {}): GateTerm {
  const input = { advantage: 2, clamped: false, logProb: -1, oldLogProb: -2, clipScale: 1, ratioTarget: 0 };
  return gateTerm({ ...GATE, ...gate }, { ...input, ratio, logRatio: Math.log(ratio), ...given });
}

test.each(Object.entries(MORE_GATES).filter(([, { kind }]) => kind !== 'quadratic'))('%s: A = 0 gives 0', (_, gate) => {
  for (const advantage of [0, -0]) {
    for (const ratio of [0, 1, 7, INF, NONE]) expect(at(gate, ratio, { advantage })).toEqual(NOTHING);
  }
});

test.each(Object.entries(MORE_GATES))('%s: behind the clamp of the ratio only what is direct moves', (name, gate) => {
  for (const advantage of [2, -2]) {
    const term = at(gate, 1.01, { advantage, clamped: true });
    expect(term.gradient, name).toBe(0);
    expect(term.direct).toBe(at(gate, 1.01, { advantage }).direct);
  }
});

test('ppo through the switch, and its clamp', () => {
  const gate = { low: 0.25, high: 0.25, dual: 3 };
  expect(at(gate, 1.5)).toEqual({ ...NOTHING, value: -2.5, clippedHigh: true });
  expect(at(gate, 4, { advantage: -2 })).toEqual({ ...NOTHING, value: 6, clippedDual: true });
  expect(at(gate, 1, { clamped: true })).toEqual({ ...NOTHING, value: -2 });
  // An infinite epsilon is no bound, even with a clip scale of 0.
  expect(at({}, 1.5, { clipScale: 0 })).toEqual({ ...NOTHING, value: -3, gradient: -3 });
});

describe('detached', () => {
  const gate: Partial<GateArgs> = { kind: 'detached', low: 0.5, high: 0.25 };

  test('f = -W A log π', () => {
    expect(at(gate, 1)).toEqual({ ...NOTHING, value: 2, direct: -2 });
    expect([at(gate, 1.25).clippedHigh, at(gate, 0.5).clippedLow]).toEqual([false, false]);
    expect(at(gate, 1.5)).toEqual({ ...NOTHING, value: 2.5, direct: -2.5, clippedHigh: true });
    expect(at(gate, 0.25, { advantage: -2 })).toEqual({ ...NOTHING, value: -1, direct: 1, clippedLow: true });
    // Both signs of A are cut on both sides.
    expect(at(gate, 1.5, { advantage: -2 }).clippedHigh).toBe(true);
    expect(at(gate, 1.5, { clipScale: 2 }).direct).toBe(-3);
  });
});

describe('gamma', () => {
  const gate = MORE_GATES.gamma;

  test('φ = ρᵏ exp(λ (1 - ρ)), by the sign of A', () => {
    expect(at(gate, 1)).toEqual({ ...NOTHING, value: 2, direct: -2 });
    expect(at(gate, 2).direct).toBeCloseTo(-2 * 4 * Math.exp(-3), 15);
    expect(at(gate, 2, { advantage: -2 }).direct).toBeCloseTo(2 * 8 * Math.exp(-2), 15);
  });

  test('what is not finite counts as 0', () => {
    expect(at(gate, INF).direct).toBe(0);
    expect(Math.abs(at(gate, 0, { logRatio: -INF }).direct)).toBe(0);
    expect(at({ ...gate, positiveRate: 0 }, INF).direct).toBe(0);
  });
});

describe('grad-preserving', () => {
  const gate: Partial<GateArgs> = { kind: 'grad-preserving', low: 0.5, high: 0.25 };

  test('a clipped token keeps the gradient of its bound', () => {
    expect(at(gate, 1.25)).toEqual({ ...NOTHING, value: -2.5, gradient: -2.5 });
    expect(at(gate, 3)).toEqual({ ...NOTHING, value: -2.5, gradient: -2.5, clippedHigh: true });
    expect(at(gate, 0.25, { advantage: -2 })).toEqual({ ...NOTHING, value: 1, gradient: 1, clippedLow: true });
    expect(at(gate, 3, { advantage: -2 })).toEqual({ ...NOTHING, value: 6, gradient: 6 });
    // Also behind the clamp of the ratio, which the kept gradient does not pass through.
    expect(at(gate, 3, { clamped: true }).gradient).toBe(-2.5);
  });

  test('one side only', () => {
    expect(at({ ...gate, preserve: 'low' }, 3)).toEqual({ ...NOTHING, value: -2.5, clippedHigh: true });
    expect(at({ ...gate, preserve: 'low' }, 0.25, { advantage: -2 }).gradient).toBe(1);
    expect(at({ ...gate, preserve: 'high' }, 3).gradient).toBe(-2.5);
    expect(at({ ...gate, preserve: 'high' }, 0.25, { advantage: -2 }).gradient).toBe(0);
  });
});

describe('sigmoid', () => {
  const gate: Partial<GateArgs> = { kind: 'sigmoid', positive: 2, negative: 4 };

  test('at a ratio of 1 the gradient is -A, whatever τ', () => {
    expect(at(gate, 1)).toEqual({ ...NOTHING, value: -2, gradient: -2 });
    expect(at(gate, 1, { advantage: -2 })).toEqual({ ...NOTHING, value: 1, gradient: 2 });
  });

  test('σ(ln 3) = 3/4', () => {
    const ratio = 1 + Math.log(3) / 2;
    expect(at(gate, ratio).value).toBeCloseTo(-3, 14);
    expect(at(gate, ratio).gradient).toBeCloseTo((-2 * 4 * 3 * ratio) / 16, 14);
  });

  test('far away: no 0 · Infinity, and digits where 1 - s alone has none', () => {
    expect(at(gate, INF)).toEqual({ ...NOTHING, value: -4 });
    // s (1 - s) ≈ exp(-78)
    expect(at(gate, 40).gradient / (-8 * Math.exp(-78) * 40)).toBeCloseTo(1, 12);
  });
});

describe('quadratic', () => {
  test('in the ratio', () => {
    const gate: Partial<GateArgs> = { kind: 'quadratic', measure: 'ratio', coef: 0.5 };
    expect(at(gate, 3)).toEqual({ ...NOTHING, value: -6 + 2, gradient: (-2 + 2) * 3 });
    expect(at(gate, 3, { advantage: 0 })).toEqual({ ...NOTHING, value: 2, gradient: 6 });
    expect(at(gate, INF, { advantage: 0 }).value).toBe(INF);
  });

  test('in the log-ratio', () => {
    const gate: Partial<GateArgs> = { kind: 'quadratic', measure: 'log-ratio', coef: 0.5 };
    expect(at(gate, 1, { logRatio: 2 })).toEqual({ ...NOTHING, value: 2 + 1, gradient: 1, direct: -2 });
    expect(at(gate, 1, { logRatio: 2, advantage: -0, logProb: -INF })).toEqual({ ...NOTHING, value: 1, gradient: 1 });
  });
});

describe('l1-target', () => {
  const gate: Partial<GateArgs> = { kind: 'l1-target', low: 0.25, high: 0.75 };

  test('ρ* = 1 - low + (low + high) σ(u): 1.25 at u = 0', () => {
    expect(at(gate, 1)).toEqual({ ...NOTHING, value: 0.5, gradient: -2 });
    expect(at(gate, 1.5)).toEqual({ ...NOTHING, value: 0.5, gradient: 3 });
    expect(at(gate, 1.25)).toEqual(NOTHING);
    expect(at(gate, 1, { advantage: -2 })).toEqual(at(gate, 1));
    expect(at(gate, 1, { ratioTarget: -1000 }).value).toBe(0.5);
    expect(at(gate, 1, { ratioTarget: 1000 }).value).toBe(1.5);
  });

  test('outside the range', () => {
    expect([0.5, 0.75, 1.75, 2].map((ratio) => at(gate, ratio).clippedLow)).toEqual([true, false, false, false]);
    expect([0.5, 0.75, 1.75, 2].map((ratio) => at(gate, ratio).clippedHigh)).toEqual([false, false, false, true]);
  });
});

describe('mask', () => {
  const mask = (measure: GateArgs['measure'], given: Partial<GateArgs> = {}): Partial<GateArgs> => ({
    kind: 'mask',
    measure,
    low: 0.25,
    high: 0.5,
    ...given,
  });
  const closed = (side: 'clippedLow' | 'clippedHigh') => ({
    ...NOTHING,
    masked: true,
    [side]: true,
  });

  test('by ratio: what is masked is out, value and gradient', () => {
    expect(at(mask('ratio'), 1.5)).toEqual({ ...NOTHING, value: -3, gradient: -3 });
    expect(at(mask('ratio'), 2)).toEqual(closed('clippedHigh'));
    expect(at(mask('ratio'), 0.5)).toEqual({ ...NOTHING, value: -1, gradient: -1 });
    expect(at(mask('ratio'), 0.5, { advantage: -2 })).toEqual(closed('clippedLow'));
    expect(at(mask('ratio'), 2, { advantage: -2 })).toEqual({ ...NOTHING, value: 4, gradient: 4 });
  });

  test('by log-ratio, probability and Bernoulli KL of the token itself', () => {
    const isMasked = (measure: GateArgs['measure'], given: Partial<GateInput>) => at(mask(measure), 1, given).masked;
    expect([0.5, 0.6].map((logRatio) => isMasked('log-ratio', { logRatio }))).toEqual([false, true]);
    expect([-0.25, -0.3].map((logRatio) => isMasked('log-ratio', { logRatio, advantage: -1 }))).toEqual([false, true]);
    const [low, high] = [Math.log(0.25), Math.log(0.875)];
    expect(isMasked('probability', { logProb: high, oldLogProb: low })).toBe(true);
    expect(isMasked('probability', { logProb: low, oldLogProb: high })).toBe(false);
    expect(isMasked('probability', { logProb: low, oldLogProb: high, advantage: -1 })).toBe(true);
    // KL(1/4, 7/8) = 1.03; it moved back where A < 0.
    expect(isMasked('bernoulli-kl', { logProb: high, oldLogProb: low })).toBe(true);
    expect(isMasked('bernoulli-kl', { logProb: high, oldLogProb: low, advantage: -1 })).toBe(false);
    expect(isMasked('bernoulli-kl', { logProb: low, oldLogProb: high, advantage: -1 })).toBe(true);
  });
});
