import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { ScaleInput } from '../estimator/stages/normalize.js';
import type { Estimator } from '../estimator/types.js';
import { type ClipOptions, epsHint, readClippedLoss } from './common.js';

export interface GigpoOptions extends ClipOptions {
  /** Weight of the step part. Default 1. */
  stepWeight?: number | undefined;
  /** Discount over later steps. Default 0.95. */
  gamma?: number | undefined;
  /** 'none' (default) only centres, 'std' also divides by the sample deviation. */
  scale?: 'none' | 'std' | undefined;
  /** Added to the standard deviation. Default 1e-6. */
  eps?: number | undefined;
  /** Statistics of the episode part over trajectories (default), or over steps, so that long episodes count more. */
  statistics?: 'trajectory' | 'step' | undefined;
}

/**
 * GiGPO, Group-in-Group Policy Optimization (Feng et al. 2025, arXiv 2505.10978).
 *
 *   A = N(R; prompt) + stepWeight N(G_k; prompt, anchor),   G_k = r_k + gamma G_{k+1};
 *   N(x; S) = x - mean_S, or (x - mean_S) / (std_S + 1e-6);   token-level ratio, PPO clip [0.2, 0.2], token-mean
 *
 * `outcome` is the episode's total reward, `turnRewards` the steps' own, `keys.anchor` [K] the state that a step starts from. An episode alone in
 * its prompt keeps its raw reward, a step alone in its state gets 0, as released.
 * Release (langfengQ/verl-agent, compute_gigpo_outcome_advantage): modes "mean_norm" and "mean_std_norm" are `scale` 'none' and 'std'; its statistics
 * are over steps by default. Anchors by similarity are computed by the caller.
 */
export function gigpo(options: GigpoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const weight = fields.number('stepWeight', {}, 1);
  const gamma = fields.number('gamma', { min: 0, max: 1 }, 0.95);
  const kind = fields.oneOf('scale', ['none', 'std'], 'none');
  const scale: ScaleInput =
    kind === 'none' ? { kind } : { kind, ddof: 1, eps: fields.number('eps', { above: 0 }, 1e-6) };
  const perStep = fields.oneOf('statistics', ['trajectory', 'step'], 'trajectory') === 'step';
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'token-mean' });
  fields.end(epsHint(kind));
  return estimator({
    name: 'gigpo',
    channels: [
      {
        signal: perStep ? { level: 'turn', terms: ['outcome'], place: 'every' } : 'outcome',
        group: { kind: 'prompt', singleton: 'raw' },
        center: { kind: 'mean' },
        scale,
      },
      {
        signal: 'turn-reward',
        accumulate: { kind: 'discounted', gamma },
        group: { kind: 'prompt-key', key: 'anchor', singleton: 'zero' },
        center: { kind: 'mean' },
        scale,
        weight,
      },
    ],
    ...loss,
  });
}
