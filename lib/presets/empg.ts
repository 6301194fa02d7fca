import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import { type ClipOptions, GROUP_DEFAULTS, type GroupOptions, readClippedLoss, readGroupAdvantage } from './common.js';

export type EmpgOptions = ClipOptions &
  GroupOptions & {
    /** K: how fast the weight of a turn falls with its entropy. Default 1. */
    decay?: number | undefined;
    /** ζ: weight of the bonus for a confident next turn. Default 0.1. */
    bonus?: number | undefined;
    /** K' of the bonus. Default 1. */
    bonusDecay?: number | undefined;
  };

/**
 * EMPG, Entropy-Modulated Policy Gradients (Wang et al. 2025, arXiv 2509.09265).
 *
 *   h = turn entropies brought to [0, 1] over the batch,   g = exp(-K h) / mean exp(-K h),   f = exp(-K' h);
 *   A'_k = A g_k + ζ f_{k+1} (no bonus on the last turn),   A_k = A'_k - mean of A' over the batch's turns;
 *   A = (R - mean_prompt) / (std_prompt + eps);   token-level ratio, PPO clip [0.2, 0.2], token-mean
 *
 * `turnEntropies` [K]: mean token entropy of each turn under the rollout policy. No release of the authors was found; the listing that circulates
 * normalises another array and rescales the whole batch by each g in turn, and is not followed. A constant group ends at a bonus less the mean, not
 * at 0. ARLArena uses ζ = 0.05.
 */
export function empg(options: EmpgOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const { channel, hint } = readGroupAdvantage(fields, GROUP_DEFAULTS.paper);
  const decay = fields.number('decay', { min: 0 }, 1);
  const bonus = fields.number('bonus', {}, 0.1);
  const bonusDecay = fields.number('bonusDecay', { min: 0 }, 1);
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'token-mean' });
  fields.end(hint);
  return estimator({
    name: 'empg',
    channels: [channel],
    modulate: { kind: 'entropy', decay, bonus, bonusDecay },
    whiten: { kind: 'center', over: 'turn' },
    ...loss,
  });
}
