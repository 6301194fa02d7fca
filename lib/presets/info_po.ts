import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import { type ClipOptions, normalized, readClippedLoss, readSingleton, type SingletonOption } from './common.js';

export interface InfoPoOptions extends ClipOptions, SingletonOption {
  /** β: weight of the intrinsic part. Default 0.1. */
  beta?: number | undefined;
  /** Of the gate. Default 0.05. */
  temperature?: number | undefined;
  /** Added to the standard deviations. Default 1e-6. */
  eps?: number | undefined;
}

/**
 * InfoPO, Information-Driven Policy Optimization (Kong et al. 2026, arXiv 2603.00656): information counts where outcomes do not discriminate.
 *
 *   A = z(R; prompt) + β gate cap z(i; tokens of the prompt),   z(x; S) = (x - mean_S) / (std_S + 1e-6), sample deviation;
 *   gate = sigmoid(-std of the prompt's outcomes / temperature),
 *   cap = min(1, max(std(A_outcome) + eps, 1) / (std(z_i) + eps)) over the batch's loss tokens;   token-level ratio, PPO clip [0.2, 0.2], token-mean
 *
 * `signals.intrinsic` [K]: how much a turn's observation shifts the log-prob of the next action; NaN = none (the release reads 0 so). It counts
 * once per loss token of its turn, as released.
 * Release (kfq20/InfoPO, compute_info_grpo_advantage): this is its credit "Equalized"; reward-to-go and EM credits of the outcome are left to the
 * caller, and so are the decay of β over epochs and its rounding of the summed reward to 4 decimals. There a group of one keeps its raw outcome
 * (`singleton: 'raw'`, the default for that part here) and counts a deviation of 1 in the gate, here 0.
 */
export function infoPo(options: InfoPoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const weight = fields.number('beta', {}, 0.1);
  const temperature = fields.number('temperature', { above: 0 }, 0.05);
  const eps = fields.number('eps', { above: 0 }, 1e-6);
  const singleton = readSingleton(fields, 'raw');
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'token-mean' });
  fields.end();
  const intrinsic = { level: 'token', terms: [{ name: 'intrinsic', level: 'turn' }], place: 'every' } as const;
  return estimator({
    name: 'info-po',
    channels: [
      normalized('outcome', { singleton, eps }),
      { ...normalized(intrinsic, { singleton: 'zero', eps }), cap: { eps }, gate: { temperature }, weight },
    ],
    ...loss,
  });
}
