import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import {
  type ClipOptions,
  normalized,
  readClippedLoss,
  readSingleton,
  readTurnRewards,
  type SingletonOption,
  type TurnRewardOptions,
} from './common.js';

/** Everything but the stages is unknown: what is required here is not public. */
export interface MapoOptions extends ClipOptions, SingletonOption, TurnRewardOptions {
  /** Discount over later turns. */
  gamma: number;
  /** Weight of the normalisation within (prompt, turn). */
  turnWeight: number;
  /** Weight of the normalisation over the batch. */
  batchWeight: number;
  /** 0 = population, 1 = sample deviation. */
  ddof: 0 | 1;
  /** Added to the standard deviations. */
  eps: number;
}

/**
 * MAPO, Mixed Advantage Policy Optimization for long multi-turn dialogue (Zhang et al. 2026, arXiv 2603.06194).
 *
 *   A_k = turnWeight z(G_k; prompt, k) + batchWeight z(G_k; batch),   G_k = r_k + gamma G_{k+1},   z(x; S) = (x - mean_S) / (std_S + eps);
 *   token-level ratio, PPO clip [0.2, 0.2], token-mean
 *
 * Only the abstract was read: turn rewards by a judge, Monte Carlo returns, a mix of turn-level and batch-level normalisation. The weights, the
 * discount, eps and the kind of deviation are not known, so they are required; the loss is GRPO's for want of another.
 */
export function mapo(options: MapoOptions): Estimator {
  const fields = new Fields(options, '');
  const terms = readTurnRewards(fields);
  const gamma = fields.number('gamma', { min: 0, max: 1 });
  const turnWeight = fields.number('turnWeight', {});
  const batchWeight = fields.number('batchWeight', {});
  const ddof = fields.number('ddof', { integer: true, min: 0, max: 1 }) as 0 | 1;
  const eps = fields.number('eps', { above: 0 });
  const singleton = readSingleton(fields, 'zero');
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'token-mean' });
  fields.end();
  const channel = (group: 'prompt-turn' | 'batch', weight: number) => ({
    ...normalized({ level: 'turn', terms }, { singleton, ddof, eps, group }),
    accumulate: { kind: 'discounted', gamma } as const,
    weight,
  });
  return estimator({
    name: 'mapo',
    channels: [channel('prompt-turn', turnWeight), channel('batch', batchWeight)],
    ...loss,
  });
}
