/** Everything that an estimator asks of a batch, made up: so that any estimator can run. */

import { creditInputs } from '../../lib/estimator/inputs.js';
import type { Estimator, LogProbsBatch } from '../../lib/index.js';
import type { Level } from '../../lib/ops.js';
import { random } from './random.js';
import type { Sample } from './sample.js';
import { isLastTurn } from './turns.js';

type Arrays = Record<string, unknown>;

/** Signals of one batch, as estimateAdvantages takes them beside turns and actionMask. */
export function signalsFor(estimator: Estimator, from: Sample, seed = 1): Arrays & { groups: Int32Array } {
  const arrays: Arrays = {};
  for (const [path, { level, kind }] of creditInputs(estimator)) {
    const length = { sequence: from.count, turn: from.turns.count, token: from.tokens }[level as Level];
    const own = builtIn(path, from) ?? drawn(kind, length, seed + path.length);
    const value = level === 'turn' && kind === 'signal' ? ofNodes(own as Float64Array, from) : own;
    const [record, name] = path.split('.');
    if (name === undefined) arrays[path] = value;
    else arrays[record] = { ...(arrays[record] as object), [name]: value };
  }
  return { ...arrays, groups: from.groups };
}

/** What the sample has; in a tree, turns of a prompt whose trajectories begin alike are one node. */
function builtIn(path: string, from: Sample): unknown {
  if (path === 'nodes') return nodesOf(from);
  if (path === 'turnEntropies') return from.turnRewards.map((reward) => reward ** 2);
  return (from as unknown as Arrays)[path];
}

/** Trajectories of a prompt share their first turn, unless it is all they have. */
function nodesOf({ turns, groups }: Sample): Int32Array {
  return Int32Array.from({ length: turns.count }, (_, k) => {
    const shared = turns.index[k] === 0 && !isLastTurn(turns, k);
    return shared ? -1 - (groups[turns.trajectory[k]] & 1) : k;
  });
}

/** Turns that are one node have one value. */
function ofNodes(values: Float64Array, from: Sample): Float64Array {
  const nodes = nodesOf(from);
  return values.map((_, k) => values[nodes.findIndex((node, j) => node === nodes[k] && sameGroup(from, j, k))]);
}

function sameGroup({ turns, groups }: Sample, j: number, k: number): boolean {
  return groups[turns.trajectory[j]] === groups[turns.trajectory[k]];
}

function drawn(kind: string, length: number, seed: number): unknown {
  const { normal, integer } = random(seed);
  if (kind === 'key') return Int32Array.from({ length }, () => integer(2));
  if (kind === 'flag') return Uint8Array.from({ length }, () => integer(2));
  return Float64Array.from({ length }, normal);
}

/** The token arrays that the loss of an estimator asks for, from log-probs. */
export function lossArraysFor(estimator: Estimator, from: Sample, seed = 1): Arrays {
  const { ratio, weights, kl, channels } = estimator;
  const { normal } = random(seed + 99);
  const penalty = channels.some(({ signal }) => signal.klPenalty);
  const corrected = weights.some(({ kind }) => kind === 'importance' || kind === 'reject');
  const sampled = ratio.denominator === 'rollout';
  const rolloutLogProbs = from.oldLogProbs.map((logProb) => Math.min(0, logProb + 0.1 * normal()));
  return {
    ...(!sampled || corrected || penalty ? { oldLogProbs: from.oldLogProbs } : {}),
    ...(sampled || corrected ? { rolloutLogProbs } : {}),
    ...(kl || penalty ? { refLogProbs: from.refLogProbs } : {}),
    ...(weights.some(({ kind }) => kind === 'given')
      ? { tokenWeights: Float64Array.from({ length: from.tokens }, (_, n) => (n % 3) / 2) }
      : {}),
  };
}

/** A whole batch from log-probs for policyLoss. */
export function batchFor(estimator: Estimator, from: Sample, seed = 1): LogProbsBatch {
  const { logProbs, turns, actionMask } = from;
  return {
    logProbs,
    turns,
    actionMask,
    ...signalsFor(estimator, from, seed),
    ...lossArraysFor(estimator, from, seed),
  } as LogProbsBatch;
}
