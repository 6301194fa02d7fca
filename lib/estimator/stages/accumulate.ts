import type { Fields } from '../../check/fields.js';
import type { Bootstrap, Divide, Level, Observation, TreeBackup, TreeBaseline } from '../../ops.js';

/**
 * Values of a tree of shared prefixes, in which trajectories are leaves and turns nodes (`nodes` [K]; without it every turn is its own).
 *
 * - leaf-mean: mean over all leaves below. child-mean: mean over the children. child-softmax: children weighed by softmax of `turnEntropies`.
 * - baseline: V(node) alone, less that of its parent, or less that of the root.
 */
export interface Tree {
  kind: 'tree';
  backup: TreeBackup;
  baseline: TreeBaseline;
}

/**
 * S2, before the statistics, along a trajectory:
 *
 * - discounted: D_e = x_e + gamma D_{e+1}. `bootstrap: 'outcome'` starts it from the trajectory's outcome.
 * - gae (arXiv 1506.02438): δ_e = x_e + gamma V_{e+1} - V_e, A_e = δ_e + gamma lambda A_{e+1}; `values` per unit. After the end V is 0 ('zero'), the
 *   last V where `truncated` [M] says so ('carry', T-PPO), or `bootstrapValues` [M] ('given'). lambda 0 is the value residual δ.
 * - tree: the outcome backed up to every turn.
 *
 * `observation` (token level): tokens outside the loss are skipped, or the sum starts anew at the end of every turn ('reset').
 */
export type Accumulate =
  | { kind: 'none' }
  | { kind: 'discounted'; gamma: number; bootstrap: 'zero' | 'outcome'; observation?: Observation }
  | { kind: 'gae'; gamma: number; lambda: number; bootstrap: 'zero' | 'carry' | 'given'; observation?: Observation }
  | Tree;

export type AccumulateInput =
  | { kind: 'none' }
  | { kind: 'discounted'; gamma: number; bootstrap?: 'zero' | 'outcome'; observation?: Observation }
  | { kind: 'gae'; gamma: number; lambda: number; bootstrap?: 'zero' | 'carry' | 'given'; observation?: Observation }
  | { kind: 'tree'; backup: TreeBackup; baseline?: TreeBaseline };

/** S5, after the statistics: E_k = z_k + gamma E_{k+1}, optionally divided by sqrt(number of terms); or a trajectory's z backed up a tree. */
export type Then = { kind: 'none' } | { kind: 'discounted'; gamma: number; divide: Divide } | Tree;

export type ThenInput =
  | { kind: 'none' }
  | { kind: 'discounted'; gamma: number; divide?: Divide }
  | { kind: 'tree'; backup: TreeBackup; baseline?: TreeBaseline };

const FRACTION = { min: 0, max: 1 };

export function readAccumulate(fields: Fields, level: Level): Accumulate {
  const kind = fields.oneOf(
    'kind',
    level === 'turn' ? ['none', 'discounted', 'gae', 'tree'] : ['none', 'discounted', 'gae'],
  );
  const observation = () =>
    level === 'token' ? { observation: fields.oneOf('observation', ['skip', 'reset'], 'skip') } : {};
  switch (kind) {
    case 'none':
      return { kind };
    case 'discounted': {
      const gamma = fields.number('gamma', FRACTION);
      return { kind, gamma, bootstrap: fields.oneOf('bootstrap', ['zero', 'outcome'], 'zero'), ...observation() };
    }
    case 'gae': {
      const gamma = fields.number('gamma', FRACTION);
      const lambda = fields.number('lambda', FRACTION);
      const bootstrap = fields.oneOf('bootstrap', ['zero', 'carry', 'given'], 'zero');
      return { kind, gamma, lambda, bootstrap, ...observation() };
    }
    case 'tree':
      return readTree(fields);
  }
}

export function readThen(fields: Fields, level: Level): Then {
  const kind = fields.oneOf('kind', level === 'sequence' ? ['none', 'tree'] : ['none', 'discounted']);
  if (kind === 'none') return { kind };
  if (kind === 'tree') return readTree(fields);
  return {
    kind,
    gamma: fields.number('gamma', FRACTION),
    divide: fields.oneOf('divide', ['none', 'sqrt-terms'], 'none'),
  };
}

function readTree(fields: Fields): Tree {
  return {
    kind: 'tree',
    backup: fields.oneOf('backup', ['child-mean', 'child-softmax', 'leaf-mean']),
    baseline: fields.oneOf('baseline', ['none', 'parent', 'root'], 'none'),
  };
}

export function accumulateArgs(accumulate: Accumulate, then: Then) {
  const sum = accumulate.kind === 'discounted' || accumulate.kind === 'gae' ? accumulate : null;
  const tree = accumulate.kind === 'tree' ? accumulate : then.kind === 'tree' ? then : null;
  return {
    accumulate: accumulate.kind,
    gamma: sum?.gamma ?? 0,
    lambda: accumulate.kind === 'gae' ? accumulate.lambda : 0,
    bootstrap: (sum?.bootstrap ?? 'zero') as Bootstrap,
    observation: sum?.observation ?? ('skip' as const),
    treeBackup: tree?.backup ?? ('child-mean' as const),
    treeBaseline: tree?.baseline ?? ('none' as const),
    then: then.kind,
    thenGamma: then.kind === 'discounted' ? then.gamma : 0,
    thenDivide: then.kind === 'discounted' ? then.divide : ('none' as const),
  };
}
