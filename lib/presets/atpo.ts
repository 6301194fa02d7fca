import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { ChannelInput } from '../estimator/stages/channel.js';
import type { Estimator } from '../estimator/types.js';
import type { TreeBackup, TreeBaseline } from '../ops.js';
import { type ClipOptions, readClippedLoss, readSingleton, type SingletonOption } from './common.js';

export interface AtpoOptions extends ClipOptions, SingletonOption {
  /** Value of a node from those below: children weighed by softmax of their entropies (default), their mean, or the mean of its leaves. */
  backup?: TreeBackup | undefined;
  /** V (default), V - V(parent), V - V(root), or the sum of the two differences. */
  nodeAdvantage?: 'value' | 'parent' | 'root' | 'parent-and-root' | undefined;
  /** Normalise the outcomes of a prompt before they are backed up. Default true. */
  normalize?: boolean | undefined;
}

const BASELINES: Record<NonNullable<AtpoOptions['nodeAdvantage']>, readonly TreeBaseline[]> = {
  value: ['none'],
  parent: ['parent'],
  root: ['root'],
  'parent-and-root': ['root', 'parent'],
};

/**
 * AT²PO, Agentic Turn-based Policy Optimization via tree search (Zong et al. 2026, arXiv 2601.04767).
 *
 *   leaf value z = (R - mean_prompt) / (std_prompt + 1e-6), population deviation;
 *   V(node) = Σ_children softmax(entropy) V(child);   A = V(node), for all tokens of the turn;
 *   ratio: mean log-ratio of the turn, straight-through, PPO clip [3e-3, 4e-3], seq-mean-token-mean
 *
 * `nodes` [K] says which turns are shared; rollouts without branches give every turn an id of its own. `turnEntropies` [K] only with backup
 * 'child-softmax'. Defaults are those of the release's script (zzfoutofspace/ATPO); it also has the node advantages 'parent', 'root' and their sum.
 * Each trajectory is one row of the loss, so that a shared turn counts once per leaf, as released; `weights: [{ kind: 'given' }]` with
 * 1 / leaves counts it once. The expansion of the tree, and the duplicated leaves that fill one, are the sampler's.
 */
export function atpo(options: AtpoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const backup = fields.oneOf('backup', ['child-softmax', 'child-mean', 'leaf-mean'], 'child-softmax');
  const node = fields.oneOf('nodeAdvantage', ['value', 'parent', 'root', 'parent-and-root'], 'value');
  const normalize = fields.boolean('normalize', true);
  const statistics: Pick<ChannelInput, 'group' | 'center' | 'scale'> = normalize
    ? {
        group: { kind: 'prompt', singleton: readSingleton(fields, 'zero') },
        center: { kind: 'mean' },
        scale: { kind: 'std', ddof: 0, eps: 1e-6 },
      }
    : { group: { kind: 'prompt' }, center: { kind: 'none' }, scale: { kind: 'none' } };
  const loss = readClippedLoss(fields, { clip: [3e-3, 4e-3], aggregate: 'seq-mean-token-mean' });
  fields.end(normalize ? '' : 'singleton has no effect without normalize');
  return estimator({
    name: 'atpo',
    channels: BASELINES[node].map((baseline) => ({
      signal: 'outcome',
      ...statistics,
      then: { kind: 'tree', backup, baseline },
    })),
    ratio: { level: 'turn', form: 'straight-through' },
    ...loss,
  });
}
