/** Wrong calls of estimateAdvantages, credit.slice, fromRows and sumDenominators. */
import { describe, expect, test } from 'vitest';
import {
  a2tgpo,
  type CreditRows,
  type EstimateAdvantagesInput,
  estimateAdvantages,
  grpo,
  policyLossSync,
  sumDenominators,
} from '../../lib/index.js';
import { DEVICES } from '../support/backends.js';
import { type CallRow, type Row, testCalls, testErrors } from '../support/error_table.js';
import { expectInvalid } from '../support/errors.js';
import { fromLogProbs, sample, signals } from '../support/sample.js';

const any = (value: unknown) => value as never;
const from = sample({ seed: 4, trajectories: 4, prompts: 2 });
const { count } = from.turns;
const lastTurn = count - 1;

describe('estimateAdvantages', () => {
  const rows: CallRow[] = [
    ['no groups', (b) => delete b.groups, { code: 'ERR_MISSING', path: 'groups', expected: 'prompt ids [M]' }],
    [
      'groups of fewer trajectories',
      (b) => (b.groups = [1, 2]),
      { code: 'ERR_LENGTH', path: 'groups', expected: 'length of at least 4 (turns.trajectory)' },
    ],
    [
      'groups of more than the offsets',
      (b) => {
        b.groups = [1, 2, 3, 4, 5];
        b.trajectoryOffsets = from.trajectoryOffsets;
      },
      { code: 'ERR_LENGTH', path: 'groups', expected: 'length 4 ([M])' },
    ],
    [
      'prompt ids that are words',
      (b) => (b.groups = ['a', 'a', 'b', 'b']),
      { code: 'ERR_RANGE', path: 'groups[0]', received: '"a"' },
    ],
    ['no outcome', (b) => delete b.outcome, { code: 'ERR_MISSING', path: 'outcome', expected: 'numbers [M]' }],
    [
      'an outcome of Infinity',
      (b) => ((b.outcome as Float64Array)[2] = Number.POSITIVE_INFINITY),
      { code: 'ERR_NON_FINITE', path: 'outcome[2]', expected: 'a finite number, or NaN for no signal' },
    ],
    [
      'outcomes per turn',
      (b) => (b.outcome = new Float64Array(count)),
      { code: 'ERR_LENGTH', path: 'outcome', expected: 'length 4 ([M])' },
    ],
    [
      'gains per trajectory',
      (b) => (b.informationGain = new Float64Array(4)),
      { code: 'ERR_LENGTH', path: 'informationGain', expected: `length ${count} ([K])` },
    ],
    [
      'a gain on a last turn',
      (b) => ((b.informationGain as Float64Array)[lastTurn] = 0),
      {
        code: 'ERR_NO_EFFECT',
        path: `informationGain[${lastTurn}]`,
        expected: /NaN on the last turn/,
        received: '0',
        message: /Trajectory 3.*lastTurn: "signal"/,
      },
    ],
    [
      'a signal that is not used',
      (b) => (b.turnRewards = from.turnRewards),
      {
        code: 'ERR_NO_EFFECT',
        path: 'turnRewards',
        expected: 'no turnRewards: the estimator "a2tgpo" does not use it',
      },
    ],
    [
      'ids that repeat',
      (b) => (b.trajectoryIds = [1, 2, 2, 3]),
      { code: 'ERR_RANGE', path: 'trajectoryIds[2]', expected: 'a unique integer', received: '2' },
    ],
    [
      'ids that are no integers',
      (b) => (b.trajectoryIds = [1, 2.5, 3, 4]),
      { code: 'ERR_RANGE', path: 'trajectoryIds[1]' },
    ],
    ['fewer ids', (b) => (b.trajectoryIds = [1, 2]), { code: 'ERR_LENGTH', path: 'trajectoryIds' }],
    ['a misspelled key', (b) => (b.infoGain = b.informationGain), { code: 'ERR_UNKNOWN_OPTION', path: 'infoGain' }],
    [
      'a misspelled option',
      (_, o) => (o.devices = 'cpu'),
      { code: 'ERR_UNKNOWN_OPTION', path: 'options.devices', received: /did you mean "device"\?/ },
    ],
  ];
  testCalls(rows, {
    batch: () => structuredClone({ turns: { ...from.turns }, ...signals(from) }),
    options: () => ({}),
    run: (batch, options) => estimateAdvantages(any(batch), a2tgpo(), options),
  });

  test.each(DEVICES)('a group of one with singleton "throw" (%s)', (device) => {
    const alone = { turns: from.turns, ...signals(from), groups: [1, 1, 1, 2] };
    const expected = {
      code: 'ERR_SINGLETON',
      path: 'groups',
      message: /at least two members.*a group of one/,
    } as const;
    expectInvalid(() => estimateAdvantages(alone, a2tgpo({ singleton: 'throw' }), { device }), expected);
    const batch = { ...fromLogProbs(from), ...signals(from), groups: alone.groups };
    expectInvalid(() => policyLossSync(batch, a2tgpo({ singleton: 'throw' }), { device }), expected);
  });
});

describe('credit', () => {
  const credit = estimateAdvantages({ turns: from.turns, ...signals(from) }, a2tgpo());
  const row = { id: 1, group: 0, index: [0], tokens: [3], values: { outcome: 1, informationGain: [null] } };
  const levels = { outcome: 'sequence', informationGain: 'turn' };
  const at = 'rows[0].trajectories[0].values';
  const merge =
    (...trajectories: unknown[]) =>
    () =>
      estimateAdvantages.fromRows(any({ version: 1, signals: levels, trajectories }), a2tgpo());
  const rows: Row[] = [
    [
      'a slice of an unknown trajectory',
      () => credit.slice([0, 9]),
      { code: 'ERR_RANGE', path: 'trajectories[1]', expected: 'the id of one of the 4 trajectories', received: '9' },
    ],
    [
      'a slice of a trajectory twice',
      () => credit.slice([2, 2]),
      { code: 'ERR_RANGE', path: 'trajectories[1]', expected: 'each trajectory once' },
    ],
    ['a slice of words', () => credit.slice(any('all')), { code: 'ERR_TYPE', path: 'trajectories' }],
    [
      'rows of another version',
      () => estimateAdvantages.fromRows(any({ version: 2, signals: levels, trajectories: [] }), a2tgpo()),
      { code: 'ERR_RANGE', path: 'rows[0].version' },
    ],
    [
      'rows without trajectories',
      () => estimateAdvantages.fromRows(any({ version: 1, signals: levels }), a2tgpo()),
      { code: 'ERR_TYPE', path: 'rows[0].trajectories', expected: 'an array' },
    ],
    [
      'rows of null',
      () => estimateAdvantages.fromRows(any([null]), a2tgpo()),
      { code: 'ERR_TYPE', path: 'rows[0]', received: 'null' },
    ],
    [
      'one id with two contents',
      merge(row, { ...row, values: { ...row.values, outcome: 0 } }),
      { code: 'ERR_RANGE', path: 'rows', received: 'two that differ', message: /trajectoryIds/ },
    ],
    [
      'a row without a signal that is needed',
      merge({ ...row, values: { outcome: 1 } }),
      { code: 'ERR_MISSING', path: `${at}.informationGain`, expected: 'an array of 1, each a number or null' },
    ],
    [
      'a row of fewer tokens',
      merge({ ...row, tokens: [] }),
      { code: 'ERR_TYPE', path: 'rows[0].trajectories[0].tokens', expected: 'an array of 1 counts' },
    ],
    [
      'a row of a negative index',
      merge({ ...row, index: [-1] }),
      { code: 'ERR_TYPE', path: 'rows[0].trajectories[0].index' },
    ],
    [
      'a row of two gains',
      merge({ ...row, values: { outcome: 1, informationGain: [null, 1] } }),
      { code: 'ERR_TYPE', path: `${at}.informationGain`, expected: 'an array of 1, each a number or null' },
    ],
    [
      'a row of an infinite outcome',
      merge({ ...row, values: { ...row.values, outcome: Number.POSITIVE_INFINITY } }),
      { code: 'ERR_TYPE', path: `${at}.outcome`, expected: 'a number or null' },
    ],
    [
      'a row of values that nobody announced',
      merge({ ...row, values: { ...row.values, reward: 1 } }),
      { code: 'ERR_UNKNOWN_OPTION', path: `${at}.reward` },
    ],
    [
      'a row with a field too many',
      merge({ ...row, reward: 1 }),
      { code: 'ERR_UNKNOWN_OPTION', path: 'rows[0].trajectories[0].reward' },
    ],
    [
      'rows that say nothing of their signals',
      () => estimateAdvantages.fromRows(any({ version: 1, trajectories: [] }), a2tgpo()),
      { code: 'ERR_MISSING', path: 'rows[0].signals', expected: 'an object' },
    ],
    [
      'a row whose indices do not increase',
      merge({ ...row, index: [5, 2], tokens: [1, 1], values: { outcome: 1, informationGain: [1, null] } }),
      { code: 'ERR_TURNS', path: 'rows[0].trajectories[0].index[1]' },
    ],
    [
      'a row with a gain on its last turn',
      merge({ ...row, values: { outcome: 1, informationGain: [0.5] } }),
      { code: 'ERR_NO_EFFECT', path: 'informationGain[0]' },
    ],
    ['a row of id 1e300', merge({ ...row, id: 1e300 }), { code: 'ERR_RANGE', path: 'rows[0].trajectories[0].id' }],
    ['a row of id 0.5', merge({ ...row, id: 0.5 }), { code: 'ERR_RANGE', path: 'rows[0].trajectories[0].id' }],
    [
      'denominators that are no array',
      () => sumDenominators(any({ tokens: 1 })),
      { code: 'ERR_TYPE', path: 'parts', expected: 'an array of denominators' },
    ],
    [
      'denominators without turns',
      () => sumDenominators([any({ tokens: 1, sequences: 1 })]),
      { code: 'ERR_MISSING', path: 'parts[0].turns' },
    ],
    [
      'denominators of 0.5',
      () => sumDenominators([{ tokens: 0.5, turns: 1, sequences: 1 }]),
      { code: 'ERR_RANGE', path: 'parts[0].tokens' },
    ],
    [
      'denominators with a field too many',
      () => sumDenominators([any({ tokens: 1, turns: 1, sequences: 1, groups: 1 })]),
      { code: 'ERR_UNKNOWN_OPTION', path: 'parts[0].groups' },
    ],
  ];
  testErrors(rows);

  test('rows are an error of the estimator that needs more than they have', () => {
    const outcomes = estimateAdvantages({ turns: from.turns, groups: from.groups, outcome: from.outcome }, grpo());
    const rows: CreditRows = outcomes.rows();
    expect(rows.trajectories).toHaveLength(4);
    expectInvalid(() => estimateAdvantages.fromRows(rows, a2tgpo()), {
      code: 'ERR_MISSING',
      path: 'rows[0].signals',
      expected: 'informationGain per turn, which the estimator needs',
    });
  });
});

test('the type of what is wrong is in the message, short', () => {
  const long = 'x'.repeat(100);
  const input: EstimateAdvantagesInput = { turns: from.turns, ...signals(from), groups: any(long) };
  expectInvalid(() => estimateAdvantages(input, a2tgpo()), {
    code: 'ERR_TYPE',
    path: 'groups',
    received: `"${'x'.repeat(60)}…"`,
  });
});
