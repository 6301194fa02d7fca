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

export interface MatchTirOptions extends ClipOptions, SingletonOption, TurnRewardOptions {
  /** Discount over later turns. Default 0.9. */
  gamma?: number | undefined;
  /** Added to the standard deviations. Default 1e-6. */
  eps?: number | undefined;
}

/**
 * MatchTIR, supervision by matching tool calls to reference calls (Qu et al. 2026, arXiv 2601.10712).
 *
 *   A_k = (z(Σ_j r_j; prompt) + z(G_k; prompt, k)) / 2,   G_k = r_k + gamma G_{k+1};
 *   z(x; S) = (x - mean_S) / (std_S + 1e-6), sample deviation;   token-level ratio, PPO clip [0.2, 0.2], token-mean
 *
 * `turnRewards`: the mean score of a turn's matched calls, the answer's F1 on the last turn; matching them is the caller's.
 * Release (quchangle1/MatchTIR): gamma 0.9 is hard-coded, a group of one keeps its raw value (the default here), its "KM" matching is greedy.
 */
export function matchTir(options: MatchTirOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const terms = readTurnRewards(fields);
  const gamma = fields.number('gamma', { min: 0, max: 1 }, 0.9);
  const eps = fields.number('eps', { above: 0 }, 1e-6);
  const singleton = readSingleton(fields, 'raw');
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'token-mean' });
  fields.end();
  return estimator({
    name: 'match-tir',
    channels: [
      { ...normalized({ level: 'sequence', terms }, { singleton, eps }), weight: 0.5 },
      {
        ...normalized({ level: 'turn', terms }, { singleton, eps, group: 'prompt-turn' }),
        accumulate: { kind: 'discounted', gamma },
        weight: 0.5,
      },
    ],
    ...loss,
  });
}
