import type { Fields } from '../../check/fields.js';
import type { Level, ModulationArgs, WhitenArgs } from '../../ops.js';

/**
 * S6, how channels become one advantage per turn (or token).
 *
 * - `sum`: A = Σ_c weight_c channel_c; a trajectory's value goes to every turn.
 * - `join`: q_k = Σ_c weight_c channel_c(k) with trajectories' values on the last turn only, then A_k = q_k + gamma A_{k+1}.
 * - `weighted-mean`: Σ w_c channel_c / Σ w_c over the channels that are not 0 there (HGPO's levels).
 */
export type Combine = { kind: 'sum' } | { kind: 'join'; gamma: number } | { kind: 'weighted-mean' };

/**
 * S6, confidence of the policy in its own turns (EMPG, arXiv 2509.09265), h = `turnEntropies` brought to [0, 1] over the batch:
 *
 *   A_k <- A_k g_k + bonus f_{k+1},   g = exp(-decay h) / mean exp(-decay h),   f = exp(-bonusDecay h)
 */
export interface Modulate {
  kind: 'entropy';
  decay: number;
  bonus: number;
  bonusDecay: number;
}

/**
 * S8, over the whole batch: A - mean ('center'), or (A - mean) / (sqrt(variance + varianceFloor) + eps) ('standardize'). `over: 'token'` weighs a turn
 * by its loss tokens, 'turn' counts turns alike, 'sequence' trajectories (all channels must be per sequence).
 */
export type Whiten =
  | { kind: 'center'; over: Level }
  | { kind: 'standardize'; over: Level; ddof: 0 | 1; eps: number; varianceFloor: number };

export function readCombine(fields: Fields): Combine {
  const kind = fields.oneOf('kind', ['sum', 'join', 'weighted-mean']);
  return kind === 'join' ? { kind, gamma: fields.number('gamma', { min: 0, max: 1 }) } : { kind };
}

export function readModulate(fields: Fields): Modulate {
  const kind = fields.oneOf('kind', ['entropy']);
  const decay = fields.number('decay', { min: 0, max: 700 });
  const bonus = fields.number('bonus', {});
  return { kind, decay, bonus, bonusDecay: fields.number('bonusDecay', { min: 0, max: 700 }) };
}

export function readWhiten(fields: Fields): Whiten {
  const kind = fields.oneOf('kind', ['center', 'standardize']);
  const over = fields.oneOf('over', ['token', 'turn', 'sequence'], 'token');
  if (kind === 'center') return { kind, over };
  const ddof = fields.number('ddof', { integer: true, min: 0, max: 1 }, 1) as 0 | 1;
  const varianceFloor = fields.number('varianceFloor', { min: 0 }, 1e-8);
  const eps = fields.number('eps', varianceFloor > 0 ? { min: 0 } : { above: 0 }, 0);
  return { kind, over, ddof, eps, varianceFloor };
}

export function modulationArgs(modulate: Modulate | null): ModulationArgs {
  return modulate ?? { kind: 'none', decay: 0, bonus: 0, bonusDecay: 0 };
}

export function whitenArgs(whiten: Whiten | null): WhitenArgs {
  const off = { over: 'token', ddof: 0, eps: 0, varianceFloor: 0 } as const;
  return whiten === null ? { kind: 'none', ...off } : { ...off, ...whiten };
}
