import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import { type ClipOptions, GROUP_DEFAULTS, type GroupOptions, readClippedLoss, readGroupAdvantage } from './common.js';

export type EpoOptions = ClipOptions & GroupOptions;

/**
 * EPO, Entropy-regularized Policy Optimization (Xu et al. 2025, arXiv 2509.22576): its entropy term over GRPO's advantage.
 *
 *   loss = PPO - 1e-3 H, averaged alike over tokens;   A = (R - mean_prompt) / (std_prompt + eps);
 *   token-level ratio, PPO clip [0.2, 0.2], token-mean
 *
 * The smoothing penalty (0.1 where the entropy leaves a band around its historical mean) is left to the caller: the history is state outside the
 * batch, and in the release (WujiangXu/EPO) the penalty is a comparison without a gradient, so that it only shifts the reported loss. The release also has
 * verl's dual clip (`dual: 3`) and its weight per epoch (`entropy: { coef }`).
 */
export function epo(options: EpoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const { channel, hint } = readGroupAdvantage(fields, GROUP_DEFAULTS.paper);
  const entropy = fields.has('entropy') ? {} : { entropy: { coef: 1e-3 } };
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'token-mean' });
  fields.end(hint);
  return estimator({ name: 'epo', channels: [channel], ...loss, ...entropy });
}
