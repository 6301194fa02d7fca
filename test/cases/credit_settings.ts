/** Settings of credit assignment: those of presets, every stage at every level on its own, and the whole op. */
import type { ChannelArgs, Level, TurnStatisticsArgs } from '../../lib/ops.js';

import { CHANNEL, NO_KL, NO_WHITEN } from '../support/records.mjs';
import { type CreditBatch, inputsOf } from './credit_batches.js';
import { CHOICES, KL_ESTIMATORS, OP_CHOICES } from './credit_choices.js';

export type CreditSettings = Partial<TurnStatisticsArgs> & Pick<TurnStatisticsArgs, 'channels'>;
export type SettingsOf = (batch: CreditBatch) => CreditSettings;

const Z: Partial<ChannelArgs> = { center: 'mean', scale: 'std', eps: 1e-6, varianceFloor: 1e-8 };
const DISCOUNTED = { then: 'discounted', thenGamma: 0.9 } as const;

const outcomes = ({ outcome }: CreditBatch): ChannelArgs => ({ ...CHANNEL, ...Z, trajectorySignal: outcome });
const turnChannel = (turnSignal: Float64Array): ChannelArgs => ({ ...CHANNEL, ...Z, level: 'turn', turnSignal });
const gains = (batch: CreditBatch): ChannelArgs => ({ ...turnChannel(batch.gains), group: 'prompt-turn' });

/** A preset's record: nothing but the outcome is given beside the signals. */
const lean =
  (make: SettingsOf): SettingsOf =>
  (batch) => ({ outcome: batch.outcome, ...make(batch) });

/** The settings of presets. */
export const PRESETS: Record<string, SettingsOf> = {
  'turn-group-v1d': lean((batch) => ({
    channels: [
      { ...gains(batch), ...DISCOUNTED, thenDivide: 'sqrt-terms', weight: 0.3, lastWeight: 0.3 },
      outcomes(batch),
    ],
    clipScaleBeta: 0.3,
  })),
  'turn-group': lean((batch) => ({
    channels: [
      {
        ...gains(batch),
        matchOutcomeStd: true,
        stdFloor: 1e-6,
        accumulate: 'discounted',
        gamma: 0.9,
        bootstrap: 'outcome',
      },
      { ...outcomes(batch), weight: 1.5 },
    ],
  })),
  separate: lean((batch) => ({
    channels: [{ ...gains(batch), group: 'prompt' }, outcomes(batch)],
    combine: 'join',
    joinGamma: 0.9,
  })),
  joint: lean((batch) => ({
    channels: [{ ...gains(batch), trajectorySignal: batch.outcome, group: 'prompt', ...DISCOUNTED }],
  })),
  grpo: lean((batch) => ({ channels: [{ ...outcomes(batch), ddof: 1, varianceFloor: 0 }] })),
  'dr-grpo': lean((batch) => ({ channels: [{ ...outcomes(batch), scale: 'none', singleton: 'raw' }] })),
  'then divided': lean((batch) => ({
    channels: [{ ...turnChannel(batch.rewards), ...DISCOUNTED, thenDivide: 'sqrt-terms' }],
  })),
  'accumulate, outcome beyond': lean((batch) => ({
    channels: [{ ...turnChannel(batch.rewards), accumulate: 'discounted', gamma: 0.5, bootstrap: 'outcome' }],
  })),
  'reinforce++': (batch) => ({
    ...inputsOf(batch),
    resultLevel: 'token',
    channels: [{ ...CHANNEL, level: 'token', trajectorySignal: batch.outcome, accumulate: 'discounted', gamma: 0.98 }],
    whiten: { kind: 'standardize', over: 'token', ddof: 1, eps: 0, varianceFloor: 1e-8 },
  }),
  ppo: (batch) => ({
    ...inputsOf(batch),
    resultLevel: 'token',
    channels: [
      {
        ...CHANNEL,
        level: 'token',
        trajectorySignal: batch.outcome,
        klPenalty: { ...NO_KL, coef: 0.05, estimator: 'k3', logRatioClamp: 20, valueClamp: 10 },
        accumulate: 'gae',
        gamma: 0.99,
        lambda: 0.95,
        bootstrap: 'carry',
        values: batch.values.token,
      },
    ],
    whiten: { kind: 'standardize', over: 'token', ddof: 1, eps: 0, varianceFloor: 1e-8 },
  }),
  igpo: (batch) => ({
    ...inputsOf(batch),
    resultLevel: 'token',
    channels: [
      {
        ...CHANNEL,
        ...Z,
        level: 'token',
        trajectorySignal: batch.outcome,
        turnSignal: batch.gains,
        accumulate: 'discounted',
        gamma: 0.5,
        observation: 'reset',
        members: 'first',
        ddof: 1,
      },
    ],
  }),
  at2po: (batch) => ({
    ...inputsOf(batch),
    channels: [{ ...outcomes(batch), then: 'tree', treeBackup: 'child-softmax', treeBaseline: 'parent' }],
  }),
  hgpo: (batch) => ({
    ...inputsOf(batch),
    combine: 'weighted-mean',
    channels: [batch.keys.turn, batch.keys.token].map((keys, level) => ({
      ...turnChannel(batch.rewards),
      group: 'prompt-key' as const,
      keys,
      weight: level + 1,
      lastWeight: level + 1,
    })),
  }),
  infopo: (batch) => ({
    ...inputsOf(batch),
    channels: [outcomes(batch), { ...turnChannel(batch.gains), gateTemperature: 0.05, capEps: 1e-6, weight: 0.1 }],
  }),
  empg: (batch) => ({
    ...inputsOf(batch),
    channels: [outcomes(batch)],
    modulation: { kind: 'entropy', decay: 1, bonus: 0.1, bonusDecay: 1 },
    whiten: { ...NO_WHITEN, kind: 'center', over: 'turn' },
  }),
};

/** Signals of every level on a channel of this one. */
export function base(batch: CreditBatch, level: Level): ChannelArgs {
  return {
    ...CHANNEL,
    ...Z,
    level,
    trajectorySignal: batch.scores,
    turnSignal: batch.rewards,
    tokenSignal: batch.tokenRewards,
    keys: batch.keys[level],
    values: batch.values[level],
    baseline: batch.baseline[level],
  };
}

type Change = Partial<ChannelArgs>;

/** What one stage does, on a channel of any level. */
function changesAt(level: Level): Record<string, Change> {
  const changes: Record<string, Change> = {
    'trajectory signal only': { turnSignal: null, tokenSignal: null },
    'turn signal only': { trajectorySignal: null, tokenSignal: null },
    'token signal only': { trajectorySignal: null, turnSignal: null },
    'no signal': { trajectorySignal: null, turnSignal: null, tokenSignal: null },
    'match outcome std': { matchOutcomeStd: true, stdFloor: 1e-6, center: 'none', scale: 'none' },
    'discounted, outcome beyond': { accumulate: 'discounted', gamma: 0.9, bootstrap: 'outcome' },
    'a group of one as it is': { group: 'prompt-key', singleton: 'raw' },
    'sample variance, least std': { ddof: 1, leastStd: 0.9 },
    'a large least std': { leastStd: 100, eps: 0.5 },
    'scaled by an eps alone': { center: 'none', eps: 2, varianceFloor: 0.5 },
    'weight and last weight': { weight: 0.5, lastWeight: -2 },
    'then discounted': DISCOUNTED,
    'then divided': { ...DISCOUNTED, thenDivide: 'sqrt-terms' },
    gate: { gateTemperature: 0.3 },
    cap: { capEps: 1e-6, scale: 'none', weight: 3 },
    'gate and cap': { gateTemperature: 0.3, capEps: 0.1, scale: 'none' },
    'ratio target': { use: 'ratio-target', center: 'median', lastWeight: 2 },
  };
  for (const place of CHOICES.place) changes[`place ${place}`] = { place };
  for (const bootstrap of ['zero', 'carry', 'given'] as const) {
    changes[`gae, ${bootstrap}`] = { accumulate: 'gae', gamma: 0.99, lambda: 0.9, bootstrap };
  }
  for (const group of ['batch', 'prompt', 'prompt-turn', 'prompt-key'] as const) {
    for (const members of CHOICES.members) changes[`group ${group}, ${members}`] = { group, members, ddof: 1 };
  }
  for (const center of CHOICES.center) {
    for (const scale of CHOICES.scale) {
      changes[`center ${center}, scale ${scale}`] = { center, scale, ddof: 1 };
      changes[`rank-gauss, center ${center}, scale ${scale}`] = { transform: 'rank-gauss', center, scale };
      changes[`first, center ${center}, scale ${scale}`] = { members: 'first', center, scale, group: 'prompt-turn' };
    }
  }
  if (level === 'token') addTokenChanges(changes);
  if (level !== 'token') addTreeChanges(changes, level);
  return changes;
}

function addTokenChanges(changes: Record<string, Change>): void {
  for (const bootstrap of ['zero', 'outcome'] as const) {
    changes[`discounted, reset, ${bootstrap}`] = {
      accumulate: 'discounted',
      gamma: 0.9,
      observation: 'reset',
      bootstrap,
    };
  }
  for (const bootstrap of ['zero', 'carry', 'given'] as const) {
    changes[`gae, reset, ${bootstrap}`] = {
      accumulate: 'gae',
      gamma: 0.9,
      lambda: 0.8,
      observation: 'reset',
      bootstrap,
    };
  }
  for (const estimator of KL_ESTIMATORS) {
    changes[`KL penalty ${estimator}`] = { klPenalty: { ...NO_KL, coef: 0.1, estimator } };
  }
  changes['KL penalty clamped'] = {
    klPenalty: { ...NO_KL, coef: 0.1, estimator: 'k3', logRatioClamp: 0.2, valueClamp: 0.01 },
  };
}

function addTreeChanges(changes: Record<string, Change>, level: Level): void {
  for (const treeBackup of CHOICES.treeBackup) {
    for (const treeBaseline of CHOICES.treeBaseline) {
      const name = `tree ${treeBackup}, ${treeBaseline}`;
      if (level === 'sequence') changes[`then ${name}`] = { then: 'tree', treeBackup, treeBaseline };
      if (level === 'turn')
        changes[name] = { accumulate: 'tree', treeBackup, treeBaseline, center: 'none', scale: 'none' };
    }
  }
  if (level !== 'turn') return;
  changes['group parent'] = { group: 'parent' };
  changes['group parent, rank-gauss'] = { group: 'parent', transform: 'rank-gauss', singleton: 'raw' };
  changes['group parent of tree values'] = { group: 'parent', accumulate: 'tree', ddof: 1, members: 'first' };
  changes['group parent, given'] = { group: 'parent', center: 'given', scale: 'batch-std' };
}

/** Each stage alone at each level, behind another channel, so that a cap has something to compare with. */
export const STAGES: Record<string, SettingsOf> = Object.fromEntries(
  CHOICES.level.flatMap((level) =>
    Object.entries(changesAt(level)).map(([name, change]): [string, SettingsOf] => [
      `${level}: ${name}`,
      (batch) => ({
        ...inputsOf(batch),
        resultLevel: level === 'token' ? 'token' : 'turn',
        channels: [outcomes(batch), { ...base(batch, level), ...change }],
        normalizedChannel: 1,
        clipScaleBeta: 0.3,
        ratioTargets: change.use === 'ratio-target' ? resultOf(batch, level === 'token' ? 'token' : 'turn') : null,
      }),
    ]),
  ),
);

/** Channels of every level that the result's level takes, three ways of combining them, and what follows. */
export const WHOLE: Record<string, SettingsOf> = Object.fromEntries(
  OP_CHOICES.resultLevel.flatMap((resultLevel) => {
    const levels: Level[] = resultLevel === 'token' ? ['sequence', 'turn', 'token'] : ['turn', 'sequence'];
    const all = (given: Partial<TurnStatisticsArgs>): SettingsOf => {
      return (batch) => ({
        ...inputsOf(batch),
        channels: levels.map((level, c) => ({ ...base(batch, level), weight: c + 1, lastWeight: 0.5 - c })),
        resultLevel,
        ...given,
      });
    };
    const cases: [string, SettingsOf][] = [
      ['no channel shown', all({ normalizedChannel: -1, clipScaleBeta: 0.3 })],
      ['modulated', all({ modulation: { kind: 'entropy', decay: 1, bonus: 0.1, bonusDecay: 2 } })],
      [
        'modulated, whitened',
        all({
          modulation: { kind: 'entropy', decay: 0.5, bonus: -0.3, bonusDecay: 1 },
          whiten: { kind: 'standardize', over: 'token', ddof: 1, eps: 1e-6, varianceFloor: 1e-8 },
        }),
      ],
    ];
    for (const normalizedChannel of levels.keys()) {
      cases.push([
        `shows a channel of level ${levels[normalizedChannel]}`,
        all({ normalizedChannel, clipScaleBeta: 1 }),
      ]);
    }
    for (const combine of OP_CHOICES.combine) {
      if (combine !== 'join' || resultLevel === 'turn')
        cases.push([`combine ${combine}`, all({ combine, joinGamma: 0.8 })]);
    }
    for (const kind of OP_CHOICES.whiten) {
      for (const over of OP_CHOICES.over) {
        if (over !== 'token' && resultLevel === 'token') continue;
        for (const ddof of [0, 1]) {
          const whiten = { kind, over, ddof, eps: 1e-6, varianceFloor: 1e-8 };
          cases.push([`whiten ${kind} over ${over}, ddof ${ddof}`, all({ whiten })]);
        }
      }
    }
    return cases.map(([name, make]): [string, SettingsOf] => [`result per ${resultLevel}: ${name}`, make]);
  }),
);

/** A result array, poisoned so that nothing passes by not being written. */
export function resultOf(batch: CreditBatch, resultLevel: Level): Float64Array {
  return new Float64Array(resultLevel === 'token' ? batch.actionMask.length : batch.turns.starts.length).fill(-99);
}
