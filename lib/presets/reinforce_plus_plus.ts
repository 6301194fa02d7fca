import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import type { Observation } from '../ops.js';
import {
  type ClipOptions,
  type Compat,
  type Defaults,
  readClippedLoss,
  readCompat,
  readTokenRewards,
  TOKEN_WHITEN,
  type TokenRewardOptions,
} from './common.js';

export interface ReinforcePlusPlusOptions extends ClipOptions, TokenRewardOptions {
  compat?: Exclude<Compat, 'trl'> | undefined;
  /** Discount over later tokens. Default 1. */
  gamma?: number | undefined;
  /** Tokens outside the loss are skipped (default), or the return starts anew behind them. */
  observation?: Observation | undefined;
}

const DEFAULTS: Defaults<{ dual: number | null }> = { paper: { dual: null }, verl: { dual: 3 } };

/**
 * REINFORCE++ (Hu et al. 2025, arXiv 2501.03262).
 *
 *   G_t = r_t + gamma G_{t+1} over loss tokens,   A = (G - mean) / sqrt(var + 1e-8) over all loss tokens of the batch, sample variance;
 *   token-level ratio, PPO clip [0.2, 0.2], token-mean
 *
 * r is the outcome on the last loss token; the paper takes a KL penalty off it: `klPenalty: { coef, estimator: 'k1' }` (off here, because it needs a
 * reference). verl (compute_reinforce_plus_plus_outcome_advantage): dual clip 3. Older verl and its forks restart the return at observations, so that
 * the outcome reaches only the last turn: `observation: 'reset'`.
 */
export function reinforcePlusPlus(options: ReinforcePlusPlusOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const defaults = readCompat(fields, DEFAULTS);
  const signal = readTokenRewards(fields);
  const gamma = fields.number('gamma', { min: 0, max: 1 }, 1);
  const observation = fields.oneOf('observation', ['skip', 'reset'], 'skip');
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'token-mean', ...defaults });
  fields.end();
  return estimator({
    name: 'reinforce-plus-plus',
    channels: [
      {
        signal,
        accumulate: { kind: 'discounted', gamma, observation },
        group: { kind: 'batch' },
        center: { kind: 'none' },
        scale: { kind: 'none' },
      },
    ],
    whiten: TOKEN_WHITEN,
    ...loss,
  });
}
