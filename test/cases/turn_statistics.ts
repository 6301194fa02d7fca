/** Cases of turnStatistics: presets, every stage on its own, drawn combinations, batches of every content, and refusals. */
import { type ChannelArgs, GROUP_STAT_SLOTS, type Status, type TurnStatisticsArgs } from '../../lib/ops.js';
import { random } from '../support/random.js';
import { CHANNEL, CREDIT_INPUTS, NO_KL, NO_WHITEN } from '../support/records.mjs';
import { layoutOf } from '../support/turns.js';
import { batchIn, batchOf, CONTENT, type CreditBatch, inputsOf } from './credit_batches.js';
import { drawnSettings } from './credit_drawn.js';
import { base, PRESETS, resultOf, type SettingsOf, STAGES, WHOLE } from './credit_settings.js';
import { EXACT, float64, type OpCase } from './op_case.js';

const INVALID: Status = { code: 'invalid-argument', position: -1 };

export function makeArgs(batch: CreditBatch, settingsOf: SettingsOf): TurnStatisticsArgs {
  const settings = settingsOf(batch);
  const output = () => resultOf(batch, settings.resultLevel ?? 'turn');
  return {
    ...CREDIT_INPUTS,
    turns: batch.turns,
    groups: batch.groups,
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
  batch: () => CreditBatch,
  settings: SettingsOf,
  status?: Status,
): OpCase<'turnStatistics'> {
  return {
    op: 'turnStatistics',
    title,
    why,
    make: () => makeArgs(batch(), settings),
    ...(status ? { status } : {}),
    outputs: (args) => {
      const { advantages, clipScale, normalizedSignal, ratioTargets, groupStats } = args;
      const exact =
        ratioTargets === null ? { advantages, normalizedSignal } : { advantages, normalizedSignal, ratioTargets };
      return [
        { name: 'groupStats', values: groupStats, tolerance: EXACT },
        { name: 'clipScale', values: clipScale, tolerance: float64(clipScale, 16, LIBRARY) },
        ...Object.entries(exact).map(([name, values]) => ({
          name,
          values,
          // Centring leaves differences of values as large as the largest.
          tolerance: usesLibrary(args) ? float64(values, 256, LIBRARY, 1) : EXACT,
        })),
      ];
    },
  };
}

const LIBRARY = 'exp and log differ by a ULP between libraries';

/** Everything else is sums that are the same bit for bit, products, quotients and square roots. */
function usesLibrary({ channels, modulation }: TurnStatisticsArgs): boolean {
  return (
    modulation.kind !== 'none' ||
    channels.some(
      ({ transform, gateTemperature, klPenalty, treeBackup, accumulate, then }) =>
        transform !== 'none' ||
        gateTemperature > 0 ||
        klPenalty.coef !== 0 ||
        (treeBackup === 'child-softmax' && (accumulate === 'tree' || then === 'tree')),
    )
  );
}

/** Prompt 1 has one trajectory, m = 2, whose first turn is k = 3 and first loss token n = 4. */
function withSingleton(): CreditBatch {
  const batch = batchIn(
    layoutOf([[[1], [1]], [[0, 1]], [[1], [1]], [[1]]], () => 0),
    4,
    50,
    1,
  );
  return {
    ...batch,
    groups: Int32Array.of(0, 0, 1, 0),
    outcome: Float64Array.of(1, 0, 1, 0),
    rewards: Float64Array.of(1, 2, 3, 4, Number.NaN, 6),
    nodes: Int32Array.of(1, 2, 1, 1, 2, 3),
  };
}

function throwing(title: string, position: number, channelOf: (batch: CreditBatch) => Partial<ChannelArgs>) {
  return caseOf(
    `singleton throw: ${title}`,
    'the smallest entry of a group of one',
    withSingleton,
    (batch) => {
      const channel = { ...CHANNEL, ...channelOf(batch), singleton: 'throw' as const };
      return { ...inputsOf(batch), channels: [channel], resultLevel: channel.level === 'token' ? 'token' : 'turn' };
    },
    { code: 'group-of-one', position },
  );
}

const THROWING = [
  throwing('outcomes by prompt', 2, ({ outcome }) => ({ trajectorySignal: outcome })),
  throwing('rewards by prompt', 3, ({ rewards }) => ({ level: 'turn', turnSignal: rewards })),
  throwing('rewards by turn', 1, ({ rewards }) => ({ level: 'turn', turnSignal: rewards, group: 'prompt-turn' })),
  throwing('nodes by parent', 1, ({ rewards }) => ({ level: 'turn', turnSignal: rewards, group: 'parent' })),
  throwing('tokens, statistics over the first', 4, ({ values }) => ({
    level: 'token',
    tokenSignal: values.token,
    members: 'first',
  })),
];

/** Trajectories of one prompt with nodes that do not form a tree. */
function broken(title: string, nodes: number[], position: number): OpCase<'turnStatistics'> {
  const batch = () =>
    batchIn(
      layoutOf(
        [
          [[1], [1], [1]],
          [[1], [1]],
        ],
        () => 0,
      ),
      2,
      51,
      1,
    );
  return caseOf(
    `tree: ${title}`,
    'a value could flow in a circle or to two places',
    batch,
    (own) => ({
      ...inputsOf(own),
      nodes: Int32Array.from(nodes),
      channels: [{ ...CHANNEL, trajectorySignal: own.outcome, then: 'tree' }],
    }),
    { code: 'tree-broken', position },
  );
}

function invalid(title: string, change: (args: TurnStatisticsArgs, batch: CreditBatch) => unknown) {
  const token = (own: CreditBatch): ChannelArgs => ({ ...CHANNEL, level: 'token', tokenSignal: own.tokenRewards });
  const turn = (own: CreditBatch): ChannelArgs => ({ ...CHANNEL, level: 'turn', turnSignal: own.gains });
  const why = 'a size or a place that does not fit: refused, never read out of bounds';
  const batch = () => batchOf(38, 5, 2);
  const channels = (own: CreditBatch) => [token(own), turn(own), { ...CHANNEL, trajectorySignal: own.outcome }];
  const given = caseOf(
    `invalid: ${title}`,
    why,
    batch,
    (own) => ({
      ...inputsOf(own),
      channels: channels(own),
      resultLevel: 'token',
      ratioTargets: resultOf(own, 'token'),
    }),
    INVALID,
  );
  return {
    ...given,
    make: () => {
      const args = given.make();
      change(args, batch());
      return args;
    },
  };
}

/** Changes one channel: 0 is per token, 1 per turn, 2 per trajectory. */
function invalidChannel(title: string, c: number, change: (batch: CreditBatch) => Partial<ChannelArgs>) {
  return invalid(title, (args, batch) => {
    args.channels = args.channels.map((channel, i) => (i === c ? { ...channel, ...change(batch) } : channel));
  });
}

const short = <T extends { slice(from: number): T }>(array: T | null): T => {
  if (array === null) throw new Error('nothing to shorten');
  return array.slice(1);
};

const KL = { ...NO_KL, coef: 0.1 };

const INVALID_SIZES = [
  invalid('advantages', (args) => (args.advantages = short(args.advantages))),
  invalid('clipScale', (args) => (args.clipScale = short(args.clipScale))),
  invalid('normalizedSignal', (args) => (args.normalizedSignal = short(args.normalizedSignal))),
  invalid('ratioTargets', (args) => (args.ratioTargets = short(args.ratioTargets))),
  invalid('groupStats', (args) => (args.groupStats = short(args.groupStats))),
  invalid('outcome', (args) => (args.outcome = short(args.outcome))),
  invalid('truncated', (args) => (args.truncated = short(args.truncated))),
  invalid('bootstrapValues', (args) => (args.bootstrapValues = short(args.bootstrapValues))),
  invalid('turnEntropies', (args) => (args.turnEntropies = short(args.turnEntropies))),
  invalid('nodes', (args) => (args.nodes = short(args.nodes))),
  invalid('turns.ends', (args) => (args.turns.ends = short(args.turns.ends))),
  invalid('turns.index', (args) => (args.turns.index = short(args.turns.index))),
  invalid('actionMask', (args) => (args.actionMask = short(args.actionMask))),
  invalid('no actionMask', (args) => (args.actionMask = null)),
  invalid('another count of loss tokens', (args) => (args.turns.tokens[0] += 1)),
  invalid('a span behind the mask', (args) => (args.turns.ends[args.turns.ends.length - 1] += 1000)),
  invalid('spans that overlap', (args) => (args.turns.starts[1] = args.turns.starts[0])),
  invalid('a trajectory beyond the groups', (args) => void args.turns.trajectory.fill(5, -1)),
  invalid('a negative trajectory', (args) => (args.turns.trajectory[0] = -1)),
  invalid('trajectories that decrease', (args) => (args.turns.trajectory[0] = 4)),
  invalidChannel('trajectorySignal', 2, ({ outcome }) => ({ trajectorySignal: short(outcome) })),
  invalidChannel('turnSignal', 1, ({ gains }) => ({ turnSignal: short(gains) })),
  invalidChannel('tokenSignal', 0, ({ tokenRewards }) => ({ tokenSignal: short(tokenRewards) })),
  invalidChannel('gae without values', 1, () => ({ accumulate: 'gae' })),
  invalidChannel('values', 1, ({ values }) => ({ accumulate: 'gae', values: values.sequence })),
  invalidChannel('prompt-key without keys', 1, () => ({ group: 'prompt-key' })),
  invalidChannel('keys', 0, ({ keys }) => ({ group: 'prompt-key', keys: keys.sequence })),
  invalidChannel('center given without baseline', 2, () => ({ center: 'given' })),
  invalidChannel('values that nothing reads', 1, ({ values }) => ({ values: values.sequence })),
  invalidChannel('keys that nothing reads', 1, ({ keys }) => ({ keys: keys.sequence })),
  invalidChannel('baseline that nothing reads', 1, ({ baseline }) => ({ baseline: baseline.sequence })),
  invalidChannel('baseline', 2, ({ baseline }) => ({ center: 'given', baseline: baseline.turn })),
];

/** Inputs that a channel reads and the op does not have. */
const MISSING = (
  [
    ['no outcome to match', 'outcome', { matchOutcomeStd: true }],
    ['no outcome to start from', 'outcome', { accumulate: 'discounted', bootstrap: 'outcome' }],
    ['no outcome to gate by', 'outcome', { gateTemperature: 1 }],
    ['no old log-probs', 'oldLogProbs', { klPenalty: KL }],
    ['no reference log-probs', 'refLogProbs', { klPenalty: KL }],
    ['no ratioTargets', 'ratioTargets', { use: 'ratio-target' }],
  ] as const
).map(([title, field, channel]) =>
  invalid(title, (args) => {
    args[field] = null;
    args.channels = [{ ...args.channels[0], ...channel }, ...args.channels.slice(1)];
  }),
);

const MISPLACED = [
  invalid('turn result of a token channel', (args, batch) => {
    args.resultLevel = 'turn';
    for (const name of ['advantages', 'clipScale', 'normalizedSignal', 'ratioTargets'] as const) {
      args[name] = resultOf(batch, 'turn');
    }
  }),
  invalid('a result per trajectory', (args, batch) => {
    args.resultLevel = 'sequence';
    args.channels = args.channels.map((channel) => ({ ...channel, level: 'sequence', tokenSignal: null }));
    for (const name of ['advantages', 'clipScale', 'normalizedSignal', 'ratioTargets'] as const) {
      args[name] = new Float64Array(batch.groups.length);
    }
  }),
  invalid('join per token', (args) => (args.combine = 'join')),
  invalid('whiten over turns per token', (args) => (args.whiten = { ...NO_WHITEN, kind: 'center', over: 'turn' })),
  invalid(
    'whiten over trajectories per token',
    (args) => (args.whiten = { ...NO_WHITEN, kind: 'center', over: 'sequence' }),
  ),
  invalid('normalizedChannel', (args) => (args.normalizedChannel = 3)),
  invalid('modulation without entropies', (args) => {
    args.modulation = { kind: 'entropy', decay: 1, bonus: 0, bonusDecay: 1 };
    args.turnEntropies = null;
  }),
  invalid('softmax without entropies', (args) => {
    args.channels = args.channels.map((channel) =>
      channel.level === 'sequence' ? { ...channel, then: 'tree', treeBackup: 'child-softmax' } : channel,
    );
    args.turnEntropies = null;
  }),
  invalid('carry without truncated', (args, { values }) => {
    args.channels = args.channels.map((channel) => ({
      ...channel,
      accumulate: 'gae',
      bootstrap: 'carry',
      values: values[channel.level],
    }));
    args.truncated = null;
  }),
  invalid('given without bootstrap values', (args, { values }) => {
    args.channels = args.channels.map((channel) => ({
      ...channel,
      accumulate: 'gae',
      bootstrap: 'given',
      values: values[channel.level],
    }));
    args.bootstrapValues = null;
  }),
  invalidChannel('accumulate tree of tokens', 0, ({ outcome }) => ({ accumulate: 'tree', trajectorySignal: outcome })),
  invalidChannel('accumulate tree of trajectories', 2, () => ({ accumulate: 'tree' })),
  invalidChannel('accumulate tree without leaves', 1, () => ({ accumulate: 'tree' })),
  invalidChannel('then tree of turns', 1, () => ({ then: 'tree' })),
  invalidChannel('siblings of tokens', 0, () => ({ group: 'parent' })),
  invalidChannel('siblings of trajectories', 2, () => ({ group: 'parent' })),
  invalidChannel('ranks over first members', 1, () => ({ transform: 'rank-gauss', members: 'first' })),
  invalidChannel('KL penalty of turns', 1, () => ({ klPenalty: KL })),
];

const OVERLAPPING = [
  invalid('a result over an input', (args) => {
    const { buffer } = args.advantages;
    args.channels = [{ ...args.channels[0], tokenSignal: new Float64Array(buffer) }, ...args.channels.slice(1)];
  }),
  invalid('a result over another', (args) => (args.clipScale = args.advantages)),
];

/** A reward beyond the range of ordinary ones: only where every backend says the same of an overflow. */
const magnitudes = (): CreditBatch => {
  const batch = batchOf(31, 12, 3);
  return { ...batch, rewards: batch.rewards.map((reward, k) => reward * 10 ** (-300 + 40 * (k % 8))) };
};

/** What is computed in another way for a large group: sums, sorted values, the first member of each trajectory. */
const LARGE_GROUPS: readonly (readonly [string, Partial<ChannelArgs>])[] = [
  ['standardised', { center: 'mean', scale: 'std', ddof: 1 }],
  ['of the first members', { center: 'mean', scale: 'std', members: 'first' }],
  ['median', { center: 'median', scale: 'std' }],
  ['ranks', { transform: 'rank-gauss', center: 'mean', scale: 'none' }],
  ['length-weighted', { center: 'length-weighted', scale: 'batch-std' }],
];

function withoutLossTokens(): CreditBatch {
  const batch = batchOf(40, 4, 2);
  batch.actionMask.fill(0);
  batch.turns.tokens.fill(0);
  return batch;
}

const ON_ALL_CONTENT = { ...PRESETS, ...WHOLE };

export const TURN_STATISTICS_CASES: readonly OpCase<'turnStatistics'>[] = [
  ...Object.entries({ ...PRESETS, ...STAGES, ...WHOLE }).flatMap(([name, settings]) => [
    caseOf(name, 'the settings', () => batchOf(20, 24, 4), settings),
    caseOf(`${name}, holes`, 'the settings where signals are absent', () => batchOf(21, 12, 4, 0.4), settings),
  ]),
  ...CONTENT.flatMap(([title, why, batch]) =>
    Object.entries(ON_ALL_CONTENT).map(([name, settings]) => caseOf(`${title}: ${name}`, why, batch, settings)),
  ),
  ...['then divided', 'accumulate, outcome beyond'].map((name) =>
    caseOf(`magnitudes from 1e-300 to 1e300: ${name}`, 'sums of every exponent', magnitudes, PRESETS[name]),
  ),
  ...LARGE_GROUPS.map(([title, change]) =>
    caseOf(
      `2500 trajectories of one prompt: ${title}`,
      'a group that more threads than a warp work on',
      () => batchOf(39, 2500, 1, 0.1),
      (batch) => ({ ...inputsOf(batch), channels: [{ ...base(batch, 'turn'), group: 'prompt', ...change }] }),
    ),
  ),
  caseOf('no loss token, ratio targets', 'every result is written all the same', withoutLossTokens, (batch) => ({
    ...inputsOf(batch),
    channels: [{ ...base(batch, 'turn'), use: 'ratio-target' }],
    resultLevel: 'token',
    ratioTargets: resultOf(batch, 'token'),
  })),
  ...['turn-group-v1d', 'reinforce++', 'at2po', 'infopo'].map((name) =>
    caseOf(
      `3000 trajectories of 500 prompts: ${name}`,
      'hash tables that grow and collide',
      () => batchOf(37, 3000, 500, 0.1),
      PRESETS[name],
    ),
  ),
  ...Array.from({ length: 150 }, (_, i) => {
    const { integer } = random(1000 + i);
    const [trajectories, prompts] = [1 + integer(16), 1 + integer(4)];
    const batch = () => batchOf(2000 + i, trajectories, prompts, 0.2);
    return caseOf(`drawn settings ${i}`, 'stages in combination', batch, drawnSettings(3000 + i));
  }),
  caseOf(
    'eight channels',
    'as many as there may be',
    () => batchOf(22, 12, 3),
    (batch) => ({
      channels: Array.from({ length: 8 }, (_, c) => ({
        ...CHANNEL,
        level: c % 2 ? ('turn' as const) : ('sequence' as const),
        trajectorySignal: batch.outcome,
        center: 'mean' as const,
        weight: c,
      })),
    }),
  ),
  ...THROWING,
  broken('a node with two parents', [1, 2, 3, 4, 2], 4),
  broken('a node twice in a trajectory', [1, 2, 1, 1, 5], 2),
  broken('a node that is its own parent', [1, 2, 2, 1, 5], 2),
  broken('a circle of two trajectories', [1, 2, 3, 2, 1], 3),
  ...INVALID_SIZES,
  ...MISSING,
  ...MISPLACED,
  ...OVERLAPPING,
];
