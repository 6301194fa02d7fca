import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { ChannelInput } from '../estimator/stages/channel.js';
import type { Estimator } from '../estimator/types.js';
import { type ClipOptions, readClippedLoss } from './common.js';

export interface PortoolOptions extends ClipOptions {
  /** Weight of the comparison with the siblings at a fork. Required: the paper's is not known here. */
  forkWeight: number;
  /** Weight of the comparison with the prompt's other trajectories. Required: the paper's is not known here. */
  trajectoryWeight: number;
}

const CENTERED: Pick<ChannelInput, 'center' | 'scale'> = { center: { kind: 'mean' }, scale: { kind: 'none' } };

/**
 * PORTool, tool use trained with a rewarded tree (Wu et al. 2025, arXiv 2510.26020).
 *
 *   A_k = forkWeight (r_k - mean over the siblings) + trajectoryWeight (R - mean_prompt);
 *   r = mean outcome of the trajectories through the turn + its call reward;   token-level ratio, PPO clip [0.2, 0.2], token-mean
 *
 * `nodes` [K] says which turns are shared, `turnRewards` [K] rewards successful calls (0 = an unsuccessful one, NaN = nothing to compare). A turn without siblings gets 0 from its fork.
 * Only the outline was read: the weights are required, and values are centred, not divided by a deviation. Dividing by the deviation
 * of r within a fork is no stage here: a tree's value and another reward cannot be one signal, only their centred parts add up.
 */
export function portool(options: PortoolOptions): Estimator {
  const fields = new Fields(options, '');
  const weight = fields.number('forkWeight', {});
  const trajectoryWeight = fields.number('trajectoryWeight', {});
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'token-mean' });
  fields.end();
  const group = { kind: 'parent', singleton: 'zero' } as const;
  return estimator({
    name: 'portool',
    channels: [
      {
        signal: { level: 'turn', terms: ['outcome'] },
        accumulate: { kind: 'tree', backup: 'leaf-mean' },
        group,
        ...CENTERED,
        weight,
      },
      { signal: 'turn-reward', group, ...CENTERED, weight },
      { signal: 'outcome', group: { kind: 'prompt', singleton: 'zero' }, ...CENTERED, weight: trajectoryWeight },
    ],
    ...loss,
  });
}
