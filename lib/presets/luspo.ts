import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import {
  type ClipOptions,
  type Compat,
  type Defaults,
  GROUP_DEFAULTS,
  type GroupDefaults,
  type GroupOptions,
  readClippedLoss,
  readCompat,
  readGroupAdvantage,
} from './common.js';

export type LuspoOptions = ClipOptions &
  GroupOptions & {
    compat?: Exclude<Compat, 'verl'> | undefined;
  };

const DEFAULTS: Defaults<GroupDefaults> = { paper: GROUP_DEFAULTS.paper, trl: GROUP_DEFAULTS.trl };

/**
 * LUSPO, Length-Unbiased Sequence Policy Optimization (2026, arXiv 2602.05261): GSPO with each trajectory's loss multiplied by its length.
 *
 *   s = exp(mean log-ratio of the trajectory), differentiated;   f = max(-s A, -clip(s, 1 - 2e-3, 1 + 2.5e-3) A), Σ |y| f / sequences,
 *   which is seq-mean-token-sum;   A = (R - mean_prompt) / (std_prompt + eps)
 *
 * Known from TRL (loss_type "luspo" with importance_sampling_level "sequence"): eps 1e-4, not clamped; averages per micro-batch.
 */
export function luspo(options: LuspoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const { ratio, ...defaults } = readCompat(fields, DEFAULTS);
  const { channel, hint } = readGroupAdvantage(fields, defaults);
  const loss = readClippedLoss(fields, { clip: [2e-3, 2.5e-3], aggregate: 'seq-mean-token-sum' });
  fields.end(hint);
  return estimator({
    name: 'luspo',
    channels: [channel],
    ratio: { level: 'sequence', form: 'true', ...ratio },
    ...loss,
  });
}
