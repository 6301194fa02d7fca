/** S11, factors of a loss token's surrogate that come from the sampler's log-probabilities. Never differentiated. */
import type { KlEstimator, WeightArgs } from '../../ops.js';
import { clampLogRatio } from './ratio.js';

export interface ImportanceWeight {
  value: number;
  /** A bound cut it. */
  truncated: boolean;
}

/**
 * Ratio of what the trainer computes to what the sampler reported.
 *
 *   u = exp(clamp(y, ±logClamp));   truncate: min(max(u, low), high);   mask: low ≤ u ≤ high ? u : 0
 *
 * Source: truncated importance sampling and its masked form (TIS, MIS), verl rollout_corr_helper and TRL
 * vllm_importance_sampling; IcePop (token mask).
 *
 * @param y log π_old - log π_rollout of a token, or its mean or sum over a turn or trajectory
 */
export function importanceWeight(y: number, { mode, low, high, logClamp }: WeightArgs): ImportanceWeight {
  const u = Math.exp(clampLogRatio(y, -logClamp, logClamp));
  switch (mode) {
    case 'truncate':
      return { value: Math.min(Math.max(u, low), high), truncated: u < low || u > high };
    case 'mask':
      return { value: low <= u && u <= high ? u : 0, truncated: false };
  }
}

/**
 * Divergence of the trainer from the sampler at one token, by which tokens or trajectories are rejected.
 *
 *   r = clamp(log π_old - log π_rollout, ±logClamp);   k1 = -r;   k2 = r² / 2;   k3 = eʳ - 1 - r;   abs = |r|
 *
 * Source: verl rollout_corr_helper (rejection sampling by k1, k2, k3); Dr.Kernel, arXiv 2602.05885 (geometric mean).
 */
export function rolloutDivergence(logRatio: number, estimator: KlEstimator, logClamp: number): number {
  const r = clampLogRatio(logRatio, -logClamp, logClamp);
  switch (estimator) {
    case 'k1':
      return -r;
    case 'k2':
      return 0.5 * r * r;
    case 'k3':
      return Math.expm1(r) - r;
    case 'abs':
      return Math.abs(r);
  }
}

/** 1 for a statistic inside [low, high], otherwise 0. */
export function acceptance(statistic: number, { low, high }: WeightArgs): number {
  return low <= statistic && statistic <= high ? 1 : 0;
}

/**
 * 0 for a bad token of a trajectory that the policy has left.
 *
 *   0 where A < 0 and mean over the trajectory of (log π_old - log π) > high, else 1
 *
 * Source: DeepSeek-V3.2, arXiv 2512.02556 (off-policy sequence masking).
 */
export function offPolicyFactor(advantage: number, meanDivergence: number, { high }: WeightArgs): number {
  return advantage < 0 && meanDivergence > high ? 0 : 1;
}
