import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import type { Singleton } from '../ops.js';
import {
  type ClipOptions,
  type Compat,
  type Defaults,
  normalized,
  readClippedLoss,
  readCompat,
  readSingleton,
  type SingletonOption,
  TOKEN_WHITEN,
} from './common.js';

export interface ReinforcePlusPlusBaselineOptions extends ClipOptions, SingletonOption {
  compat?: Exclude<Compat, 'trl'> | undefined;
}

const DEFAULTS: Defaults<{ singleton: Singleton; dual: number | null }> = {
  paper: { singleton: 'zero', dual: null },
  verl: { singleton: 'raw', dual: 3 },
};

/**
 * REINFORCE++ with a group baseline (Hu et al. 2025, arXiv 2501.03262).
 *
 *   B = R - mean_prompt,   A = (B - mean) / sqrt(var + 1e-8) over all loss tokens of the batch, sample variance;
 *   token-level ratio, PPO clip [0.2, 0.2], token-mean
 *
 * The paper adds a KL term: `kl: { coef, estimator: 'k2' }` (off here, because it needs a reference). Batch whitening shifts a prompt of equal rewards
 * away from 0, as published.
 * verl (compute_reinforce_plus_plus_baseline_outcome_advantage): a group of one keeps its raw reward, dual clip 3.
 */
export function reinforcePlusPlusBaseline(options: ReinforcePlusPlusBaselineOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const defaults = readCompat(fields, DEFAULTS);
  const channel = normalized('outcome', { scale: 'none', singleton: readSingleton(fields, defaults.singleton) });
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'token-mean', dual: defaults.dual });
  fields.end();
  return estimator({ name: 'reinforce-plus-plus-baseline', channels: [channel], whiten: TOKEN_WHITEN, ...loss });
}
