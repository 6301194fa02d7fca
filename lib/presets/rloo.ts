import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Aggregate } from '../estimator/stages/aggregate.js';
import type { RatioInput } from '../estimator/stages/ratio.js';
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
  UNCLAMPED,
} from './common.js';

export interface RlooOptions extends OptionalClipOptions, SingletonOption {
  compat?: Compat | undefined;
}

interface RlooDefaults {
  singleton: Singleton;
  ratio: RatioInput;
  clip: Clip | null;
  dual: number | null;
  aggregate: Aggregate;
}

const DEFAULTS: Defaults<RlooDefaults> = {
  paper: { singleton: 'zero', ratio: { level: 'token' }, clip: null, dual: null, aggregate: 'seq-mean-token-sum' },
  verl: { singleton: 'raw', clip: [0.2, 0.2], dual: 3, aggregate: 'token-mean' },
  trl: {
    ratio: { level: 'sequence', form: 'true', reduce: 'sum', ...UNCLAMPED },
    clip: [0.2, 0.2],
    aggregate: 'seq-mean-token-mean',
  },
};

/**
 * RLOO, REINFORCE Leave-One-Out ("Back to Basics", Ahmadian et al. 2024, arXiv 2402.14740).
 *
 *   A = R - mean of the prompt's other rewards = (R - mean_prompt) n / (n - 1);   loss Σ -A logProb / sequences
 *
 * The paper is on-policy and does not clip (`clip: null`); with `clip` the surrogate is PPO's. It puts a KL penalty into R: take it off the outcome.
 * verl (compute_rloo_outcome_advantage): a group of one keeps its raw reward (its vectorised form gives 0), PPO clip [0.2, 0.2], dual clip 3,
 * token-mean. TRL (RLOOTrainer): the ratio is that of the whole trajectory, exp(Σ log-ratio), clip [0.2, 0.2]; its beta 0.05 is in R.
 */
export function rloo(options: RlooOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const { ratio, ...defaults } = readCompat(fields, DEFAULTS);
  const singleton = readSingleton(fields, defaults.singleton);
  const { loss, hint } = readPolicyGradient(fields, defaults);
  fields.end(hint);
  return estimator({
    name: 'rloo',
    channels: [
      {
        signal: 'outcome',
        group: { kind: 'prompt', singleton },
        center: { kind: 'leave-one-out' },
        scale: { kind: 'none' },
      },
    ],
    ratio,
    ...loss,
  });
}
