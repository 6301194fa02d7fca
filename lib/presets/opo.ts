import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Aggregate } from '../estimator/stages/aggregate.js';
import type { Estimator } from '../estimator/types.js';
import type { Singleton } from '../ops.js';
import {
  type Clip,
  type Compat,
  type Defaults,
  type OptionalClipOptions,
  readCompat,
  readPolicyGradient,
  readSingleton,
  type SingletonOption,
} from './common.js';

export interface OpoOptions extends OptionalClipOptions, SingletonOption {
  compat?: Exclude<Compat, 'trl'> | undefined;
}

const DEFAULTS: Defaults<{ singleton: Singleton; clip: Clip | null; dual: number | null; aggregate: Aggregate }> = {
  paper: { singleton: 'zero', clip: null, dual: null, aggregate: 'seq-mean-token-sum' },
  verl: { singleton: 'raw', clip: [0.2, 0.2], dual: 3, aggregate: 'token-mean' },
};

/**
 * OPO, On-Policy RL with Optimal Reward Baseline (Hao et al. 2025, arXiv 2505.23585).
 *
 *   A = R - Σ |y_i| R_i / Σ |y_i| over the prompt, |y| = loss tokens of a trajectory;   loss Σ -A logProb / sequences
 *
 * The paper is exactly on-policy and does not clip (`clip: null`); with `clip` the surrogate is PPO's. No KL, no entropy bonus.
 * verl (compute_opo_outcome_advantage): a group of one keeps its raw reward, PPO clip [0.2, 0.2], dual clip 3, token-mean.
 */
export function opo(options: OpoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const defaults = readCompat(fields, DEFAULTS);
  const singleton = readSingleton(fields, defaults.singleton);
  const { loss, hint } = readPolicyGradient(fields, defaults);
  fields.end(hint);
  return estimator({
    name: 'opo',
    channels: [
      {
        signal: 'outcome',
        group: { kind: 'prompt', singleton },
        center: { kind: 'length-weighted' },
        scale: { kind: 'none' },
      },
    ],
    ...loss,
  });
}
