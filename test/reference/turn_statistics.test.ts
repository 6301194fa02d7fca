/** turnStatistics: every stage at small numbers, missing signals, excluded trajectories, order, sizes. */
import { describe, expect, test } from 'vitest';
import type { ChannelArgs, TurnStatisticsArgs } from '../../lib/ops.js';
import { channel, groupStat, ops, random, statisticsArgs, turnsOf } from './fixtures.js';

const { NaN: NONE } = Number;
const OK = { code: 'ok', position: -1 };
const f64 = (...values: number[]) => Float64Array.from(values);

/** Two trajectories of one prompt (3 and 2 turns) and one without turns. */
const turns = turnsOf([
  [1, 1, 1],
  [1, 1],
]);
const groups = Int32Array.of(5, 5, 5);
const outcome = f64(1, 3, 8);

function run(given: Partial<TurnStatisticsArgs> & Pick<TurnStatisticsArgs, 'channels'>): TurnStatisticsArgs {
  const args = statisticsArgs({ turns, groups, outcome, ...given });
  expect(ops.turnStatistics(args)).toEqual(OK);
  return args;
}

/** Advantages of one channel. */
function advantages(given: Partial<ChannelArgs>, inputs: Partial<TurnStatisticsArgs> = {}): number[] {
  return Array.from(run({ channels: [channel(given)], ...inputs }).advantages);
}

describe('signal', () => {
  test('outcome goes to every turn of its trajectory', () => {
    expect(advantages({})).toEqual([1, 1, 1, 3, 3]);
  });

  test('a trajectory without turns still counts in the statistics of outcomes', () => {
    // mean (1 + 3 + 8) / 3 = 4
    expect(advantages({ center: 'mean' })).toEqual([-3, -3, -3, -1, -1]);
  });

  test('turn rewards and information gain; NaN is no signal and adds 0', () => {
    expect(advantages({ signal: 'turn-reward' }, { turnRewards: f64(1, NONE, 3, 4, 5) })).toEqual([1, 0, 3, 4, 5]);
    expect(advantages({ signal: 'information-gain' }, { informationGain: f64(1, 2, NONE, 4, NONE) })).toEqual([
      1, 2, 0, 4, 0,
    ]);
  });

  test('joined: information gain, and the outcome on the last turn in place of whatever is there', () => {
    const informationGain = f64(10, 20, 99, 40, NONE);
    expect(advantages({ signal: 'joined' }, { informationGain })).toEqual([10, 20, 1, 40, 3]);
  });

  test('matchOutcomeStd: sd of outcomes over sd of signals, over the batch', () => {
    // Outcomes 1, 3, NaN: sd 1. Signals of included trajectories 0, 4, 8, 0, 8 → mean 4, variance (16+0+16+16+16)/5 =
    // 12.8.
    const signal: Partial<ChannelArgs> = { signal: 'turn-reward', matchOutcomeStd: true, stdFloor: 1e-6 };
    const scaled = advantages(signal, { turnRewards: f64(0, 4, 8, 0, 8), outcome: f64(1, 3, NONE) });
    scaled.forEach((value, k) => {
      expect(value).toBeCloseTo([0, 4, 8, 0, 8][k] / Math.sqrt(12.8), 14);
    });
  });

  test('matchOutcomeStd: floor for no spread, 1 for fewer than two values', () => {
    const signal: Partial<ChannelArgs> = {
      signal: 'turn-reward',
      matchOutcomeStd: true,
      stdFloor: 0.5,
      singleton: 'raw',
    };
    // sd of outcomes 0 → 0.5; one signal → 1.
    const one = f64(4, NONE, NONE, NONE, NONE);
    expect(advantages(signal, { turnRewards: one, outcome: f64(2, 2, 2) })[0]).toBe(2);
    // sd of signals 0 → 0.5; one outcome → 1.
    const equal = f64(4, 4, 4, NONE, NONE);
    expect(advantages(signal, { turnRewards: equal, outcome: f64(2, NONE, NONE) })[0]).toBe(8);
  });
});

describe('accumulate', () => {
  const given: Partial<ChannelArgs> = { signal: 'turn-reward', accumulate: 'discounted', gamma: 0.5 };

  test('discounted inside a trajectory; an absent turn stays absent but passes later values on', () => {
    // 1: 1 + .5·(0 + .5·4) = 2, absent, 4;  2: 2 + .5·8 = 6, 8
    const args = run({ channels: [channel(given)], turnRewards: f64(1, NONE, 4, 2, 8) });
    expect(Array.from(args.normalizedSignal)).toEqual([2, NONE, 4, 6, 8]);
    expect(Array.from(args.advantages)).toEqual([2, 0, 4, 6, 8]);
  });

  test('bootstrap with the outcome beyond the last turn', () => {
    // 1: 4 + .5·1 = 4.5; 0 + .5·4.5; 1 + .25·4.5 = 2.125.  2: 8 + .5·3 = 9.5; 2 + 4.75
    expect(advantages({ ...given, bootstrap: 'outcome' }, { turnRewards: f64(1, 0, 4, 2, 8) })).toEqual([
      2.125, 2.25, 4.5, 6.75, 9.5,
    ]);
  });
});

describe('group', () => {
  const centered: Partial<ChannelArgs> = { signal: 'turn-reward', center: 'mean' };
  const turnRewards = f64(1, 2, 6, 3, 8);

  test('batch', () => {
    expect(advantages({ ...centered, group: 'batch' }, { turnRewards })).toEqual([-3, -2, 2, -1, 4]);
  });

  test('prompt: any id, any order', () => {
    const two = { turnRewards, groups: Int32Array.of(7, -3, 7) };
    expect(advantages({ ...centered, group: 'prompt' }, two)).toEqual([-2, -1, 3, -2.5, 2.5]);
  });

  test('prompt and turn index: by turns.index, not by position', () => {
    // index 0: 1, 3 → mean 2; index 1: 2, 8 → mean 5; index 2: 6 alone.
    expect(advantages({ ...centered, group: 'prompt-turn' }, { turnRewards })).toEqual([-1, -3, 0, 1, 3]);
    // The second trajectory's turns are now index 1 and 2: {1}, {2, 3} → 2.5, {6, 8} → 7.
    const shifted = { ...turns, index: Int32Array.of(0, 1, 2, 1, 2) };
    expect(advantages({ ...centered, group: 'prompt-turn' }, { turnRewards, turns: shifted })).toEqual([
      0, -0.5, -1, 0.5, 1,
    ]);
  });

  test('an absent signal is in no group', () => {
    const args = run({
      channels: [channel({ ...centered, group: 'prompt' })],
      turnRewards: f64(1, NONE, NONE, 3, NONE),
    });
    expect(Array.from(args.advantages)).toEqual([-1, 0, 0, 1, 0]);
    expect(groupStat(args, 'members')).toBe(2);
  });

  test('statistics of the groups', () => {
    const args = run({
      channels: [channel({ ...centered, group: 'prompt-turn' }), channel({})],
      turnRewards: f64(4, 2, 6, 4, NONE),
    });
    const stats = (c: number) =>
      (['groups', 'singletons', 'zeroVariance', 'members', 'smallest', 'largest'] as const).map((slot) =>
        groupStat(args, slot, c),
      );
    expect(stats(0)).toEqual([3, 2, 1, 4, 1, 2]);
    expect(stats(1)).toEqual([1, 0, 0, 3, 3, 3]);
    const empty = run({ channels: [channel(centered)], turnRewards: new Float64Array(5).fill(NONE) });
    expect(Array.from(empty.groupStats)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test('a group of one: 0, raw, or a status with its turn or trajectory', () => {
    const one = { turnRewards, groups: Int32Array.of(1, 1, 2) };
    const byTurn: Partial<ChannelArgs> = { ...centered, group: 'prompt-turn' };
    expect(advantages({ ...byTurn, singleton: 'zero' }, one)[2]).toBe(0);
    expect(advantages({ ...byTurn, singleton: 'raw' }, one)[2]).toBe(6);
    const fail = (given: Partial<ChannelArgs>) =>
      ops.turnStatistics(
        statisticsArgs({ turns, outcome, ...one, channels: [channel({ ...given, singleton: 'throw' })] }),
      );
    expect(fail(byTurn)).toEqual({ code: 'group-of-one', position: 2 });
    expect(fail({ center: 'mean' })).toEqual({ code: 'group-of-one', position: 2 });
    expect(fail({ ...centered, group: 'batch' })).toEqual(OK);
  });
});

describe('then', () => {
  const given: Partial<ChannelArgs> = { signal: 'turn-reward', then: 'discounted', thenGamma: 0.5 };
  const turnRewards = f64(1, NONE, 4, 2, NONE);

  test('discounted after the statistics', () => {
    expect(advantages(given, { turnRewards })).toEqual([2, 2, 4, 2, 0]);
  });

  test('divided by the square root of the present terms', () => {
    expect(advantages({ ...given, thenDivide: 'sqrt-terms' }, { turnRewards })).toEqual([2 / Math.SQRT2, 2, 4, 2, 0]);
  });

  test('not for an outcome channel', () => {
    expect(advantages({ then: 'discounted', thenGamma: 0.5, thenDivide: 'sqrt-terms' })).toEqual([1, 1, 1, 3, 3]);
  });
});

describe('combine', () => {
  const channels = [
    channel({ signal: 'turn-reward', weight: 10, lastWeight: 100 }),
    channel({ weight: 2, lastWeight: 3 }),
  ];
  const turnRewards = f64(1, 2, 3, 4, NONE);

  test('sum: the outcome on every turn, weight and lastWeight', () => {
    expect(Array.from(run({ channels, turnRewards }).advantages)).toEqual([12, 22, 303, 46, 9]);
  });

  test('join: the outcome on the last turn only, then discounted', () => {
    // 1: 300 + 3 = 303; 20 + .5·303 = 171.5; 10 + .5·171.5.  2: 0 + 9; 40 + 4.5
    expect(Array.from(run({ channels, turnRewards, combine: 'join', joinGamma: 0.5 }).advantages)).toEqual([
      95.75, 171.5, 303, 44.5, 9,
    ]);
  });
});

describe('clip scale and normalised signal', () => {
  test('from z before accumulation, 1 and NaN where there is no signal', () => {
    const args = run({
      channels: [channel({ signal: 'turn-reward', then: 'discounted' }), channel()],
      turnRewards: f64(Math.log(3), NONE, 0, -Math.log(3), NONE),
      clipScaleBeta: 0.3,
    });
    expect(Array.from(args.normalizedSignal)).toEqual([Math.log(3), NONE, 0, -Math.log(3), NONE]);
    const expected = [1.15, 1, 1, 0.85, 1];
    args.clipScale.forEach((scale, k) => {
      expect(scale).toBeCloseTo(expected[k], 15);
    });
  });

  test('an outcome channel shows its value on every turn; another channel can be chosen', () => {
    const channels = [channel({ signal: 'turn-reward' }), channel()];
    const args = run({ channels, turnRewards: f64(9, 9, 9, 9, 9), normalizedChannel: 1 });
    expect(Array.from(args.normalizedSignal)).toEqual([1, 1, 1, 3, 3]);
    expect(Array.from(args.clipScale)).toEqual([1, 1, 1, 1, 1]);
  });

  test('no channel chosen: NaN and 1', () => {
    const args = run({ channels: [channel()], normalizedChannel: -1, clipScaleBeta: 0.3 });
    expect(args.normalizedSignal.every(Number.isNaN)).toBe(true);
    expect(Array.from(args.clipScale)).toEqual([1, 1, 1, 1, 1]);
  });
});

describe('excluded trajectories', () => {
  test('a NaN outcome takes its trajectory out of everything', () => {
    const args = run({
      channels: [
        channel({ signal: 'turn-reward', group: 'batch', center: 'mean', then: 'discounted' }),
        channel({ center: 'mean' }),
      ],
      outcome: f64(1, NONE, 3),
      turnRewards: f64(1, 2, 3, 1e6, 1e6),
      clipScaleBeta: 0.3,
    });
    // rewards: mean 2 → -1, 0, 1, accumulated 0, 1, 1; outcomes 1 and 3 → -1
    expect(Array.from(args.advantages)).toEqual([-1, 0, 0, 0, 0]);
    expect(Array.from(args.clipScale.subarray(3))).toEqual([1, 1]);
    expect(Array.from(args.normalizedSignal.subarray(3))).toEqual([NONE, NONE]);
    expect([groupStat(args, 'members', 0), groupStat(args, 'members', 1)]).toEqual([3, 2]);
  });

  test('joined and bootstrapped channels with a NaN outcome stay finite', () => {
    for (const combine of ['sum', 'join'] as const) {
      const args = run({
        channels: [
          channel({ signal: 'joined', center: 'mean', then: 'discounted' }),
          channel({
            signal: 'information-gain',
            accumulate: 'discounted',
            bootstrap: 'outcome',
            matchOutcomeStd: true,
          }),
        ],
        combine,
        outcome: f64(1, NONE, 3),
        informationGain: f64(1, 2, NONE, 4, NONE),
      });
      expect(args.advantages.every(Number.isFinite)).toBe(true);
      expect(Array.from(args.advantages.subarray(3))).toEqual([0, 0]);
    }
  });
});

describe('exact zeros', () => {
  test('constant outcomes in groups of every size', () => {
    for (let size = 2; size <= 16; size++) {
      const lengths = Array.from({ length: size }, () => [1, 1]);
      const args = statisticsArgs({
        turns: turnsOf(lengths),
        groups: new Int32Array(size),
        outcome: new Float64Array(size).fill(0.7),
        channels: [channel({ center: 'mean', scale: 'std', ddof: 1, eps: 1e-6 })],
      });
      expect(ops.turnStatistics(args)).toEqual(OK);
      expect(args.advantages.every((advantage) => advantage === 0)).toBe(true);
      expect(groupStat(args, 'zeroVariance')).toBe(1);
    }
  });

  test('no turns and no trajectories', () => {
    const args = statisticsArgs({
      turns: turnsOf([]),
      groups: new Int32Array(0),
      outcome: f64(),
      channels: [channel({ center: 'mean' })],
    });
    expect(ops.turnStatistics(args)).toEqual(OK);
    expect(groupStat(args, 'groups')).toBe(0);
  });
});

test('the order of trajectories does not change a bit', () => {
  const next = random(3);
  const count = 60;
  const trajectories = Array.from({ length: count }, (_, m) => ({
    group: m % 4,
    outcome: next() * 10 ** Math.floor(6 * next()),
    gains: Array.from({ length: 1 + Math.floor(5 * next()) }, () => (next() < 0.2 ? NONE : next() - 0.3)),
    key: next(),
  }));
  const evaluate = (list: typeof trajectories) => {
    const args = statisticsArgs({
      turns: turnsOf(list.map(({ gains }) => gains.map(() => 1))),
      groups: Int32Array.from(list, ({ group }) => group),
      outcome: Float64Array.from(list, (trajectory) => trajectory.outcome),
      informationGain: Float64Array.from(list.flatMap(({ gains }) => gains)),
      channels: [
        channel({
          signal: 'information-gain',
          matchOutcomeStd: true,
          group: 'prompt-turn',
          center: 'mean',
          scale: 'std',
          eps: 1e-6,
          then: 'discounted',
          thenDivide: 'sqrt-terms',
        }),
        channel({ center: 'mean', scale: 'std', eps: 1e-6 }),
      ],
      clipScaleBeta: 0.3,
    });
    expect(ops.turnStatistics(args)).toEqual(OK);
    let k = 0;
    return new Map(
      list.map((trajectory) => {
        const from = k;
        k += trajectory.gains.length;
        return [trajectory.key, [...args.advantages.slice(from, k), ...args.clipScale.slice(from, k)]];
      }),
    );
  };
  const expected = evaluate(trajectories);
  const permuted = evaluate([...trajectories].sort((a, b) => a.key - b.key));
  for (const [key, values] of expected) expect(permuted.get(key)).toEqual(values);
});

describe('invalid arguments', () => {
  const valid = () => statisticsArgs({ turns, groups, outcome, channels: [channel()] });

  test.each<[string, Partial<TurnStatisticsArgs>]>([
    ['trajectory beyond M', { groups: Int32Array.of(1), outcome: f64(1) }],
    ['negative trajectory', { turns: { ...turns, trajectory: Int32Array.of(-1, 0, 0, 1, 1) } }],
    ['trajectories out of order', { turns: { ...turns, trajectory: Int32Array.of(1, 1, 1, 0, 0) } }],
    ['turn arrays of different lengths', { turns: { ...turns, index: new Int32Array(4) } }],
    ['outcome of another length', { outcome: f64(1, 2) }],
    ['outcome missing', { outcome: null }],
    ['turnRewards missing', { channels: [channel({ signal: 'turn-reward' })] }],
    ['informationGain missing', { channels: [channel({ signal: 'joined' })] }],
    ['turnRewards of another length', { turnRewards: f64(1) }],
    ['advantages', { advantages: f64(1) }],
    ['clipScale', { clipScale: f64(1) }],
    ['normalizedSignal', { normalizedSignal: f64(1) }],
    ['groupStats', { groupStats: f64(1) }],
    ['normalizedChannel', { normalizedChannel: 1 }],
  ])('%s', (_, given) => {
    expect(ops.turnStatistics({ ...valid(), ...given })).toEqual({ code: 'invalid-argument', position: -1 });
  });
});

// About 0.1 s on an idle core; the limit leaves room for a busy one, and a quadratic algorithm takes minutes.
test('1e5 turns', () => {
  const next = random(9);
  const lengths = Array.from({ length: 2e4 }, () => [1, 1, 1, 1, 1]);
  const ends = Int32Array.from({ length: 1e5 }, (_, k) => k + 1);
  const args = statisticsArgs({
    turns: {
      starts: ends.map((end) => end - 1),
      ends,
      tokens: new Int32Array(1e5).fill(1),
      trajectory: Int32Array.from({ length: 1e5 }, (_, k) => Math.floor(k / 5)),
      index: Int32Array.from({ length: 1e5 }, (_, k) => k % 5),
    },
    groups: Int32Array.from(lengths, (_, m) => Math.floor(m / 16)),
    outcome: Float64Array.from(lengths, () => next()),
    informationGain: Float64Array.from({ length: 1e5 }, () => next()),
    channels: [
      channel({ signal: 'information-gain', group: 'prompt-turn', center: 'mean', scale: 'std', then: 'discounted' }),
      channel({ center: 'mean', scale: 'std' }),
    ],
  });
  const start = performance.now();
  expect(ops.turnStatistics(args)).toEqual(OK);
  expect(performance.now() - start).toBeLessThan(3000);
});
