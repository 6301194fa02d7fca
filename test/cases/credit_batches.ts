/** Batches for credit assignment: everything that turnStatistics and its channels may read, with seeded content. */
import type { Level, TurnStatisticsArgs, TurnsArgs } from '../../lib/ops.js';
import { random } from '../support/random.js';
import { isLastTurn, type Layout, layoutOf, randomLayout } from '../support/turns.js';

export interface CreditBatch {
  turns: TurnsArgs;
  groups: Int32Array;
  outcome: Float64Array;
  actionMask: Uint8Array;
  oldLogProbs: Float32Array;
  refLogProbs: Float32Array;
  turnEntropies: Float64Array;
  nodes: Int32Array;
  bootstrapValues: Float64Array;
  truncated: Uint8Array;
  /** [M] another signal than the outcome: it may be absent without excluding anything, or be there where that does */
  scores: Float64Array;
  /** [K] */
  rewards: Float64Array;
  /** [K] absent on last turns */
  gains: Float64Array;
  /** [N] mostly absent; absent outside the loss too, or not: nothing may read it there */
  tokenRewards: Float64Array;
  keys: Record<Level, Int32Array>;
  values: Record<Level, Float64Array>;
  baseline: Record<Level, Float64Array>;
}

/** Everything that an op record may hold of a batch, read or not. */
export function inputsOf(batch: CreditBatch): Partial<TurnStatisticsArgs> {
  const { outcome, actionMask, oldLogProbs, refLogProbs, turnEntropies, nodes, bootstrapValues, truncated } = batch;
  return { outcome, actionMask, oldLogProbs, refLogProbs, turnEntropies, nodes, bootstrapValues, truncated };
}

/** `absent`: share of signals that are not there, beside the gains of last turns. */
export function batchOf(seed: number, trajectories: number, prompts: number, absent = 0): CreditBatch {
  return batchIn(randomLayout(seed, trajectories), trajectories, seed + 1, prompts, absent);
}

/** Signals for a layout, of whose trajectories some may be without turns. */
export function batchIn(
  { turns, actionMask }: Pick<Layout, 'turns' | 'actionMask'>,
  trajectories: number,
  seed: number,
  prompts: number,
  absent = 0,
): CreditBatch {
  const { normal, uniform, integer } = random(seed);
  const some = () => (uniform() < absent ? Number.NaN : normal());
  const normals = (like: { length: number }) => Float64Array.from(like, normal);
  // Prompt ids are any integers in any order.
  const groups = Int32Array.from({ length: trajectories }, () => 7919 * integer(prompts) - 2 ** 30);
  const outcome = Float64Array.from(groups, () => (integer(3) === 0 ? 1 : Math.round(4 * uniform()) / 4));
  const rewards = Float64Array.from(turns.starts, some);
  const gains = Float64Array.from(turns.starts, (_, k) => (isLastTurn(turns, k) ? Number.NaN : 0.1 * some()));
  const oldLogProbs = Float32Array.from(actionMask, () => -2 * uniform());
  return {
    turns,
    groups,
    outcome,
    rewards,
    gains,
    actionMask,
    oldLogProbs,
    refLogProbs: oldLogProbs.map((logProb) => logProb + 0.3 * normal()),
    turnEntropies: Float64Array.from(turns.starts, () => (uniform() < absent ? Number.NaN : 2 * uniform())),
    nodes: sharedNodes(turns, groups, integer),
    bootstrapValues: Float64Array.from(groups, some),
    truncated: Uint8Array.from(groups, () => integer(2)),
    tokenRewards: Float64Array.from(actionMask, () => (integer(3) === 0 ? some() : Number.NaN)),
    keys: {
      sequence: Int32Array.from(groups, () => integer(3) - 1),
      turn: Int32Array.from(turns.starts, () => integer(3) - 1),
      // Keys are of turns; a token has that of its turn.
      token: Int32Array.from(turns.starts, () => 1000 * integer(3) - 1),
    },
    values: { sequence: normals(groups), turn: normals(turns.starts), token: normals(actionMask) },
    baseline: { sequence: normals(groups), turn: normals(turns.starts), token: normals(actionMask) },
    scores: Float64Array.from(groups, some),
  };
}

/** Nodes of a tree for each prompt: at each of its first turns a trajectory takes one of two branches, later ones are its own. */
function sharedNodes({ trajectory, index }: TurnsArgs, groups: Int32Array, integer: (below: number) => number) {
  const ids = new Map<string, number>();
  let before = '';
  return Int32Array.from(trajectory, (m, k) => {
    const parent = k > 0 && trajectory[k - 1] === m ? before : `${groups[m]}`;
    const branch = index[k] < 4 ? integer(2) : `own ${k}`;
    before = `${parent}/${branch}`;
    const id = ids.get(before) ?? 3 * ids.size - 7;
    ids.set(before, id);
    before = `${groups[m]}:${id}`;
    return id;
  });
}

/** The trajectories named, in that order: another order of all, or some of them. What belongs to one goes with it. */
export function permuted(batch: CreditBatch, order: readonly number[]): CreditBatch {
  const { turns, actionMask } = batch;
  const turnsOf = order.map((m) => Array.from(turns.trajectory.keys()).filter((k) => turns.trajectory[k] === m));
  const turnOrder = turnsOf.flat();
  // A gap before a turn goes with it; tokens behind the last turn of the batch stay where they are.
  const spans = turnOrder.map((k) => [k === 0 ? 0 : turns.ends[k - 1], turns.ends[k]]);
  const used = turns.ends.at(-1) ?? 0;
  const tokenOrder = [...spans, [used, actionMask.length]].flatMap(([from, to]) =>
    Array.from({ length: to - from }, (_, i) => from + i),
  );
  const take = <T extends Float64Array | Float32Array | Int32Array | Uint8Array>(array: T, by: readonly number[]): T =>
    array.slice(0, by.length).map((_, i) => array[by[i]]) as T;
  const place = new Map(tokenOrder.map((n, i) => [n, i]));
  const ends = Int32Array.from(turnOrder, (k) => (place.get(turns.ends[k] - 1) ?? -1) + 1);
  const levels = <T extends Float64Array>(of: Record<Level, T>) => ({
    sequence: take(of.sequence, order),
    turn: take(of.turn, turnOrder),
    token: take(of.token, tokenOrder),
  });
  return {
    turns: {
      starts: ends.map((end, i) => end - (turns.ends[turnOrder[i]] - turns.starts[turnOrder[i]])),
      ends,
      tokens: take(turns.tokens, turnOrder),
      trajectory: Int32Array.from(turnsOf.flatMap((own, m) => own.map(() => m))),
      index: take(turns.index, turnOrder),
    },
    groups: take(batch.groups, order),
    outcome: take(batch.outcome, order),
    bootstrapValues: take(batch.bootstrapValues, order),
    truncated: take(batch.truncated, order),
    scores: take(batch.scores, order),
    rewards: take(batch.rewards, turnOrder),
    gains: take(batch.gains, turnOrder),
    turnEntropies: take(batch.turnEntropies, turnOrder),
    nodes: take(batch.nodes, turnOrder),
    actionMask: take(actionMask, tokenOrder),
    oldLogProbs: take(batch.oldLogProbs, tokenOrder),
    refLogProbs: take(batch.refLogProbs, tokenOrder),
    tokenRewards: take(batch.tokenRewards, tokenOrder),
    keys: {
      sequence: take(batch.keys.sequence, order),
      turn: take(batch.keys.turn, turnOrder),
      token: take(batch.keys.token, turnOrder),
    },
    values: levels(batch.values),
    baseline: levels(batch.baseline),
  };
}

/** A batch whose content is the point. */
function special(change: (batch: CreditBatch) => void, trajectories = 12, prompts = 3): () => CreditBatch {
  return () => {
    const batch = batchOf(31, trajectories, prompts);
    change(batch);
    return batch;
  };
}

/** Title, why, content. */
export const CONTENT: readonly (readonly [string, string, () => CreditBatch])[] = [
  ['absent signals', 'NaN is in no group, adds 0, is not counted among the terms', () => batchOf(30, 12, 3, 0.4)],
  ['no signal at all', 'groups of nobody', () => batchOf(30, 12, 3, 1)],
  ['every trajectory its own prompt', 'singletons only', () => batchOf(32, 9, 100000)],
  ['one prompt', 'one giant group', () => batchOf(33, 40, 1)],
  ['one trajectory', 'M = 1', () => batchOf(34, 1, 1)],
  [
    'constant outcomes',
    'exactly 0, not the rounding error of a mean of 0.7',
    special(({ outcome }) => void outcome.fill(0.7)),
  ],
  ['constant rewards', 'exactly 0 in groups of every size', special(({ rewards }) => void rewards.fill(1 / 3))],
  [
    'constant entropies',
    'no range to scale by; a softmax that is a mean',
    special(({ turnEntropies }) => void turnEntropies.fill(0.1)),
  ],
  [
    'excluded trajectories',
    'a NaN outcome takes the trajectory out of every statistic, with whatever else is wrong in it',
    special(({ outcome, turns, rewards, turnEntropies, values }) => {
      outcome[0] = Number.NaN;
      outcome[5] = Number.NaN;
      turns.trajectory.forEach((m, k) => {
        if (m !== 5) return;
        rewards[k] = 1e300;
        turnEntropies[k] = Number.POSITIVE_INFINITY;
        values.turn[k] = Number.NaN;
      });
    }),
  ],
  [
    'all excluded',
    'nothing is left: advantages 0, clip scale 1',
    special(({ outcome }) => void outcome.fill(Number.NaN)),
  ],
  [
    'an offset of 1e9',
    'E[x²] - E[x]² would lose every digit',
    special(({ rewards }) => {
      for (let k = 0; k < rewards.length; k++) rewards[k] += 1e9;
    }),
  ],
  [
    'signals of 0',
    'an exact 0 is a signal, -0 too',
    special(({ gains }) => {
      for (let k = 0; k < gains.length; k += 2) if (!Number.isNaN(gains[k])) gains[k] = k % 4 ? 0 : -0;
    }),
  ],
  ['trajectories without turns', 'they have an outcome and still vote', withoutTurns],
  [
    'turns without loss tokens',
    'of no weight, and nothing per token there',
    () => {
      const layout = layoutOf(
        [[[0], [1, 1], [0, 0]], [[1], [0]], [[0]], [[1, 0, 1], [1]], [[0, 0], [0]]],
        (m) => m % 2,
      );
      return batchIn(layout, 5, 44, 2);
    },
  ],
  [
    'no loss token at all',
    'nothing to weigh',
    () =>
      batchIn(
        layoutOf([[[0], [0, 0]], [[0]]], () => 1),
        2,
        45,
        1,
      ),
  ],
  [
    'turn indices with gaps',
    'groups are by index, not by order',
    () => {
      const batch = batchOf(36, 12, 2);
      return { ...batch, turns: { ...batch.turns, index: batch.turns.index.map((i) => 3 * i + 1) } };
    },
  ],
  [
    'trajectories in another order',
    'no result may depend on it',
    () => permuted(batchOf(20, 24, 4), random(8).permutation(24)),
  ],
  [
    'nothing',
    'an empty batch',
    () =>
      batchIn(
        layoutOf([], () => 0),
        0,
        1,
        1,
      ),
  ],
  [
    'one long trajectory',
    'accumulation over 300 turns',
    () =>
      batchIn(
        layoutOf([Array.from({ length: 300 }, () => [1 as const])], () => 0),
        1,
        3,
        1,
      ),
  ],
];

/** Trajectories 1, 3, 5 ... have turns, the others none. */
function withoutTurns(): CreditBatch {
  const layout = randomLayout(35, 6);
  const trajectory = layout.turns.trajectory.map((m) => 2 * m + 1);
  return batchIn({ ...layout, turns: { ...layout.turns, trajectory } }, 13, 36, 2);
}
