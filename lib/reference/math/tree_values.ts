/** Values of a tree of turns, backed up from its leaves. No recursion: a trajectory may be thousands of turns deep. */
import type { TreeBackup } from '../../ops.js';
import { reproducibleSum } from './reproducible_sum.js';

/** Nodes 0 .. count - 1 of one or more trees, in any order. */
export interface Tree {
  /** [nodes] -1 = root */
  parent: ArrayLike<number>;
  /** [nodes] 0 = root */
  depth: ArrayLike<number>;
}

/** The value of a trajectory that ends at a node. */
export interface Leaf {
  node: number;
  value: number;
}

/**
 * Value of every node.
 *
 *   leaf-mean:     V(n) = mean of the leaf values below n
 *   child-mean:    V(n) = mean over the children: nodes with a value, and leaf values that end at n
 *   child-softmax: V(n) = Σ e^(H_c) V_c / Σ e^(H_c) over the same children; a leaf that ends at n has the entropy of n
 *
 * Independent of the order of leaves; where all terms are equal, exactly that value.
 *
 * Source: AT²PO / ATPO release (node value modes child_mean, child_softmax, leaf_mean).
 *
 * @param entropies H [nodes]; child-softmax
 * @returns V [nodes], NaN where no leaf is below
 */
export function treeValues(tree: Tree, leaves: readonly Leaf[], entropies: Float64Array, backup: TreeBackup) {
  return backup === 'leaf-mean' ? leafMeans(tree, leaves) : childMeans(tree, leaves, entropies, backup);
}

function leafMeans({ parent }: Tree, leaves: readonly Leaf[]): Float64Array {
  const below: number[][] = Array.from({ length: parent.length }, () => []);
  for (const { node, value } of leaves) {
    for (let n = node; n >= 0; n = parent[n]) below[n].push(value);
  }
  return Float64Array.from(below, (values) => weightedMean(values, null));
}

function childMeans(
  { parent, depth }: Tree,
  leaves: readonly Leaf[],
  entropies: Float64Array,
  backup: TreeBackup,
): Float64Array {
  const values: number[][] = Array.from({ length: parent.length }, () => []);
  const weights: number[][] = Array.from({ length: parent.length }, () => []);
  const give = (to: number, value: number, entropy: number) => {
    values[to].push(value);
    weights[to].push(entropy);
  };
  for (const { node, value } of leaves) give(node, value, entropies[node]);
  const result = new Float64Array(parent.length).fill(Number.NaN);
  const deepestFirst = Array.from({ length: parent.length }, (_, n) => n).sort((a, b) => depth[b] - depth[a]);
  for (const n of deepestFirst) {
    result[n] = weightedMean(values[n], backup === 'child-softmax' ? softmaxWeights(weights[n]) : null);
    if (parent[n] >= 0 && values[n].length > 0) give(parent[n], result[n], entropies[n]);
  }
  return result;
}

/** e^(H - max H): the weights of a softmax before their division by their sum. */
function softmaxWeights(entropies: readonly number[]): number[] {
  const largest = entropies.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return entropies.map((entropy) => Math.exp(entropy - largest));
}

/** Σwx / Σw; NaN of nothing. The mean of equal values is that value, not the rounding error of their sum. */
function weightedMean(values: readonly number[], weights: readonly number[] | null): number {
  if (values.length === 0) return Number.NaN;
  if (values.every((value) => value === values[0])) return values[0];
  if (weights === null) return reproducibleSum(values.length, (i) => values[i]) / values.length;
  const total = reproducibleSum(weights.length, (i) => weights[i]);
  return reproducibleSum(values.length, (i) => weights[i] * values[i]) / total;
}
