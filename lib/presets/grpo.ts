import { Fields } from '../check/fields.js';
import { type Estimator, estimator } from '../estimator/estimator.js';
import { type Aggregate, readAggregate } from '../estimator/stages/aggregate.js';
import type { KlInput } from '../estimator/stages/kl.js';
import type { Singleton } from '../ops.js';
import { readClip } from './clip.js';

interface CommonOptions {
  /** [low, high] epsilons. Default [0.2, 0.2]. */
  clip?: readonly [low: number, high: number] | undefined;
  /** What a group of one gets. Default 'zero'; the verl release gives the raw reward ('raw'). */
  singleton?: Singleton | undefined;
  /** Dual-clip constant (verl's default is 3). Default null, off. */
  dual?: number | null | undefined;
  /** Default null. The paper has { coef: 0.04, estimator: 'k3' }. */
  kl?: KlInput | null | undefined;
  /** Default 'token-mean'; the paper has 'seq-mean-token-mean'. */
  aggregate?: Aggregate | undefined;
}

interface ScaledOptions extends CommonOptions {
  /** Divide by the group's standard deviation (the default). */
  scale?: 'std' | undefined;
  /** Added to the standard deviation. Default 1e-6 (verl; TRL has 1e-4). */
  eps?: number | undefined;
}

interface CenteredOptions extends CommonOptions {
  /** Centre only (Dr. GRPO). */
  scale: 'none';
}

export type GrpoOptions = ScaledOptions | CenteredOptions;

/**
 * GRPO, Group Relative Policy Optimization (Shao et al. 2024, arXiv 2402.03300).
 *
 *   A = (R - mean_prompt) / (std_prompt + eps), sample standard deviation, one value for all tokens of a trajectory;
 *   token-level ratio, PPO clip. `scale: 'none'` is the advantage of Dr. GRPO (arXiv 2503.20783), whose aggregation is
 *   { kind: 'seq-mean-token-sum-norm', horizon }.
 */
export function grpo(options: GrpoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const [low, high] = readClip(fields, [0.2, 0.2]);
  const scale = fields.oneOf('scale', ['std', 'none'], 'std');
  const eps = scale === 'std' ? fields.number('eps', { above: 0 }, 1e-6) : 0;
  const singleton = fields.oneOf('singleton', ['zero', 'raw', 'throw'], 'zero');
  const dual = fields.numberOrNull('dual', { above: 1 }, null);
  const kl = (fields.take('kl') ?? null) as KlInput | null;
  const aggregate = readAggregate(fields, 'token-mean');
  fields.end(scale === 'none' ? 'eps has no effect with scale "none"' : '');
  return estimator({
    name: 'grpo',
    channels: [
      {
        signal: { kind: 'outcome' },
        group: { kind: 'prompt', singleton },
        center: { kind: 'mean' },
        scale: scale === 'std' ? { kind: 'std', ddof: 1, eps, varianceFloor: 0 } : { kind: 'none' },
      },
    ],
    gate: { kind: 'ppo', low, high, dual },
    kl,
    aggregate,
  });
}
