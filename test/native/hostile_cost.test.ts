/**
 * Inputs chosen to be slow or deep: ids that meet in a hash table, one trajectory of a million turns, sorted and equal values.
 * Bounds are some twenty times what the ops need here, and far below what quadratic time would take.
 */
import { describe, expect, test } from 'vitest';

import type { ChannelArgs, TurnStatisticsArgs, TurnsArgs } from '../../lib/ops.js';
import { channel, statisticsArgs, surrogateArgs } from '../reference/fixtures.js';
import { GATE, RATIO } from '../support/records.mjs';
import { native } from './helpers.js';
import { OK } from './hostile_args.js';

const { ops } = native.backends.cpu;

const iota = (count: number) => Int32Array.from({ length: count }, (_, k) => k);
const ones = (count: number) => new Int32Array(count).fill(1);

/** Turns of one token: one turn to a trajectory, or all in one. */
function shortTurns(count: number, shape: 'star' | 'chain'): TurnsArgs {
  const starts = iota(count);
  const zeros = new Int32Array(count);
  return {
    starts,
    ends: starts.map((n) => n + 1),
    tokens: ones(count),
    trajectory: shape === 'star' ? starts : zeros,
    index: shape === 'star' ? zeros : starts,
  };
}

type Given = Partial<TurnStatisticsArgs> & Pick<TurnStatisticsArgs, 'turns' | 'groups' | 'channels'>;

function milliseconds(given: Given): number {
  const args = statisticsArgs(given);
  const started = performance.now();
  expect(ops.turnStatistics(args)).toEqual(OK);
  return performance.now() - started;
}

describe('ids that meet in a hash table', { timeout: 60_000 }, () => {
  const many = 200_000;
  const MILLISECONDS = 1500;
  const turns = shortTurns(many, 'star');
  const outcome = new Float64Array(many);

  /** Ids that one multiplication by the golden ratio hashes side by side. */
  function neighbours(): Int32Array {
    const ids = new Int32Array(many);
    for (let id = 1, found = 0; found < many; id += 832_040) {
      if ((id * 0.618_033_988_749_894_9) % 1 < 2 ** -3) ids[found++] = id | 0;
    }
    return ids;
  }

  const IDS: Record<string, () => Int32Array> = {
    k: () => iota(many),
    '832040 k': () => iota(many).map((k) => Math.imul(k, 832_040)),
    '10946 k': () => iota(many).map((k) => Math.imul(k, 10_946)),
    '65536 k': () => iota(many).map((k) => Math.imul(k, 65_536) | (k >>> 16)),
    'neighbours of one product': neighbours,
  };

  /** Every array of ids that an op hashes. */
  const PLACES: Record<string, (ids: Int32Array) => Given> = {
    groups: (groups) => ({ turns, groups, channels: [channel({ trajectorySignal: outcome })] }),
    'turns.index': (index) => ({
      turns: { ...turns, index },
      groups: iota(many),
      channels: [channel({ level: 'turn', turnSignal: outcome, group: 'prompt-turn' })],
    }),
    'keys of turns': (keys) => ({
      turns,
      groups: iota(many),
      channels: [channel({ level: 'turn', turnSignal: outcome, group: 'prompt-key', keys })],
    }),
    'keys of trajectories': (keys) => ({
      turns,
      groups: iota(many),
      channels: [channel({ trajectorySignal: outcome, group: 'prompt-key', keys })],
    }),
    nodes: (nodes) => ({
      turns,
      groups: new Int32Array(many),
      nodes,
      channels: [channel({ level: 'turn', trajectorySignal: outcome, accumulate: 'tree', group: 'parent' })],
    }),
    'groups and nodes at once': (ids) => ({
      turns,
      groups: ids,
      nodes: ids,
      channels: [channel({ trajectorySignal: outcome, then: 'tree' })],
    }),
  };

  describe.each(Object.keys(PLACES))('%s', (place) => {
    test.each(Object.keys(IDS))('%s: linear time', (ids) => {
      // Milliseconds; seconds where they collide.
      expect(milliseconds(PLACES[place](IDS[ids]()))).toBeLessThan(MILLISECONDS);
    });
  });
});

describe('a million turns', { timeout: 60_000 }, () => {
  const many = 1_000_000;
  const MILLISECONDS = 6000;
  const noise = Float64Array.from({ length: many }, (_, k) => Math.sin(k));
  const groups = { chain: new Int32Array(1), star: new Int32Array(many) };
  const outcome = { chain: Float64Array.of(1), star: noise };

  function channels(shape: 'chain' | 'star'): Record<string, Partial<ChannelArgs>> {
    const tree = { level: 'turn', trajectorySignal: outcome[shape], accumulate: 'tree' } as const;
    const perTurn = { level: 'turn', turnSignal: noise } as const;
    return {
      'child-mean': { ...tree, treeBackup: 'child-mean', treeBaseline: 'parent' },
      'child-softmax': { ...tree, treeBackup: 'child-softmax', treeBaseline: 'root' },
      'leaf-mean': { ...tree, treeBackup: 'leaf-mean', treeBaseline: 'parent', group: 'parent', center: 'mean' },
      'tree afterwards': { trajectorySignal: outcome[shape], then: 'tree', treeBaseline: 'parent' },
      gae: { ...perTurn, accumulate: 'gae', values: noise, gamma: 0.99, lambda: 0.95, center: 'mean', scale: 'std' },
      'discounted, then summed': {
        ...perTurn,
        accumulate: 'discounted',
        gamma: 0.99,
        then: 'discounted',
        thenDivide: 'sqrt-terms',
      },
      'rank-gauss': { ...perTurn, transform: 'rank-gauss', center: 'mean', scale: 'std' },
      median: { ...perTurn, center: 'median', members: 'all' },
      'first of each, over the batch': { ...perTurn, members: 'first', scale: 'batch-std', eps: 1, group: 'batch' },
    };
  }

  describe.each(['chain', 'star'] as const)('in a %s', (shape) => {
    test.each(Object.keys(channels(shape)))('%s: linear time, and no deep stack', (name) => {
      for (const nodes of [null, iota(many).reverse()]) {
        const given = { turns: shortTurns(many, shape), groups: groups[shape], outcome: outcome[shape], nodes };
        const ms = milliseconds({ ...given, turnEntropies: noise, channels: [channel(channels(shape)[name])] });
        expect(ms).toBeLessThan(MILLISECONDS);
      }
    });
  });

  test('one chain: every value is that of its leaf', () => {
    for (const treeBackup of ['child-mean', 'child-softmax', 'leaf-mean'] as const) {
      const args = statisticsArgs({
        turns: shortTurns(many, 'chain'),
        groups: groups.chain,
        turnEntropies: noise,
        channels: [channel({ level: 'turn', trajectorySignal: Float64Array.of(0.1), accumulate: 'tree', treeBackup })],
      });
      // As it is, though it is one group of a million members.
      expect(ops.turnStatistics(args)).toEqual(OK);
      expect(args.advantages.every((value) => value === 0.1)).toBe(true);
    }
  });

  test.each([
    ['equal', () => 1],
    ['ascending', (k: number) => k],
    ['descending', (k: number) => -k],
    ['organ pipe', (k: number) => Math.min(k, many - k)],
    ['two values', (k: number) => k & 1],
  ])('%s values to sort', (_, value) => {
    const turnSignal = Float64Array.from({ length: many }, (_, k) => value(k));
    for (const change of [{ transform: 'rank-gauss' }, { center: 'median' }] as const) {
      const perTurn = channel({ level: 'turn', turnSignal, scale: 'std', eps: 1, ...change });
      expect(milliseconds({ turns: shortTurns(many, 'star'), groups: groups.star, channels: [perTurn] })).toBeLessThan(
        MILLISECONDS,
      );
    }
  });

  test('one prompt of a million coupled trajectories', () => {
    const args = surrogateArgs({
      logProbs: Float32Array.from(noise, (x) => x - 2),
      oldLogProbs: new Float32Array(many).fill(-2),
      turns: shortTurns(many, 'star'),
      groups: groups.star,
      advantages: noise,
      ratio: { ...RATIO, level: 'sequence', form: 'true' },
      gate: { ...GATE, kind: 'log-sum-exp', temperature: 0.01 },
    });
    const started = performance.now();
    expect(ops.surrogate(args)).toEqual(OK);
    expect(performance.now() - started).toBeLessThan(MILLISECONDS);
    expect(args.metrics.every((value) => !Number.isNaN(value))).toBe(true);
  });
});
