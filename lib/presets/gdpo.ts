import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Whiten } from '../estimator/stages/combine.js';
import type { Estimator } from '../estimator/types.js';
import {
  type ClipOptions,
  type Compat,
  type Defaults,
  GROUP_DEFAULTS,
  type GroupDefaults,
  normalized,
  readClippedLoss,
  readCompat,
  readSingleton,
  type SingletonOption,
  TOKEN_WHITEN,
} from './common.js';

export interface GdpoOptions extends ClipOptions, SingletonOption {
  compat?: Compat | undefined;
  /** Weight of each reward, by its name in `signals`, [M] each: one to eight. */
  rewards: Readonly<Record<string, number>>;
  /** Added to the standard deviation of each reward. Default 1e-6 (TRL 1e-4). */
  eps?: number | undefined;
}

const DEFAULTS: Defaults<GroupDefaults & { whiten: Whiten; dual: number | null }> = {
  paper: { ...GROUP_DEFAULTS.paper, whiten: { ...TOKEN_WHITEN, over: 'sequence' }, dual: null },
  verl: { ...GROUP_DEFAULTS.verl, whiten: TOKEN_WHITEN, dual: 3 },
  trl: {
    ...GROUP_DEFAULTS.trl,
    whiten: { kind: 'standardize', over: 'sequence', ddof: 1, eps: 1e-4, varianceFloor: 0 },
  },
};

/**
 * GDPO, Group reward-Decoupled Normalization Policy Optimization (Liu et al. 2026, arXiv 2601.05242).
 *
 *   A' = Σ_c w_c (R_c - mean_prompt) / (std_prompt + eps) over rewards c,   A = (A' - mean) / std over the batch;
 *   token-level ratio, PPO clip [0.2, 0.2], token-mean
 *
 * Each reward is an entry of `signals`. The paper's batch statistics count trajectories alike.
 * verl (compute_gdpo_outcome_advantage): batch statistics over loss tokens, a group of one keeps its raw reward (verl divides it by 1 + eps), dual clip 3.
 * TRL (multi_objective_aggregation "normalize_then_sum"): eps 1e-4 in both normalisations.
 */
export function gdpo(options: GdpoOptions): Estimator {
  const fields = new Fields(options, '');
  const { whiten, ratio, ...defaults } = readCompat(fields, DEFAULTS);
  const eps = fields.number('eps', { above: 0 }, defaults.eps);
  const singleton = readSingleton(fields, defaults.singleton);
  const rewards = fields.required('rewards', 'weights by the name of a reward') as Record<string, number>;
  const weights = new Fields(rewards, 'rewards');
  const channels = Object.keys(rewards).map((name) => ({
    ...normalized({ level: 'sequence', terms: [{ name, level: 'sequence' }] }, { singleton, eps }),
    weight: weights.number(name, {}),
  }));
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'token-mean', dual: defaults.dual });
  fields.end();
  return estimator({ name: 'gdpo', channels, whiten, ratio: { level: 'token', ...ratio }, ...loss });
}
