/** What presets with a critic have in common: generalised advantage estimation over loss tokens, whitened or not. */
import type { Fields } from '../check/fields.js';
import type { ChannelInput } from '../estimator/stages/channel.js';
import type { SignalInput } from '../estimator/stages/signal.js';
import type { EstimatorInput } from '../estimator/types.js';
import type { Bootstrap } from '../ops.js';
import { readTokenRewards, TOKEN_WHITEN, type TokenRewardOptions } from './common.js';

export interface CriticOptions extends TokenRewardOptions {
  /** Discount over later tokens. */
  gamma?: number | undefined;
  /** GAE's trace decay. */
  lambda?: number | undefined;
  /** Standardise advantages over the batch's loss tokens. */
  whiten?: boolean | undefined;
}

interface CriticDefaults {
  /** undefined = not published, the option is required. */
  gamma: number | undefined;
  lambda: number | undefined;
  whiten: boolean;
}

const FRACTION = { min: 0, max: 1 };

export function readCritic(
  fields: Fields,
  defaults: CriticDefaults,
  bootstrap: Exclude<Bootstrap, 'outcome'>,
): Pick<EstimatorInput, 'channels' | 'whiten'> {
  const signal = readTokenRewards(fields);
  const gamma = fields.number('gamma', FRACTION, defaults.gamma);
  const lambda = fields.number('lambda', FRACTION, defaults.lambda);
  return {
    channels: [criticChannel(signal, { gamma, lambda, bootstrap })],
    whiten: fields.boolean('whiten', defaults.whiten) ? TOKEN_WHITEN : null,
  };
}

/** GAE, with nobody compared. */
export function criticChannel(
  signal: SignalInput,
  gae: { gamma: number; lambda: number; bootstrap: Exclude<Bootstrap, 'outcome'> },
): ChannelInput {
  return {
    signal,
    accumulate: { kind: 'gae', ...gae },
    group: { kind: 'batch' },
    center: { kind: 'none' },
    scale: { kind: 'none' },
  };
}
