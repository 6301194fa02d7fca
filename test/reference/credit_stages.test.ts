/** turnStatistics: every stage at every level, at values worked out by hand. */
import { describe, expect, test } from 'vitest';
import type { ChannelArgs, TurnStatisticsArgs } from '../../lib/ops.js';
import { normalQuantile } from '../../lib/reference/math/normal_quantile.js';
import { NO_KL, NO_WHITEN } from '../support/records.mjs';
import { layoutOf } from '../support/turns.js';
import { channel, groupStat, ops, statisticsArgs } from './fixtures.js';

const { NaN: NONE } = Number;
const f64 = (...values: number[]) => Float64Array.from(values);

// Trajectory 0: turns 0 (tokens 0, 2 of 0..2) and 1 (3, 4); trajectory 1: turns 2 (none of 5) and 3 (6, 7).
const { turns, actionMask } = layoutOf(
  [
    [
      [1, 0, 1],
      [1, 1],
    ],
    [[0], [1, 1]],
  ],
  () => 0,
);
const groups = Int32Array.of(3, 3);
const outcome = f64(10, 20);

function run(given: Partial<TurnStatisticsArgs> & Pick<TurnStatisticsArgs, 'channels'>): TurnStatisticsArgs {
  const args = statisticsArgs({ turns, actionMask, groups, outcome, ...given });
  expect(ops.turnStatistics(args)).toEqual({ code: 'ok', position: -1 });
  return args;
}

const perTurn = (one: Partial<ChannelArgs>, given: Partial<TurnStatisticsArgs> = {}) =>
  Array.from(run({ channels: [channel({ level: 'turn', ...one })], ...given }).advantages);

/** Normalised signal (NaN = absent) of one channel per token. */
const perToken = (one: Partial<ChannelArgs>, given: Partial<TurnStatisticsArgs> = {}) =>
  Array.from(run({ channels: [channel({ level: 'token', ...one })], resultLevel: 'token', ...given }).normalizedSignal);

describe('signals of another level', () => {
  const turnSignal = f64(1, 2, 3, 4);
  const tokenSignal = f64(0.5, 99, 0.25, NONE, 1, 77, NONE, NONE);

  test('of a trajectory, on the last loss token or turn, or on every one', () => {
    const trajectorySignal = outcome;
    expect(perToken({ trajectorySignal })).toEqual([NONE, NONE, NONE, NONE, 10, NONE, NONE, 20]);
    expect(perToken({ trajectorySignal, place: 'every' })).toEqual([10, NONE, 10, 10, 10, NONE, 20, 20]);
    expect(perTurn({ trajectorySignal })).toEqual([0, 10, 0, 20]);
    expect(perTurn({ trajectorySignal, place: 'every' })).toEqual([10, 10, 20, 20]);
  });

  test('of a turn, on its last loss token or on every one; a turn without any has no place for it', () => {
    expect(perToken({ turnSignal })).toEqual([NONE, NONE, 1, NONE, 2, NONE, NONE, 4]);
    expect(perToken({ turnSignal, place: 'every' })).toEqual([1, NONE, 1, 2, 2, NONE, 4, 4]);
  });

  test('of tokens, summed over the loss tokens that have one', () => {
    expect(perToken({ tokenSignal })).toEqual([0.5, NONE, 0.25, NONE, 1, NONE, NONE, NONE]);
    const args = run({ channels: [channel({ level: 'turn', tokenSignal })] });
    expect(Array.from(args.normalizedSignal)).toEqual([0.75, 1, NONE, NONE]);
    const whole = run({ channels: [channel({ tokenSignal, singleton: 'raw' })] });
    expect(Array.from(whole.normalizedSignal)).toEqual([1.75, 1.75, NONE, NONE]);
    expect(Array.from(run({ channels: [channel({ turnSignal })] }).advantages)).toEqual([3, 3, 7, 7]);
  });

  test('they add up', () => {
    const sum = { trajectorySignal: outcome, turnSignal, tokenSignal };
    expect(perToken(sum)).toEqual([0.5, NONE, 1.25, NONE, 13, NONE, NONE, 24]);
  });

  test('KL penalty on every loss token', () => {
    const oldLogProbs = Float32Array.of(-1, 9, -1, -1, -1, 9, -1, -1);
    const refLogProbs = Float32Array.of(-1.5, 0, -1, -0.5, -3, 0, -1, NONE);
    const klPenalty = { ...NO_KL, coef: 0.5, estimator: 'k1' } as const;
    expect(perToken({ klPenalty, turnSignal }, { oldLogProbs, refLogProbs })).toEqual([
      -0.25,
      NONE,
      1,
      0.25,
      1,
      NONE,
      -0,
      4,
    ]);
    const k2 = { ...klPenalty, estimator: 'k2' } as const;
    expect(perToken({ klPenalty: k2 }, { oldLogProbs, refLogProbs })[4]).toBe(-1);
  });
});

describe('accumulate over tokens', () => {
  const given = { trajectorySignal: outcome, accumulate: 'discounted', gamma: 0.5 } as const;

  test('discounted over loss tokens; every one becomes present', () => {
    expect(perToken(given)).toEqual([1.25, NONE, 2.5, 5, 10, NONE, 10, 20]);
    expect(perToken({ ...given, bootstrap: 'outcome' })).toEqual([1.875, NONE, 3.75, 7.5, 15, NONE, 15, 30]);
  });

  test('reset: the recursion ends at every turn, the outcome stays beyond the last one', () => {
    expect(perToken({ ...given, observation: 'reset' })).toEqual([0, NONE, 0, 5, 10, NONE, 10, 20]);
    const turnSignal = f64(8, NONE, NONE, NONE);
    const bootstrapped = { turnSignal, accumulate: 'discounted', gamma: 0.5, bootstrap: 'outcome' } as const;
    expect(perToken({ ...bootstrapped, observation: 'reset' })).toEqual([4, NONE, 8, 2.5, 5, NONE, 5, 10]);
  });

  const values = f64(1, 55, 1, 1, 1, 55, 2, 3);
  const estimate: Partial<ChannelArgs> = { turnSignal: f64(NONE, 4, NONE, NONE), accumulate: 'gae', values };

  test('gae: what follows the last token is 0, the last value of a truncated trajectory, or given', () => {
    // Trajectory 1: -3 at the end, 3 - 2 - 3 = -2 before.
    expect(perToken(estimate)).toEqual([3, NONE, 3, 3, 3, NONE, -2, -3]);
    const truncated = Uint8Array.of(0, 1);
    expect(perToken({ ...estimate, bootstrap: 'carry' }, { truncated })).toEqual([3, NONE, 3, 3, 3, NONE, 1, 0]);
    const bootstrapValues = f64(2, NONE);
    expect(perToken({ ...estimate, bootstrap: 'given' }, { bootstrapValues })).toEqual([
      5,
      NONE,
      5,
      5,
      5,
      NONE,
      -2,
      -3,
    ]);
  });

  test('gae, reset: V and A end with every turn but the last', () => {
    const reset = { ...estimate, observation: 'reset' } as const;
    expect(perToken(reset)).toEqual([-1, NONE, -1, 3, 3, NONE, -2, -3]);
    const truncated = Uint8Array.of(1, 0);
    expect(perToken({ ...reset, bootstrap: 'carry' }, { truncated })).toEqual([-1, NONE, -1, 4, 4, NONE, -2, -3]);
  });

  test('gae over turns and over trajectories: present without a signal', () => {
    // Turn 1: 4 - 20; turn 0: 20 - 10 - 16.  Turns 3, 2: -40; 40 - 30 - 40
    expect(perTurn({ ...estimate, values: f64(10, 20, 30, 40) })).toEqual([-6, -16, -30, -40]);
    const whole = channel({ trajectorySignal: f64(5, NONE), accumulate: 'gae', values: f64(1, 2) });
    expect(Array.from(run({ channels: [whole] }).advantages)).toEqual([4, 4, -2, -2]);
  });
});

describe('groups', () => {
  const turnSignal = f64(1, 3, 5, 13);

  test('prompt-key: of turns, of trajectories, of the tokens of a turn', () => {
    const keys = Int32Array.of(7, -1, 7, -1);
    expect(perTurn({ turnSignal, group: 'prompt-key', keys, center: 'mean' })).toEqual([-2, -5, 2, 5]);
    const alone = { group: 'prompt-key', keys: Int32Array.of(1, 2), singleton: 'raw', center: 'mean' } as const;
    expect(Array.from(run({ channels: [channel({ ...alone, trajectorySignal: outcome })] }).advantages)).toEqual([
      10, 10, 20, 20,
    ]);
    // tokens 2 (of turn 0) alone; 4 and 7 (of turns 1 and 3) together
    expect(perToken({ turnSignal, group: 'prompt-key', keys, center: 'mean' })).toEqual([
      NONE,
      NONE,
      0,
      NONE,
      -5,
      NONE,
      NONE,
      5,
    ]);
  });

  test('members first: the first present entry of each trajectory', () => {
    const first = { turnSignal: f64(NONE, 3, 5, 13), members: 'first', center: 'mean' } as const;
    const args = run({ channels: [channel({ level: 'turn', ...first })] });
    // mean of 3 and 5
    expect(Array.from(args.advantages)).toEqual([0, -1, 1, 9]);
    expect([groupStat(args, 'members'), groupStat(args, 'largest')]).toEqual([2, 2]);
  });

  test('members first, n = 1: the distance from its one member, or raw', () => {
    const first = { turnSignal, members: 'first', center: 'mean' } as const;
    const apart = { groups: Int32Array.of(1, 2) };
    expect(perTurn({ ...first, singleton: 'raw' }, apart)).toEqual([1, 3, 5, 13]);
    expect(perTurn({ ...first, singleton: 'zero' }, apart)).toEqual([0, 2, 0, 8]);
  });

  test('parent: each node once, by its first turn; all its turns get its z', () => {
    const three = layoutOf([[[1], [1]], [[1], [1]], [[1]]], () => 0);
    const args = run({
      turns: three.turns,
      actionMask: three.actionMask,
      groups: Int32Array.of(1, 1, 1),
      outcome: null,
      nodes: Int32Array.of(1, 2, 1, 3, 4),
      channels: [channel({ level: 'turn', turnSignal: f64(2, 10, 100, 20, 4), group: 'parent', center: 'mean' })],
    });
    // children of the root: 2 and 4; of node 1: 10 and 20
    expect(Array.from(args.advantages)).toEqual([-1, -5, -1, 5, 1]);
    expect([groupStat(args, 'groups'), groupStat(args, 'members')]).toEqual([2, 4]);
  });

  test('batch-std: over the members of all groups, groups of one included', () => {
    const keys = Int32Array.of(1, 1, 1, 2);
    const scaled = perTurn({
      turnSignal: f64(1, 1, 1, 9),
      group: 'prompt-key',
      keys,
      scale: 'batch-std',
      singleton: 'raw',
    });
    // mean 3, variance (4 + 4 + 4 + 36) / 4 = 12
    expect(scaled).toEqual([1 / Math.sqrt(12), 1 / Math.sqrt(12), 1 / Math.sqrt(12), 9]);
  });

  test('batch-std with members first: over those', () => {
    // 3 and 5 have variance 1
    const first = { turnSignal: f64(NONE, 3, 5, 13), members: 'first', scale: 'batch-std' } as const;
    expect(perTurn(first)).toEqual([0, 3, 5, 13]);
  });

  test('rank-gauss by group; a group of one keeps its value, and counts as 0 in the batch', () => {
    const keys = Int32Array.of(1, 1, 1, 2);
    const ranked = { turnSignal: f64(7, 1, 30, 50), group: 'prompt-key', keys, transform: 'rank-gauss' } as const;
    const q = normalQuantile(5 / 6);
    expect(perTurn({ ...ranked, singleton: 'raw' })).toEqual([0, -q, q, 50]);
    const scaled = perTurn({ ...ranked, scale: 'batch-std' });
    // 0, -q, q, 0: variance q² / 2
    [0, -Math.SQRT2, Math.SQRT2, 0].forEach((z, k) => {
      expect(scaled[k]).toBeCloseTo(z, 14);
    });
  });

  test('length-weighted by trajectory, turn and token', () => {
    const weighted = { center: 'length-weighted' } as const;
    // loss tokens of trajectories: 4 and 2; (4 · 10 + 2 · 20) / 6 = 40/3
    const whole = run({ channels: [channel({ ...weighted, trajectorySignal: outcome })] });
    expect(Array.from(whole.advantages)).toEqual([10 - 40 / 3, 10 - 40 / 3, 20 - 40 / 3, 20 - 40 / 3]);
    // of turns 2, 2, 0, 2: (2 + 6 + 26) / 6 = 17/3
    expect(perTurn({ ...weighted, turnSignal })).toEqual([1 - 17 / 3, 3 - 17 / 3, 5 - 17 / 3, 13 - 17 / 3]);
    // tokens 2, 4, 7: (1 + 3 + 13) / 3 = 17/3
    expect(perToken({ ...weighted, turnSignal })[7]).toBe(13 - 17 / 3);
  });
});

describe('trees of turns', () => {
  // Prompt 3: node 1 shared, then nodes 2 and 4. The outcomes 10 and 20 are the leaves.
  const nodes = Int32Array.of(1, 2, 1, 4);

  test('accumulate tree', () => {
    const tree = { accumulate: 'tree', trajectorySignal: outcome } as const;
    expect(perTurn(tree, { nodes })).toEqual([15, 10, 15, 20]);
    expect(perTurn({ ...tree, treeBaseline: 'parent' }, { nodes })).toEqual([0, -5, 0, 5]);
    expect(perTurn({ ...tree, treeBaseline: 'root' }, { nodes })).toEqual([0, -5, 0, 5]);
    // without nodes every turn is its own
    expect(perTurn({ ...tree, treeBaseline: 'root' })).toEqual([-5, -5, 5, 5]);
    expect(perTurn({ ...tree, treeBaseline: 'parent' })).toEqual([-5, 0, 5, 0]);
    const softmax = { ...tree, treeBackup: 'child-softmax' } as const;
    const turnEntropies = f64(NONE, 0, 5, Math.log(3));
    // node 1: (10 + 3 · 20) / 4
    expect(perTurn(softmax, { nodes, turnEntropies })).toEqual([17.5, 10, 17.5, 20]);
    // the root, of the first turns: no entropy counts as 0
    const ofFirst = f64(NONE, 9, Math.log(3), 9);
    expect(perTurn({ ...softmax, treeBaseline: 'root' }, { turnEntropies: ofFirst })).toEqual([-7.5, -7.5, 2.5, 2.5]);
  });

  test('a turn has a value where it is shared, even without a leaf of its own', () => {
    const tree = { level: 'turn', accumulate: 'tree', trajectorySignal: f64(10, NONE) } as const;
    const args = run({ channels: [channel(tree)], nodes });
    expect(Array.from(args.normalizedSignal)).toEqual([10, 10, 10, NONE]);
  });

  test('then tree: z is the leaf value', () => {
    const then = channel({ trajectorySignal: outcome, center: 'mean', then: 'tree' });
    const args = run({ channels: [then], nodes });
    expect(Array.from(args.normalizedSignal)).toEqual([-5, -5, 5, 5]);
    expect(Array.from(args.advantages)).toEqual([0, -5, 0, 5]);
  });

  test('an excluded trajectory is no leaf', () => {
    const tree = { accumulate: 'tree', trajectorySignal: outcome } as const;
    expect(perTurn(tree, { nodes, outcome: f64(10, NONE) })).toEqual([10, 10, 0, 0]);
  });

  test('prompts do not share nodes', () => {
    const tree = { accumulate: 'tree', trajectorySignal: outcome } as const;
    expect(perTurn(tree, { nodes, groups: Int32Array.of(1, 2) })).toEqual([10, 10, 20, 20]);
  });
});

describe('combine', () => {
  const two = [
    channel({ level: 'turn', turnSignal: f64(2, 0, NONE, 0) }),
    channel({ level: 'turn', turnSignal: f64(4, 6, 0, 5), weight: 3, lastWeight: 0 }),
  ];

  test('weighted-mean: over the channels that say something', () => {
    // turn 0: (2 + 3 · 4) / 4; turns 1 and 3 are last turns: no weight there
    expect(Array.from(run({ channels: two, combine: 'weighted-mean' }).advantages)).toEqual([3.5, 0, 0, 0]);
    const heavier = [two[0], { ...two[1], lastWeight: 7 }];
    expect(Array.from(run({ channels: heavier, combine: 'weighted-mean' }).advantages)).toEqual([3.5, 6, 0, 5]);
  });

  test('ratio target: added there and not to the advantages, however they combine', () => {
    for (const combine of ['sum', 'join', 'weighted-mean'] as const) {
      const ratioTargets = f64(-99, -99, -99, -99);
      const target = channel({ trajectorySignal: outcome, use: 'ratio-target', weight: 2, lastWeight: 3 });
      const args = run({ channels: [target, { ...two[0], use: 'ratio-target' }], combine, ratioTargets });
      expect(Array.from(ratioTargets)).toEqual([22, 30, 40, 60]);
      expect(Array.from(args.advantages)).toEqual([0, 0, 0, 0]);
    }
  });

  test('per token: spread to loss tokens, 0 elsewhere', () => {
    const channels = [channel({ trajectorySignal: outcome, weight: 2 }), two[1]];
    const args = run({ channels, resultLevel: 'token', clipScaleBeta: 1 });
    expect(Array.from(args.advantages)).toEqual([32, 0, 32, 10, 10, 0, 20, 20]);
    expect(Array.from(args.normalizedSignal)).toEqual([10, NONE, 10, 10, 10, NONE, 20, 20]);
    expect([args.clipScale[1], args.clipScale[5]]).toEqual([1, 1]);
  });

  test('cap: by the loss tokens of the advantages so far, then gate', () => {
    // A so far: 1, 1, 4, 4, 4, 4 over tokens (turn 2 has none): mean 3, sd √(12 / 5).  C: 4 times 10, twice 40: mean 20,
    // sd √(1200 / 5).
    const [a, c] = [Math.sqrt(12 / 5), Math.sqrt(1200 / 5)];
    const before = channel({ level: 'turn', turnSignal: f64(1, 4, 1000, 4) });
    const capped = channel({
      trajectorySignal: f64(10, 40),
      capEps: 0.5,
      gateTemperature: Math.sqrt(50) / Math.log(3),
    });
    // outcomes 10 and 20 have sd √50: σ(-ln 3) = 1/4
    const factor = (a + 0.5) / (c + 0.5) / 4;
    const args = run({ channels: [before, capped] });
    [1 + 10 * factor, 4 + 10 * factor, 1000 + 40 * factor, 4 + 40 * factor].forEach((expected, k) => {
      expect(args.advantages[k]).toBeCloseTo(expected, 12);
    });
  });
});

describe('finish', () => {
  const channels = [channel({ level: 'turn', turnSignal: f64(1, 4, 7, 10) })];

  test('modulation: own scale, and a bonus for the turn that follows', () => {
    const modulation = { kind: 'entropy', decay: Math.log(2), bonus: 10, bonusDecay: Math.log(4) } as const;
    // h = 0, 1, none, 0: e^-decay h = 1, 1/2, 1 with mean 5/6: g = 6/5, 3/5, 1, 6/5; f = 1, 1/4, 0, 1
    const args = run({ channels, modulation, turnEntropies: f64(1, 3, NONE, 1) });
    [1.2 + 2.5, 2.4, 7 + 10, 12].forEach((expected, k) => {
      expect(args.advantages[k]).toBeCloseTo(expected, 6);
    });
    const perLossToken = run({ channels, modulation, turnEntropies: f64(1, 3, NONE, 1), resultLevel: 'token' });
    expect(perLossToken.advantages[0]).toBe(args.advantages[0]);
    expect(Array.from(perLossToken.advantages.subarray(4))).toEqual([
      args.advantages[1],
      0,
      args.advantages[3],
      args.advantages[3],
    ]);
  });

  test('whiten over tokens or turns', () => {
    const center = { ...NO_WHITEN, kind: 'center' } as const;
    // over tokens: (2 · 1 + 2 · 4 + 2 · 10) / 6 = 5; over turns 22 / 4
    expect(Array.from(run({ channels, whiten: center }).advantages)).toEqual([-4, -1, 2, 5]);
    expect(Array.from(run({ channels, whiten: { ...center, over: 'turn' } }).advantages)).toEqual([
      -4.5, -1.5, 1.5, 4.5,
    ]);
    const token = run({ channels, whiten: center, resultLevel: 'token' });
    expect(Array.from(token.advantages)).toEqual([-4, 0, -4, -1, -1, 0, 5, 5]);
    // variance (2 · 16 + 2 · 1 + 2 · 25) / (6 - 1) = 16.8
    const standardize = { ...center, kind: 'standardize', ddof: 1, eps: 0.1, varianceFloor: 0.01 } as const;
    const whitened = run({ channels, whiten: standardize }).advantages;
    expect(whitened[0]).toBeCloseTo(-4 / (Math.sqrt(16.81) + 0.1), 14);
  });

  test('an excluded trajectory is in neither and stays 0', () => {
    const modulation = { kind: 'entropy', decay: 1, bonus: 10, bonusDecay: 1 } as const;
    const whitened = run({
      channels,
      outcome: f64(1, NONE),
      modulation,
      turnEntropies: f64(2, 2, 1e9, 0),
      whiten: { ...NO_WHITEN, kind: 'center' },
    });
    // 1 + 10 and 4, mean 7.5
    expect(Array.from(whitened.advantages)).toEqual([3.5, -3.5, 0, 0]);
  });
});
