import type { Fields } from '../../check/fields.js';
import type { GateArgs } from '../../ops.js';
import type { AdaptSignal } from './channel.js';

/** Scales a turn's clip range by c = 1 + beta (2 sigmoid(z) - 1), z = the normalised signal of the named channel (before `then`). */
export interface Adapt {
  signal: AdaptSignal;
  beta: number;
}

/**
 * S10, what the ratio does to the advantage. `ppo`:
 *
 *   f = max(-A ρ, -A clip(ρ, 1 - low c, 1 + high c)), for A < 0 at most -A dual;   low and high are epsilons, not bounds.
 */
export interface Gate {
  kind: 'ppo';
  low: number;
  high: number;
  /** Dual clip's constant, above 1; null = off. */
  dual: number | null;
  /** null: c = 1. */
  adapt: Adapt | null;
}

export type GateInput = Pick<Gate, 'kind' | 'low' | 'high'> & Partial<Gate>;

export function readGate(fields: Fields): Gate {
  const kind = fields.oneOf('kind', ['ppo']);
  const adapt = fields.take('adapt') ?? null;
  return {
    kind,
    low: fields.number('low', { min: 0, max: 1 }),
    high: fields.number('high', { min: 0 }),
    dual: fields.numberOrNull('dual', { above: 1 }, null),
    adapt:
      adapt === null
        ? null
        : fields.object('adapt', (f) => ({
            signal: f.oneOf('signal', ['information-gain', 'turn-reward', 'joined']),
            beta: f.number('beta', { min: 0, max: 1 }),
          })),
  };
}

export function gateArgs({ kind, low, high, dual }: Gate): GateArgs {
  return { kind, low, high, dual: dual ?? Infinity };
}
