import type { Fields } from '../../check/fields.js';
import type { GateArgs, Measure, Side } from '../../ops.js';

/** Scales a turn's clip range by c = 1 + beta (2 sigmoid(z) - 1), z = the normalised signal of `channels[channel]` (before `then`). */
export interface Adapt {
  channel: number;
  beta: number;
}

/** A parameter that depends on the sign of the advantage. */
export interface BySign {
  /** A > 0 */
  positive: number;
  negative: number;
}

/**
 * S10, what the ratio ρ does to the advantage A of a token; to be minimised. low and high are epsilons, not bounds; c = clip scale.
 *
 * - none: f = -A ρ.
 * - ppo: f = max(-A ρ, -A clip(ρ, 1 - low c, 1 + high c)), for A < 0 at most -A dual (arXiv 1707.06347, 1912.09729).
 * - detached: f = -sg(clip(ρ, 1 - low c, 1 + high c)) A logProb; null = no bound (CISPO, arXiv 2506.13585). low = high = 0 is REINFORCE.
 * - gamma: f = -sg(φ) A logProb, φ = exp(rate + shape log ρ - rate ρ) (VESPO, arXiv 2602.10693).
 * - grad-preserving: the value of ppo; a clipped token of the preserved side has the gradient of its bound.
 * - sigmoid: f = -A (4 / τ) sigmoid(τ (ρ - 1)), τ = temperature (SAPO, arXiv 2511.20347).
 * - quadratic: f = -A ρ + coef (ρ - 1)² (R²VPO, arXiv 2601.03320), or of 'log-ratio': -A logProb + coef x² / 2 (DRO).
 * - l1-target: f = |A| |ρ - ρ*|, ρ* = 1 - low + (low + high) sigmoid(u), u from the channels with use 'ratio-target' (BPO, arXiv 2604.18578).
 * - mask: f = -A ρ while the measure (ρ - 1, log ρ, p - p_old, or the signed Bernoulli KL) is within high for A > 0, -low otherwise; else 0 (DPPO,
 *   arXiv 2602.04879).
 * - log-sum-exp: A's sign labels a trajectory; per prompt log(1 + Σ_neg exp(x / T)) + log(1 + Σ_pos exp(-x / T)), x = log ρ (REAL, arXiv 2602.05630).
 */
export type Gate =
  | { kind: 'none' }
  | { kind: 'ppo'; low: number; high: number; dual: number | null; adapt: Adapt | null }
  | { kind: 'detached'; low: number | null; high: number | null; adapt: Adapt | null }
  | { kind: 'gamma'; shape: BySign; rate: BySign }
  | { kind: 'grad-preserving'; low: number; high: number; preserve: Side; adapt: Adapt | null }
  | { kind: 'sigmoid'; temperature: BySign }
  | { kind: 'quadratic'; coef: number; of: 'ratio' | 'log-ratio' }
  | { kind: 'l1-target'; low: number; high: number }
  | { kind: 'mask'; measure: Measure; low: number; high: number }
  | { kind: 'log-sum-exp'; temperature: number };

type Optional<T, Keys extends PropertyKey> = T extends unknown
  ? Omit<T, Keys> & Partial<Pick<T, Keys & keyof T>>
  : never;

/** Defaults: dual null, adapt null, preserve 'both', of 'ratio', no bounds of detached. */
export type GateInput =
  | Optional<Exclude<Gate, { kind: 'detached' }>, 'dual' | 'adapt' | 'preserve' | 'of'>
  | Optional<Extract<Gate, { kind: 'detached' }>, 'low' | 'high' | 'adapt'>;

const KINDS = [
  'none',
  'ppo',
  'detached',
  'gamma',
  'grad-preserving',
  'sigmoid',
  'quadratic',
  'l1-target',
  'mask',
  'log-sum-exp',
] as const satisfies Gate['kind'][];

const EPSILON = { min: 0 };
const LOW = { min: 0, max: 1 };

/** Each kind reads its own fields; whatever else is given has no effect there and is refused. */
const READERS: { [Kind in Gate['kind']]: (fields: Fields) => Omit<Extract<Gate, { kind: Kind }>, 'kind'> } = {
  none: () => ({}),
  ppo: (f) => ({
    low: f.number('low', LOW),
    high: f.number('high', EPSILON),
    dual: f.numberOrNull('dual', { above: 1 }, null),
    adapt: readAdapt(f),
  }),
  detached: (f) => ({
    low: f.numberOrNull('low', LOW, null),
    high: f.numberOrNull('high', EPSILON, null),
    adapt: readAdapt(f),
  }),
  gamma: (f) => ({ shape: f.object('shape', readBySign), rate: f.object('rate', readBySign) }),
  'grad-preserving': (f) => ({
    low: f.number('low', LOW),
    high: f.number('high', EPSILON),
    preserve: f.oneOf('preserve', ['both', 'low', 'high'], 'both'),
    adapt: readAdapt(f),
  }),
  sigmoid: (f) => ({ temperature: f.object('temperature', readBySign) }),
  quadratic: (f) => ({ coef: f.number('coef', EPSILON), of: f.oneOf('of', ['ratio', 'log-ratio'], 'ratio') }),
  'l1-target': (f) => ({ low: f.number('low', LOW), high: f.number('high', EPSILON) }),
  mask: (f) => ({
    measure: f.oneOf('measure', ['ratio', 'log-ratio', 'probability', 'bernoulli-kl']),
    low: f.number('low', EPSILON),
    high: f.number('high', EPSILON),
  }),
  'log-sum-exp': (f) => ({ temperature: f.number('temperature', { above: 0 }) }),
};

export function readGate(fields: Fields): Gate {
  const kind = fields.oneOf('kind', KINDS);
  return { kind, ...READERS[kind](fields) } as Gate;
}

function readAdapt(fields: Fields): Adapt | null {
  if ((fields.take('adapt') ?? null) === null) return null;
  return fields.object('adapt', (f) => ({
    channel: f.number('channel', { integer: true, min: 0 }),
    beta: f.number('beta', { min: 0, max: 1 }),
  }));
}

function readBySign(fields: Fields): BySign {
  return { positive: fields.number('positive', { above: 0 }), negative: fields.number('negative', { above: 0 }) };
}

/** The adaptive clip range, where the gate has one. */
export function adaptOf(gate: Gate): Adapt | null {
  return 'adapt' in gate ? gate.adapt : null;
}

/** Whether the gate has a clip range that a scale per turn can change: not one of width 0, nor one without bounds. */
export function hasClipRange(gate: Gate): boolean {
  return 'adapt' in gate && ((gate.low ?? 0) > 0 || (gate.high ?? 0) > 0);
}

/** PPO's gate without bounds: -A ρ. */
const OFF: GateArgs = {
  kind: 'ppo',
  low: Infinity,
  high: Infinity,
  dual: Infinity,
  preserve: 'both',
  measure: 'ratio',
  coef: 0,
  positive: 1,
  negative: 1,
  positiveRate: 1,
  negativeRate: 1,
  temperature: 1,
};

/** The flat record of native/ops.h. */
export function gateArgs(gate: Gate): GateArgs {
  const { kind } = gate;
  switch (kind) {
    case 'none':
      return OFF;
    case 'ppo':
      return { ...OFF, kind, low: gate.low, high: gate.high, dual: gate.dual ?? Infinity };
    case 'detached':
      return { ...OFF, kind, low: gate.low ?? Infinity, high: gate.high ?? Infinity };
    case 'gamma':
      return { ...OFF, kind, ...gate.shape, positiveRate: gate.rate.positive, negativeRate: gate.rate.negative };
    case 'grad-preserving':
      return { ...OFF, kind, low: gate.low, high: gate.high, preserve: gate.preserve };
    case 'sigmoid':
      return { ...OFF, kind, ...gate.temperature };
    case 'quadratic':
      return { ...OFF, kind, coef: gate.coef, measure: gate.of };
    case 'l1-target':
      return { ...OFF, kind, low: gate.low, high: gate.high };
    case 'mask':
      return { ...OFF, kind, low: gate.low, high: gate.high, measure: gate.measure };
    case 'log-sum-exp':
      return { ...OFF, kind, temperature: gate.temperature };
  }
}
