/** Cases of turnStatistics: the settings of every preset, every stage on its own, and groups of every size and content. */
import {
  type ChannelArgs,
  GROUP_STAT_SLOTS,
  type Status,
  type TurnStatisticsArgs,
  type TurnsArgs,
} from '../../lib/ops.js';
import { random } from '../support/random.js';
import { isLastTurn, layoutOf, randomLayout } from '../support/turns.js';
import { EXACT, float64, type OpCase } from './op_case.js';

const OUTCOME: ChannelArgs = {
  signal: 'outcome',
  matchOutcomeStd: false,
  stdFloor: 0,
  accumulate: 'none',
  gamma: 1,
  bootstrap: 'zero',
  group: 'prompt',
  singleton: 'zero',
  center: 'mean',
  scale: 'std',
  ddof: 0,
  eps: 1e-6,
  varianceFloor: 1e-8,
  then: 'none',
  thenGamma: 1,
  thenDivide: 'none',
  weight: 1,
  lastWeight: 1,
};
const GAIN: ChannelArgs = { ...OUTCOME, signal: 'information-gain', group: 'prompt-turn' };
const REWARD: ChannelArgs = { ...OUTCOME, signal: 'turn-reward' };
const DISCOUNTED = { then: 'discounted', thenGamma: 0.9 } as const;

interface Batch {
  turns: TurnsArgs;
  groups: Int32Array;
  outcome: Float64Array;
  turnRewards: Float64Array;
  informationGain: Float64Array;
}

type Settings = Partial<TurnStatisticsArgs> & Pick<TurnStatisticsArgs, 'channels'>;

/** Signals of one batch: gains are absent on last turns and, with `absent`, on that share of the others. */
function batchOf(seed: number, trajectories: number, prompts: number, absent = 0): Batch {
  const { turns } = randomLayout(seed, trajectories);
  const { normal, uniform, integer } = random(seed + 1);
  const some = () => (uniform() < absent ? Number.NaN : normal());
  return {
    turns,
    // Prompt ids are any integers in any order.
    groups: Int32Array.from({ length: trajectories }, () => 7919 * integer(prompts) - 2 ** 30),
    outcome: Float64Array.from({ length: trajectories }, () => (integer(3) === 0 ? 1 : Math.round(4 * uniform()) / 4)),
    turnRewards: Float64Array.from(turns.starts, some),
    informationGain: Float64Array.from(turns.starts, (_, k) => (isLastTurn(turns, k) ? Number.NaN : 0.1 * some())),
  };
}

function makeArgs(batch: Batch, settings: Settings): TurnStatisticsArgs {
  const count = batch.turns.starts.length;
  const output = () => new Float64Array(count).fill(-99);
  return {
    ...batch,
    combine: 'sum',
    joinGamma: 1,
    normalizedChannel: 0,
    clipScaleBeta: 0,
    advantages: output(),
    clipScale: output(),
    normalizedSignal: output(),
    groupStats: new Float64Array(settings.channels.length * GROUP_STAT_SLOTS.length).fill(-99),
    ...settings,
  };
}

function caseOf(
  title: string,
  why: string,
  batch: () => Batch,
  settings: Settings,
  status?: Status,
): OpCase<'turnStatistics'> {
  const rounding = 'the same sums bit for bit; sqrt and division are exact, exp differs by a ULP between libraries';
  return {
    op: 'turnStatistics',
    title,
    why,
    make: () => makeArgs(batch(), settings),
    ...(status ? { status } : {}),
    outputs: ({ advantages, clipScale, normalizedSignal, groupStats }) => [
      { name: 'groupStats', values: groupStats, tolerance: EXACT },
      ...Object.entries({ advantages, clipScale, normalizedSignal }).map(([name, values]) => ({
        name,
        values,
        tolerance: float64(values, 16, rounding),
      })),
    ],
  };
}

/** The settings of the presets, as lib/presets composes them. */
const PRESETS: Record<string, Settings> = {
  'turn-group-v1d': {
    channels: [{ ...GAIN, ...DISCOUNTED, thenDivide: 'sqrt-terms', weight: 0.3, lastWeight: 0.3 }, OUTCOME],
    clipScaleBeta: 0.3,
  },
  'turn-group': {
    channels: [
      { ...GAIN, matchOutcomeStd: true, stdFloor: 1e-6, accumulate: 'discounted', gamma: 0.9, bootstrap: 'outcome' },
      { ...OUTCOME, weight: 1.5 },
    ],
  },
  separate: { channels: [{ ...GAIN, group: 'prompt' }, OUTCOME], combine: 'join', joinGamma: 0.9 },
  joint: { channels: [{ ...GAIN, signal: 'joined', group: 'prompt', ...DISCOUNTED }] },
  grpo: { channels: [{ ...OUTCOME, ddof: 1, varianceFloor: 0 }] },
  'dr-grpo': { channels: [{ ...OUTCOME, scale: 'none', singleton: 'raw' }] },
};

/** Each stage alone, so that a wrong one is seen by its name. */
const STAGES: Record<string, Settings> = {
  'group batch': { channels: [{ ...OUTCOME, group: 'batch' }] },
  'group batch of turns': { channels: [{ ...REWARD, group: 'batch' }] },
  'group prompt-turn of rewards': { channels: [{ ...REWARD, group: 'prompt-turn', ddof: 1 }] },
  'center none': { channels: [{ ...REWARD, center: 'none' }] },
  'scale none': { channels: [{ ...REWARD, scale: 'none' }] },
  'singleton raw': {
    channels: [
      { ...GAIN, singleton: 'raw' },
      { ...OUTCOME, singleton: 'raw' },
    ],
  },
  'accumulate, zero beyond': { channels: [{ ...REWARD, accumulate: 'discounted', gamma: 0.5 }] },
  'accumulate, outcome beyond': {
    channels: [{ ...REWARD, accumulate: 'discounted', gamma: 0.5, bootstrap: 'outcome' }],
  },
  'then without division': { channels: [{ ...REWARD, ...DISCOUNTED }] },
  'then divided': { channels: [{ ...REWARD, ...DISCOUNTED, thenDivide: 'sqrt-terms' }] },
  'another weight on the last turn': { channels: [{ ...REWARD, weight: 0.5, lastWeight: -2 }] },
  'match outcome std': {
    channels: [{ ...REWARD, matchOutcomeStd: true, stdFloor: 1e-6, scale: 'none', center: 'none' }],
  },
  'joined without then': { channels: [{ ...GAIN, signal: 'joined', group: 'prompt' }] },
  'join of three channels': {
    channels: [REWARD, GAIN, { ...OUTCOME, weight: 2, lastWeight: 3 }],
    combine: 'join',
    joinGamma: 0.8,
  },
  'clip scale of an outcome channel': { channels: [REWARD, OUTCOME], normalizedChannel: 1, clipScaleBeta: 1 },
  'clip scale of the second channel': { channels: [OUTCOME, GAIN], normalizedChannel: 1, clipScaleBeta: 0.3 },
  'eight channels': { channels: Array.from({ length: 8 }, (_, c) => ({ ...(c % 2 ? REWARD : OUTCOME), weight: c })) },
};

const all = { ...PRESETS, ...STAGES };

/** A batch whose content is the point. */
function special(change: (batch: Batch) => void, trajectories = 12, prompts = 3): () => Batch {
  return () => {
    const batch = batchOf(31, trajectories, prompts);
    change(batch);
    return batch;
  };
}

const CONTENT: readonly (readonly [string, string, () => Batch])[] = [
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
  ['constant rewards', 'exactly 0 in groups of every size', special(({ turnRewards }) => void turnRewards.fill(1 / 3))],
  [
    'excluded trajectories',
    'a NaN outcome takes the trajectory out of every statistic',
    special(({ outcome }) => {
      outcome[0] = Number.NaN;
      outcome[5] = Number.NaN;
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
    special(({ turnRewards }) => {
      for (let k = 0; k < turnRewards.length; k++) turnRewards[k] += 1e9;
    }),
  ],
  [
    'magnitudes from 1e-300 to 1e300',
    'sums of every exponent; no overflow on the way to a sum that fits',
    special(({ turnRewards }) => {
      for (let k = 0; k < turnRewards.length; k++) turnRewards[k] *= 10 ** (-300 + 40 * (k % 8));
    }),
  ],
  [
    'signals of 0',
    'an exact 0 is a signal, -0 too',
    special(({ informationGain }) => {
      for (let k = 0; k < informationGain.length; k += 2)
        if (!Number.isNaN(informationGain[k])) informationGain[k] = k % 4 ? 0 : -0;
    }),
  ],
  [
    'trajectories without turns',
    'they have an outcome and still vote',
    () => {
      const batch = batchOf(35, 6, 2);
      const trajectory = batch.turns.trajectory.map((m) => 2 * m + 1);
      return {
        ...batch,
        turns: { ...batch.turns, trajectory },
        groups: Int32Array.from({ length: 13 }, (_, m) => m % 2),
        outcome: Float64Array.from({ length: 13 }, (_, m) => m % 5),
      };
    },
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
    'nothing',
    'an empty batch',
    () => {
      const { turns } = layoutOf([], () => 0);
      const none = () => new Float64Array(0);
      return { turns, groups: new Int32Array(0), outcome: none(), turnRewards: none(), informationGain: none() };
    },
  ],
  [
    'one long trajectory',
    'accumulation over 300 turns',
    () => {
      const { turns } = layoutOf([Array.from({ length: 300 }, () => [1 as const])], () => 0);
      const { normal } = random(3);
      return {
        turns,
        groups: Int32Array.of(0),
        outcome: Float64Array.of(0.5),
        turnRewards: Float64Array.from({ length: 300 }, normal),
        informationGain: Float64Array.from({ length: 300 }, (_, k) => (k === 299 ? Number.NaN : normal())),
      };
    },
  ],
  ['3000 trajectories of 500 prompts', 'hash tables that grow and collide', () => batchOf(37, 3000, 500, 0.1)],
];

function throwing(channel: ChannelArgs, position: number, batch: () => Batch): OpCase<'turnStatistics'> {
  const settings = { channels: [{ ...channel, singleton: 'throw' as const }] };
  return caseOf(
    `singleton throw: ${channel.signal} by ${channel.group}`,
    'the smallest member of a group of one',
    batch,
    settings,
    {
      code: 'group-of-one',
      position,
    },
  );
}

/** Prompt 1 has one trajectory, m = 2, whose first turn is k = 3. */
function withSingleton(): Batch {
  const { turns } = layoutOf([[[1], [1]], [[1]], [[1], [1]], [[1]]], () => 0);
  return {
    turns,
    groups: Int32Array.of(0, 0, 1, 0),
    outcome: Float64Array.of(1, 0, 1, 0),
    turnRewards: Float64Array.of(1, 2, 3, 4, Number.NaN, 6),
    informationGain: Float64Array.from({ length: 6 }, () => Number.NaN),
  };
}

function invalid(title: string, change: (args: TurnStatisticsArgs) => unknown): OpCase<'turnStatistics'> {
  const given = caseOf(
    `invalid: ${title}`,
    'a size that does not fit: refused, never read out of bounds',
    () => batchOf(38, 5, 2),
    PRESETS['turn-group-v1d'],
    {
      code: 'invalid-argument',
      position: -1,
    },
  );
  return {
    ...given,
    make: () => {
      const args = given.make();
      change(args);
      return args;
    },
  };
}

export const TURN_STATISTICS_CASES: readonly OpCase<'turnStatistics'>[] = [
  ...Object.entries(all).map(([name, settings]) => caseOf(name, 'the settings', () => batchOf(20, 24, 4), settings)),
  ...CONTENT.flatMap(([title, why, batch]) =>
    ['turn-group-v1d', 'turn-group', 'separate', 'joint', 'grpo', 'then divided', 'accumulate, outcome beyond'].map(
      (name) => caseOf(`${title}: ${name}`, why, batch, all[name]),
    ),
  ),
  throwing(OUTCOME, 2, withSingleton),
  throwing(REWARD, 3, withSingleton),
  throwing({ ...REWARD, group: 'prompt-turn' }, 1, withSingleton),
  invalid('advantages', (args) => (args.advantages = args.advantages.slice(1))),
  invalid('clipScale', (args) => (args.clipScale = args.clipScale.slice(1))),
  invalid('normalizedSignal', (args) => (args.normalizedSignal = args.normalizedSignal.slice(1))),
  invalid('groupStats', (args) => (args.groupStats = args.groupStats.slice(1))),
  invalid('outcome', (args) => (args.outcome = args.outcome!.slice(1))),
  invalid('informationGain', (args) => (args.informationGain = args.informationGain!.slice(1))),
  invalid('no informationGain', (args) => (args.informationGain = null)),
  invalid('no outcome', (args) => (args.outcome = null)),
  invalid('turns.ends', (args) => (args.turns.ends = args.turns.ends.slice(1))),
  invalid('turns.index', (args) => (args.turns.index = args.turns.index.slice(1))),
  invalid(
    'a trajectory beyond the groups',
    (args) => void args.turns.trajectory.fill(5, args.turns.trajectory.length - 1),
  ),
  invalid('a negative trajectory', (args) => (args.turns.trajectory[0] = -1)),
  invalid('trajectories that decrease', (args) => (args.turns.trajectory[0] = 4)),
];
