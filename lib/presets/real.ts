import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import { type LossOptions, normalized, readRegularizers } from './common.js';

export interface RealOptions extends Pick<LossOptions, 'kl' | 'entropy'> {
  /** Default 0.5. */
  temperature?: number | undefined;
}

/**
 * REAL, Rewards as Labels (2026, arXiv 2602.05630).
 *
 *   L = Σ_prompt [log(1 + Σ_neg exp(s / T)) + log(1 + Σ_pos exp(-s / T))] / prompts,   s = mean log-ratio of a trajectory, differentiated
 *
 * The outcome is a label: trajectories above their prompt's mean are positive, those below negative. With outcomes 0 and 1 these are the paper's
 * labels; a prompt of one class has no loss. All trajectories of a prompt belong into one call.
 * `kl` and `entropy` are summed over the tokens of a prompt, as the mean over prompts says; divide their coefficients by the length you expect.
 * Red-RL/REAL stops an update where KL exceeds 1e-4; that is the caller's.
 */
export function real(options: RealOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const temperature = fields.number('temperature', { above: 0 }, 0.5);
  // Weights and other aggregations do not exist with this gate.
  const regularizers = readRegularizers(fields);
  fields.end();
  return estimator({
    name: 'real',
    channels: [normalized('outcome', { scale: 'none', singleton: 'zero' })],
    ratio: { level: 'sequence', form: 'true' },
    gate: { kind: 'log-sum-exp', temperature },
    ...regularizers,
    aggregate: 'prompt-mean',
  });
}
