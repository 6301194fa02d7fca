import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { BySign } from '../estimator/stages/gate.js';
import type { Denominator } from '../estimator/stages/ratio.js';
import type { Estimator } from '../estimator/types.js';
import {
  type Compat,
  type Defaults,
  type GroupOptions,
  type LossOptions,
  readCompat,
  readGroupAdvantage,
  readLoss,
} from './common.js';

export type VespoOptions = LossOptions &
  GroupOptions & {
    compat?: Exclude<Compat, 'verl'> | undefined;
    /** k, the power of W, by the sign of the advantage. Default { positive: 2, negative: 3 }. */
    shape?: BySign | undefined;
    /** λ, the decay in W, by the sign of the advantage. Default { positive: 3, negative: 2 }. */
    rate?: BySign | undefined;
    /** W of the policy to the start of the update (default), or to the sampler. */
    denominator?: Denominator | undefined;
  };

const DEFAULTS: Defaults<{ eps: number; singleton: 'zero' }> = {
  paper: { eps: 1e-6, singleton: 'zero' },
  trl: { eps: 1e-4 },
};

/** The release clamps token log-ratios at ±20, and W to [1e-8, e^20]. */
const CLAMPS = { tokenClamp: 20, clamp: { low: Math.log(1e-8), high: 20 } };

/**
 * VESPO, Variational Sequence-Level Soft Policy Optimization (2026, arXiv 2602.10693).
 *
 *   W = exp(Σ log-ratio of the trajectory),   φ = W^k exp(λ (1 - W)), (k, λ) = (2, 3) for A > 0 and (3, 2) for A < 0;
 *   f = -sg(φ) A logProb, token-mean;   A = (R - mean_prompt) / (std_prompt + eps)
 *
 * TRL (loss_type "vespo", get_gamma_weights): eps 1e-4; its vLLM correction multiplies W, token by token and truncated, and not the loss: here
 * `denominator: 'rollout'` puts the sampler into W without truncation, while `weights` multiply the loss.
 */
export function vespo(options: VespoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const { channel, hint } = readGroupAdvantage(fields, readCompat(fields, DEFAULTS));
  const shape = (fields.take('shape') ?? { positive: 2, negative: 3 }) as BySign;
  const rate = (fields.take('rate') ?? { positive: 3, negative: 2 }) as BySign;
  const denominator = fields.oneOf('denominator', ['old', 'rollout'], 'old');
  const loss = readLoss(fields, 'token-mean');
  fields.end(hint);
  return estimator({
    name: 'vespo',
    channels: [channel],
    ratio: { level: 'sequence', form: 'straight-through', reduce: 'sum', denominator, ...CLAMPS },
    gate: { kind: 'gamma', shape, rate },
    ...loss,
  });
}
