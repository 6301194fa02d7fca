/** The trees that the trajectories of each prompt form where they share turns, and the credit that they give to turns. */
import type { ChannelArgs, TurnStatisticsArgs } from '../../ops.js';
import { type Leaf, type Tree, treeValues } from '../math/tree_values.js';
import type { Entries } from './channel_signal.js';
import type { CreditLayout } from './credit_layout.js';
import { numbering } from './numbering.js';

/** Nodes are numbered over the whole batch; every prompt has a root of its own, before its first turns. */
export interface TurnTree extends Tree {
  parent: number[];
  depth: number[];
  /** [nodes] root of each node's prompt */
  root: number[];
  /** [K] */
  nodeOfTurn: Int32Array;
  /** First turn at which a node has another parent than before (twice in one trajectory is such a case); -1: none. */
  brokenAt: number;
}

/** Node of turn k = (prompt, nodes[k]); without `nodes` every turn is a node of its own. Parent: the turn before it. */
export function buildTurnTree({ groups, nodes }: TurnStatisticsArgs, layout: CreditLayout): TurnTree {
  const tree: TurnTree = {
    parent: [],
    depth: [],
    root: [],
    nodeOfTurn: new Int32Array(layout.size.turn),
    brokenAt: -1,
  };
  const promptOf = numbering();
  const roots: number[] = [];
  const numberOf = numbering();
  const nodeOf = numbering();
  const ids: number[] = [];
  const addNode = (parent: number): number => {
    const node = tree.parent.push(parent) - 1;
    tree.depth.push(parent < 0 ? 0 : tree.depth[parent] + 1);
    tree.root.push(parent < 0 ? node : tree.root[parent]);
    return node;
  };
  layout.entries.turn.forEach((turns, m) => {
    if (turns.length === 0) return;
    const prompt = promptOf(groups[m]);
    if (prompt === roots.length) roots.push(addNode(-1));
    let before = roots[prompt];
    for (const k of turns) {
      // Both are dense numbers of at most K values, so the product cannot leave the exact integers.
      const id = nodeOf(prompt * layout.size.turn + (nodes === null ? k : numberOf(nodes[k])));
      if (id === ids.length) ids.push(addNode(before));
      if (tree.parent[ids[id]] !== before && tree.brokenAt < 0) tree.brokenAt = k;
      tree.nodeOfTurn[k] = ids[id];
      before = ids[id];
    }
  });
  return tree;
}

/**
 * V(n) of each turn's node, minus the value of its parent or of its prompt's root. A trajectory's leaf value hangs on its
 * last turn; a trajectory without one is not in the tree, and its turns have a value only where they are shared.
 *
 * Source: ATPO release (node_value, node minus parent, node minus root).
 *
 * @param leafValues [M] NaN = none
 */
export function treeCredit(
  args: TurnStatisticsArgs,
  { treeBackup, treeBaseline }: ChannelArgs,
  layout: CreditLayout,
  tree: TurnTree,
  leafValues: Float64Array | null,
): Entries {
  const leaves: Leaf[] = [];
  const entropies = new Float64Array(tree.parent.length).fill(Number.NEGATIVE_INFINITY);
  layout.entries.turn.forEach((turns, m) => {
    const value = leafValues?.[m] ?? Number.NaN;
    if (turns.length === 0 || layout.excluded[m] || Number.isNaN(value)) return;
    leaves.push({ node: tree.nodeOfTurn[turns[turns.length - 1]], value });
    for (const k of turns) {
      const entropy = args.turnEntropies?.[k] ?? 0;
      const node = tree.nodeOfTurn[k];
      entropies[node] = Math.max(entropies[node], Number.isNaN(entropy) ? 0 : entropy);
    }
  });
  const nodeValues = treeValues(tree, leaves, entropies, treeBackup);
  const values = Float64Array.from(tree.nodeOfTurn, (node) => {
    switch (treeBaseline) {
      case 'none':
        return nodeValues[node];
      case 'parent':
        return nodeValues[node] - nodeValues[tree.parent[node]];
      case 'root':
        return nodeValues[node] - nodeValues[tree.root[node]];
    }
  });
  const present = Uint8Array.from(values, (_, k) =>
    layout.excluded[args.turns.trajectory[k]] || Number.isNaN(nodeValues[tree.nodeOfTurn[k]]) ? 0 : 1,
  );
  return { level: 'turn', values, present };
}
