import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import {
  type ClipOptions,
  readClippedLoss,
  readSingleton,
  readTurnRewards,
  type SingletonOption,
  type TurnRewardOptions,
} from './common.js';

export interface TrlooOptions extends ClipOptions, SingletonOption, TurnRewardOptions {
  /** Discount over later turns. Default 1. */
  gamma?: number | undefined;
}

/**
 * TRLOO, Turn-level REINFORCE Leave-One-Out (Dr. Kernel, Liu et al. 2026, arXiv 2602.05885).
 *
 *   G_k = r_k + gamma G_{k+1};   A_k = G_k - mean of the other trajectories' G at turn k of the prompt;
 *   token-level ratio, PPO clip [0.2, 0.28], token-mean
 *
 * Release (hkust-nlp/KernelGYM): a turn that nobody else reached keeps its raw return (`singleton: 'raw'`, the default here too), gamma 1.
 * Its rows are turns, and its script averages their token sums over rows, divided by 1000: no aggregation here. Its rejection of turns that the sampler saw
 * differently (geometric mean of the ratio outside 0.999..1.001, or a token below 1e-4) is
 *   weights: [{ kind: 'reject', level: 'turn', reduce: 'mean', divergence: 'k1', low: -Math.log(1.001), high: -Math.log(0.999) },
 *             { kind: 'reject', level: 'turn', reduce: 'max', divergence: 'k1', high: -Math.log(1e-4) }]
 */
export function trloo(options: TrlooOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const terms = readTurnRewards(fields);
  const gamma = fields.number('gamma', { min: 0, max: 1 }, 1);
  const singleton = readSingleton(fields, 'raw');
  const loss = readClippedLoss(fields, { clip: [0.2, 0.28], aggregate: 'token-mean' });
  fields.end();
  return estimator({
    name: 'trloo',
    channels: [
      {
        signal: { level: 'turn', terms },
        accumulate: { kind: 'discounted', gamma },
        group: { kind: 'prompt-turn', singleton },
        center: { kind: 'leave-one-out' },
        scale: { kind: 'none' },
      },
    ],
    ...loss,
  });
}
