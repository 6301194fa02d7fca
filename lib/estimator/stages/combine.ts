import type { Fields } from '../../check/fields.js';

/**
 * S6, how channels become one advantage per turn.
 *
 * - `sum`: A_k = Σ_c weight_c channel_c(k); an outcome channel gives its value to every turn of the trajectory.
 * - `join`: q_k = Σ_c weight_c channel_c(k) with outcome channels on the last turn only, then A_k = q_k + gamma A_{k+1}.
 */
export type Combine = { kind: 'sum' } | { kind: 'join'; gamma: number };

export function readCombine(fields: Fields): Combine {
  const kind = fields.oneOf('kind', ['sum', 'join']);
  return kind === 'sum' ? { kind } : { kind, gamma: fields.number('gamma', { min: 0, max: 1 }) };
}
