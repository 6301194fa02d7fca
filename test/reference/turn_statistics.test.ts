/** turnStatistics: the stages at small numbers, missing signals, excluded trajectories, order, sizes. */
import { describe, expect, test } from 'vitest';
import { type ChannelArgs, GROUP_STAT_SLOTS, type TurnStatisticsArgs } from '../../lib/ops.js';
import { batchOf, type CreditBatch, permuted } from '../cases/credit_batches.js';
import { drawnSettings } from '../cases/credit_drawn.js';
import { PRESETS, type SettingsOf, STAGES, WHOLE } from '../cases/credit_settings.js';
import { makeArgs } from '../cases/turn_statistics.js';
import { expectSameBits } from '../support/numbers.js';
import { random as seeded } from '../support/random.js';
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

/** A channel of trajectories with the outcomes as its signal. */
const ofOutcome = (given: Partial<ChannelArgs> = {}) => channel({ trajectorySignal: outcome, ...given });
/** A channel of turns. */
const ofTurns = (turnSignal: Float64Array, given: Partial<ChannelArgs> = {}) =>
  channel({ level: 'turn', turnSignal, ...given });

function run(given: Partial<TurnStatisticsArgs> & Pick<TurnStatisticsArgs, 'channels'>): TurnStatisticsArgs {
  const args = statisticsArgs({ turns, groups, outcome, ...given });
  expect(ops.turnStatistics(args)).toEqual(OK);
  return args;
}

/** Advantages of one channel. */
function advantages(one: ChannelArgs, inputs: Partial<TurnStatisticsArgs> = {}): number[] {
  return Array.from(run({ channels: [one], ...inputs }).advantages);
}

describe('signal', () => {
  test('an outcome goes to every turn of its trajectory', () => {
    expect(advantages(ofOutcome())).toEqual([1, 1, 1, 3, 3]);
  });

  test('a trajectory without turns still counts in the statistics of outcomes', () => {
    // mean (1 + 3 + 8) / 3 = 4
    expect(advantages(ofOutcome({ center: 'mean' }))).toEqual([-3, -3, -3, -1, -1]);
  });

  test('NaN is no signal and adds 0', () => {
    expect(advantages(ofTurns(f64(1, NONE, 3, 4, 5)))).toEqual([1, 0, 3, 4, 5]);
  });

  test('joined: the outcome on the last turn, with what is there', () => {
    const gains = f64(10, 20, NONE, 40, 2);
    expect(advantages(ofTurns(gains, { trajectorySignal: outcome }))).toEqual([10, 20, 1, 40, 5]);
  });

  test('matchOutcomeStd: sd of outcomes over sd of signals, over the batch', () => {
    // Outcomes 1, 3, NaN: sd 1. Signals of included trajectories 0, 4, 8, 0, 8: mean 4, variance 12.8.
    const rewards = f64(0, 4, 8, 0, 8);
    const scaled = advantages(ofTurns(rewards, { matchOutcomeStd: true, stdFloor: 1e-6 }), {
      outcome: f64(1, 3, NONE),
    });
    scaled.forEach((value, k) => {
      expect(value).toBeCloseTo(rewards[k] / Math.sqrt(12.8), 14);
    });
  });

  test('matchOutcomeStd: floor for no spread, 1 for fewer than two values', () => {
    const settings: Partial<ChannelArgs> = { matchOutcomeStd: true, stdFloor: 0.5, singleton: 'raw' };
    // sd of outcomes 0, hence 0.5; one signal, hence 1.
    const one = ofTurns(f64(4, NONE, NONE, NONE, NONE), settings);
    expect(advantages(one, { outcome: f64(2, 2, 2) })[0]).toBe(2);
    // sd of signals 0, hence 0.5; one outcome, hence 1.
    const equal = ofTurns(f64(4, 4, 4, NONE, NONE), settings);
    expect(advantages(equal, { outcome: f64(2, NONE, NONE) })[0]).toBe(8);
  });
});

describe('accumulate', () => {
  const given: Partial<ChannelArgs> = { accumulate: 'discounted', gamma: 0.5 };

  test('discounted inside a trajectory; an absent turn stays absent but passes later values on', () => {
    // 1: 1 + .5 (0 + .5 · 4) = 2, absent, 4;  2: 2 + .5 · 8 = 6, 8
    const args = run({ channels: [ofTurns(f64(1, NONE, 4, 2, 8), given)] });
    expect(Array.from(args.normalizedSignal)).toEqual([2, NONE, 4, 6, 8]);
    expect(Array.from(args.advantages)).toEqual([2, 0, 4, 6, 8]);
  });

  test('bootstrap with the outcome beyond the last turn', () => {
    // 1: 4 + .5 · 1 = 4.5; 0 + .5 · 4.5; 1 + .25 · 4.5 = 2.125.  2: 8 + .5 · 3 = 9.5; 2 + 4.75
    expect(advantages(ofTurns(f64(1, 0, 4, 2, 8), { ...given, bootstrap: 'outcome' }))).toEqual([
      2.125, 2.25, 4.5, 6.75, 9.5,
    ]);
  });
});

describe('group', () => {
  const rewards = f64(1, 2, 6, 3, 8);
  const centered = (group: ChannelArgs['group']) => ofTurns(rewards, { center: 'mean', group });

  test('batch', () => {
    expect(advantages(centered('batch'))).toEqual([-3, -2, 2, -1, 4]);
  });

  test('prompt: any id, any order', () => {
    expect(advantages(centered('prompt'), { groups: Int32Array.of(7, -3, 7) })).toEqual([-2, -1, 3, -2.5, 2.5]);
  });

  test('prompt and turn index: by turns.index, not by position', () => {
    // index 0: 1, 3 have mean 2; index 1: 2, 8 have mean 5; index 2: 6 alone.
    expect(advantages(centered('prompt-turn'))).toEqual([-1, -3, 0, 1, 3]);
    // The second trajectory's turns are now index 1 and 2: {1}, {2, 3}: 2.5, {6, 8}: 7.
    const shifted = { ...turns, index: Int32Array.of(0, 1, 2, 1, 2) };
    expect(advantages(centered('prompt-turn'), { turns: shifted })).toEqual([0, -0.5, -1, 0.5, 1]);
  });

  test('an absent signal is in no group', () => {
    const args = run({ channels: [ofTurns(f64(1, NONE, NONE, 3, NONE), { center: 'mean' })] });
    expect(Array.from(args.advantages)).toEqual([-1, 0, 0, 1, 0]);
    expect(groupStat(args, 'members')).toBe(2);
  });

  test('statistics of the groups', () => {
    const absent = new Float64Array(5).fill(NONE);
    const args = run({
      channels: [ofTurns(f64(4, 2, 6, 4, NONE), { group: 'prompt-turn' }), ofOutcome(), ofTurns(absent)],
    });
    const stats = (c: number) => GROUP_STAT_SLOTS.map((slot) => groupStat(args, slot, c));
    // groups, singletons, zeroVariance, members, smallest, largest
    expect(stats(0)).toEqual([3, 2, 1, 4, 1, 2]);
    expect(stats(1)).toEqual([1, 0, 0, 3, 3, 3]);
    expect(stats(2)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test('a group of one: 0, or raw', () => {
    expect(advantages({ ...centered('prompt-turn'), singleton: 'zero' })[2]).toBe(0);
    expect(advantages({ ...centered('prompt-turn'), singleton: 'raw' })[2]).toBe(6);
  });
});

describe('then', () => {
  const rewards = f64(1, NONE, 4, 2, NONE);
  const given: Partial<ChannelArgs> = { then: 'discounted', thenGamma: 0.5 };

  test('discounted after the statistics', () => {
    expect(advantages(ofTurns(rewards, given))).toEqual([2, 2, 4, 2, 0]);
  });

  test('divided by the square root of the present terms', () => {
    const divided = advantages(ofTurns(rewards, { ...given, thenDivide: 'sqrt-terms' }));
    expect(divided).toEqual([2 / Math.SQRT2, 2, 4, 2, 0]);
  });

  test('changes nothing where a trajectory has one value', () => {
    expect(advantages(ofOutcome({ ...given, thenDivide: 'sqrt-terms' }))).toEqual([1, 1, 1, 3, 3]);
  });
});

describe('combine', () => {
  const channels = [
    ofTurns(f64(1, 2, 3, 4, NONE), { weight: 10, lastWeight: 100 }),
    ofOutcome({ weight: 2, lastWeight: 3 }),
  ];

  test('sum: the outcome on every turn, weight and lastWeight', () => {
    expect(Array.from(run({ channels }).advantages)).toEqual([12, 22, 303, 46, 9]);
  });

  test('join: the outcome on the last turn only, then discounted', () => {
    // 1: 300 + 3 = 303; 20 + .5 · 303 = 171.5; 10 + .5 · 171.5.  2: 0 + 9; 40 + 4.5
    expect(Array.from(run({ channels, combine: 'join', joinGamma: 0.5 }).advantages)).toEqual([
      95.75, 171.5, 303, 44.5, 9,
    ]);
  });
});

describe('clip scale and normalised signal', () => {
  test('from z before accumulation, 1 and NaN where there is no signal', () => {
    const signal = f64(Math.log(3), NONE, 0, -Math.log(3), NONE);
    const args = run({ channels: [ofTurns(signal, { then: 'discounted' }), ofOutcome()], clipScaleBeta: 0.3 });
    expect(Array.from(args.normalizedSignal)).toEqual(Array.from(signal));
    const expected = [1.15, 1, 1, 0.85, 1];
    args.clipScale.forEach((scale, k) => {
      expect(scale).toBeCloseTo(expected[k], 15);
    });
  });

  test('an outcome channel shows its value on every turn; another channel can be chosen', () => {
    const args = run({ channels: [ofTurns(f64(9, 9, 9, 9, 9)), ofOutcome()], normalizedChannel: 1 });
    expect(Array.from(args.normalizedSignal)).toEqual([1, 1, 1, 3, 3]);
    expect(Array.from(args.clipScale)).toEqual([1, 1, 1, 1, 1]);
  });

  test('no channel chosen: NaN and 1', () => {
    const args = run({ channels: [ofOutcome()], normalizedChannel: -1, clipScaleBeta: 0.3 });
    expect(args.normalizedSignal.every(Number.isNaN)).toBe(true);
    expect(Array.from(args.clipScale)).toEqual([1, 1, 1, 1, 1]);
  });
});

describe('excluded trajectories', () => {
  test('a NaN outcome takes its trajectory out of everything', () => {
    const excluding = f64(1, NONE, 3);
    const args = run({
      channels: [
        ofTurns(f64(1, 2, 3, 1e6, 1e6), { group: 'batch', center: 'mean', then: 'discounted' }),
        ofOutcome({ trajectorySignal: excluding, center: 'mean' }),
      ],
      outcome: excluding,
      clipScaleBeta: 0.3,
    });
    // rewards: mean 2, hence -1, 0, 1, accumulated 0, 1, 1; outcomes 1 and 3: -1
    expect(Array.from(args.advantages)).toEqual([-1, 0, 0, 0, 0]);
    expect(Array.from(args.clipScale.subarray(3))).toEqual([1, 1]);
    expect(Array.from(args.normalizedSignal.subarray(3))).toEqual([NONE, NONE]);
    expect([groupStat(args, 'members', 0), groupStat(args, 'members', 1)]).toEqual([3, 2]);
  });

  const settings: [string, SettingsOf][] = [
    ...Object.entries({ ...PRESETS, ...STAGES, ...WHOLE }),
    ...Array.from({ length: 60 }, (_, i): [string, SettingsOf] => [`drawn ${i}`, drawnSettings(i)]),
  ];

  test.each(settings)('taken out or never there is the same: %s', (_, make) => {
    const batch = batchOf(77, 9, 2, 0.2);
    const out = [2, 6];
    const stay = Array.from(batch.groups.keys()).filter((m) => !out.includes(m));
    // Whatever stands in an excluded trajectory must not matter, if it is finite or not.
    const spoiled = permuted(batch, Array.from(batch.groups.keys()));
    for (const m of out) spoil(spoiled, m);
    const withThem = evaluate(spoiled, make);
    const without = evaluate(permuted(batch, stay), make);
    stay.forEach((m, i) => {
      expect(withThem.ofTrajectory(m)).toEqual(without.ofTrajectory(i));
    });
    expect(Array.from(withThem.args.groupStats)).toEqual(Array.from(without.args.groupStats));
    for (const m of out) {
      const { advantages: a, clipScale, ratioTargets, normalizedSignal } = withThem.ofTrajectory(m);
      expect(a.every((x) => x === 0)).toBe(true);
      expect(clipScale.every((x) => x === 1)).toBe(true);
      expect(ratioTargets.every((x) => x === 0)).toBe(true);
      expect(normalizedSignal.every(Number.isNaN)).toBe(true);
    }
  });

  function spoil(
    { outcome, scores, turns, rewards, gains, turnEntropies, values, baseline }: CreditBatch,
    m: number,
  ): void {
    outcome[m] = NONE;
    scores[m] = 1e300;
    for (const array of [values.sequence, baseline.sequence]) array[m] = Number.POSITIVE_INFINITY;
    turns.trajectory.forEach((own, k) => {
      if (own !== m) return;
      for (const array of [rewards, gains, turnEntropies, values.turn, baseline.turn]) array[k] = 1e300;
      turnEntropies[k] = Number.POSITIVE_INFINITY;
    });
  }
});

/** The results of settings on a batch, and of each of its trajectories. */
function evaluate(batch: CreditBatch, make: SettingsOf) {
  const args = makeArgs(batch, make);
  expect(ops.turnStatistics(args)).toEqual(OK);
  const { starts, ends, trajectory } = args.turns;
  const ofTrajectory = (m: number) => {
    const own = Array.from(trajectory.keys()).filter((k) => trajectory[k] === m);
    // Per token: from the first turn's first token to the last turn's last one.
    const [from, to] =
      args.resultLevel === 'token' ? [starts[own[0]], ends[own[own.length - 1]]] : [own[0], own[own.length - 1] + 1];
    const cut = (array: Float64Array | null) => Array.from(array?.slice(from, to) ?? []);
    return {
      advantages: cut(args.advantages),
      clipScale: cut(args.clipScale),
      ratioTargets: cut(args.ratioTargets),
      normalizedSignal: cut(args.normalizedSignal),
    };
  };
  return { args, ofTrajectory };
}

describe('exact zeros', () => {
  test('constant outcomes in groups of every size, whatever centre of theirs', () => {
    for (const center of ['mean', 'leave-one-out', 'median', 'length-weighted'] as const) {
      for (let size = 2; size <= 16; size++) {
        const args = statisticsArgs({
          turns: turnsOf(Array.from({ length: size }, () => [1, 1])),
          groups: new Int32Array(size),
          channels: [
            channel({ trajectorySignal: new Float64Array(size).fill(0.7), center, scale: 'std', ddof: 1, eps: 1e-6 }),
          ],
        });
        expect(ops.turnStatistics(args)).toEqual(OK);
        expect(args.advantages.every((advantage) => advantage === 0)).toBe(true);
        expect(groupStat(args, 'zeroVariance')).toBe(1);
      }
    }
  });

  test('no turns and no trajectories', () => {
    const args = statisticsArgs({
      turns: turnsOf([]),
      groups: new Int32Array(0),
      channels: [channel({ trajectorySignal: f64(), center: 'mean' })],
    });
    expect(ops.turnStatistics(args)).toEqual(OK);
    expect(groupStat(args, 'groups')).toBe(0);
  });
});

describe('the order of trajectories does not change a bit', () => {
  const settings: [string, SettingsOf][] = [
    ...Object.entries({ ...PRESETS, ...STAGES, ...WHOLE }),
    ...Array.from({ length: 60 }, (_, i): [string, SettingsOf] => [`drawn ${i}`, drawnSettings(500 + i)]),
  ].filter(([, make]) => !readsFirstOfNode(make)) as [string, SettingsOf][];

  test.each(settings)('%s', (_, make) => {
    const batch = batchOf(78, 14, 3, 0.2);
    const order = seeded(5).permutation(14);
    const expected = evaluate(batch, make);
    const actual = evaluate(permuted(batch, order), make);
    order.forEach((m, i) => {
      const [a, e] = [actual.ofTrajectory(i), expected.ofTrajectory(m)];
      for (const name of ['advantages', 'clipScale', 'ratioTargets', 'normalizedSignal'] as const) {
        expectSameBits(Float64Array.from(a[name]), Float64Array.from(e[name]), `${name} of ${m}`);
      }
    });
    expectSameBits(actual.args.groupStats, expected.args.groupStats, 'groupStats');
  });

  /** A node counts with the value (and baseline) of its first turn in the batch, which need not be those of the others. */
  function readsFirstOfNode(make: SettingsOf): boolean {
    return make(batchOf(78, 14, 3, 0.2)).channels.some(
      ({ group, accumulate, center }) => group === 'parent' && (accumulate !== 'tree' || center === 'given'),
    );
  }
});

// About 0.1 s on an idle core; the limit leaves room for a busy one, and a quadratic algorithm takes minutes.
test('1e5 turns', () => {
  const next = random(9);
  const trajectories = new Float64Array(2e4);
  const ends = Int32Array.from({ length: 1e5 }, (_, k) => k + 1);
  const args = statisticsArgs({
    turns: {
      starts: ends.map((end) => end - 1),
      ends,
      tokens: new Int32Array(1e5).fill(1),
      trajectory: ends.map((_, k) => Math.floor(k / 5)),
      index: ends.map((_, k) => k % 5),
    },
    groups: Int32Array.from(trajectories, (_, m) => Math.floor(m / 16)),
    channels: [
      ofTurns(Float64Array.from(ends, next), {
        group: 'prompt-turn',
        center: 'mean',
        scale: 'std',
        then: 'discounted',
      }),
      channel({ trajectorySignal: Float64Array.from(trajectories, next), center: 'mean', scale: 'std' }),
    ],
  });
  const start = performance.now();
  expect(ops.turnStatistics(args)).toEqual(OK);
  expect(performance.now() - start).toBeLessThan(3000);
});
