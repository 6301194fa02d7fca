/** Advantages scaled by how sure the policy was in each turn: EMPG, arXiv 2509.09265. */
import type { ModulationArgs } from '../../ops.js';
import { reproducibleSum } from './reproducible_sum.js';

/** Keeps min-max scaling finite where every entropy is the same. */
const RANGE_EPS = 1e-8;

/** Factor of a turn's advantage and the bonus that it gives to the turn before it. */
export interface TurnModulation {
  /** g [n] */
  scale: Float64Array;
  /** f [n] */
  future: Float64Array;
}

/**
 * Modulation of turns by their entropy.
 *
 *   h = (H - min H) / (max H - min H + 1e-8),   g = e^(-decay h) / mean(e^(-decay h)),   f = e^(-bonusDecay h)
 *
 * A turn without entropy is left alone (g = 1) and gives no bonus (f = 0).
 *
 * Source: EMPG, arXiv 2509.09265 (self-calibrating scale and future clarity; decay = bonusDecay = 1).
 *
 * @param entropies H [n] mean token entropy of each turn; NaN or infinite = none
 */
export function entropyModulation(
  entropies: Float64Array,
  { decay, bonusDecay }: Pick<ModulationArgs, 'decay' | 'bonusDecay'>,
): TurnModulation {
  const known = entropies.filter(Number.isFinite);
  const least = known.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const range = known.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY) - least + RANGE_EPS;
  const decayed = (entropy: number, rate: number) => Math.exp(-rate * ((entropy - least) / range));
  const mean = reproducibleSum(known.length, (i) => decayed(known[i], decay)) / known.length;
  return {
    scale: entropies.map((entropy) => (Number.isFinite(entropy) ? decayed(entropy, decay) / mean : 1)),
    future: entropies.map((entropy) => (Number.isFinite(entropy) ? decayed(entropy, bonusDecay) : 0)),
  };
}
