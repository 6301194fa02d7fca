import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import { type ClipOptions, GROUP_DEFAULTS, type GroupOptions, readClippedLoss, readGroupAdvantage } from './common.js';

export type ArpoOptions = ClipOptions &
  GroupOptions & {
    /** Turns that several trajectories share have each trajectory's advantage in its row (default), or the mean of them. */
    attribution?: 'soft' | 'hard' | undefined;
  };

/**
 * ARPO, Agentic Reinforced Policy Optimization (Dong et al. 2025, arXiv 2507.19849).
 *
 *   A = (R - mean_prompt) / (std_prompt + eps), sample deviation;   token-level ratio, PPO clip [0.2, 0.2], token-mean
 *
 * The method is in the rollout, which branches where entropy rises; a prefix shared by d trajectories is in d rows, whose average is implicit in the
 * loss ("soft" estimation). 'hard' gives shared turns the mean of their trajectories' advantages; `nodes` [K] say which are shared; without them it is the same as 'soft'.
 * Release (RUC-NLPIR/ARPO, on an older verl): soft only; a group of one keeps its raw reward (`singleton: 'raw'`), dual clip 3 (`dual: 3`).
 */
export function arpo(options: ArpoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const { channel, hint } = readGroupAdvantage(fields, GROUP_DEFAULTS.paper);
  const hard = fields.oneOf('attribution', ['soft', 'hard'], 'soft') === 'hard';
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'token-mean' });
  fields.end(hint);
  return estimator({
    name: 'arpo',
    channels: [{ ...channel, ...(hard ? { then: { kind: 'tree', backup: 'leaf-mean' } } : {}) }],
    ...loss,
  });
}
