import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { LogRatioClamp } from '../estimator/stages/ratio.js';
import type { Estimator } from '../estimator/types.js';
import { type ClipOptions, type Compat, type Defaults, readClippedLoss, readCompat, UNCLAMPED } from './common.js';
import { type CriticOptions, readCritic } from './critic.js';

export interface PpoOptions extends ClipOptions, CriticOptions {
  compat?: Compat | undefined;
  /** Value of what follows the last token: 0 (default), or `bootstrapValues` [M]. */
  bootstrap?: 'zero' | 'given' | undefined;
}

interface PpoDefaults {
  gamma: number;
  lambda: number;
  whiten: boolean;
  dual: number | null;
  ratio: { readonly clamp?: LogRatioClamp };
}

const DEFAULTS: Defaults<PpoDefaults> = {
  paper: { gamma: 0.99, lambda: 0.95, whiten: false, dual: null, ratio: {} },
  verl: { gamma: 1, lambda: 1, whiten: true, dual: 3 },
  trl: { gamma: 1, whiten: true, ratio: UNCLAMPED },
};

/**
 * PPO, Proximal Policy Optimization (Schulman et al. 2017, arXiv 1707.06347) with GAE (arXiv 1506.02438) over loss tokens.
 *
 *   δ_t = r_t + gamma V_{t+1} - V_t,   A_t = δ_t + gamma lambda A_{t+1}, t + 1 = the next loss token;
 *   f = max(-ratio A, -clip(ratio, 1 - 0.2, 1 + 0.2) A), token-mean
 *
 * `values` [N] are the critic's; its own loss is not computed here. r is the outcome on the last loss token; `klPenalty` is the KL penalty of RLHF.
 * verl (compute_gae_advantage_return, compute_policy_loss_vanilla): gamma and lambda 1, A whitened over loss tokens, dual clip 3. TRL (experimental
 * PPOTrainer): gamma 1, whitened, log-ratios not clamped; its kl_coef 0.05 is `klPenalty: { coef: 0.05, estimator: 'k1' }`.
 */
export function ppo(options: PpoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const defaults = readCompat(fields, DEFAULTS);
  const credit = readCritic(fields, defaults, fields.oneOf('bootstrap', ['zero', 'given'], 'zero'));
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'token-mean', dual: defaults.dual });
  fields.end();
  return estimator({ name: 'ppo', ...credit, ratio: { level: 'token', ...defaults.ratio }, ...loss });
}
