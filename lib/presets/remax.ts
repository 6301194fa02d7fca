import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Aggregate } from '../estimator/stages/aggregate.js';
import type { Estimator } from '../estimator/types.js';
import {
  type Clip,
  type Compat,
  type Defaults,
  type OptionalClipOptions,
  readCompat,
  readPolicyGradient,
} from './common.js';

export interface RemaxOptions extends OptionalClipOptions {
  compat?: Exclude<Compat, 'trl'> | undefined;
}

const DEFAULTS: Defaults<{ clip: Clip | null; dual: number | null; aggregate: Aggregate }> = {
  paper: { clip: null, dual: null, aggregate: 'seq-mean-token-sum' },
  verl: { clip: [0.2, 0.2], dual: 3, aggregate: 'token-mean' },
};

/**
 * ReMax (Li et al. 2023, arXiv 2310.10505).
 *
 *   A = R - R(greedy decoding of the same prompt);   loss Σ -A logProb / sequences
 *
 * `baseline` [M] is the reward of the greedy rollout. The paper is on-policy and does not clip (`clip: null`).
 * verl (compute_remax_outcome_advantage): PPO clip [0.2, 0.2], dual clip 3, token-mean; it also takes rewards per token, here R is the outcome.
 */
export function remax(options: RemaxOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const { loss, hint } = readPolicyGradient(fields, readCompat(fields, DEFAULTS));
  fields.end(hint);
  return estimator({
    name: 'remax',
    channels: [{ signal: 'outcome', group: { kind: 'prompt' }, center: { kind: 'given' }, scale: { kind: 'none' } }],
    ...loss,
  });
}
