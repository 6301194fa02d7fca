/** Wrong calls of segmentTurns: what is in the tokens, with trajectory and turn, and the call itself. */
import { describe, test } from 'vitest';
import { type SegmentTurnsInput, type SegmentTurnsOptions, segmentTurns } from '../../lib/index.js';
import { DEVICES } from '../support/backends.js';
import { type Row, testErrors } from '../support/error_table.js';
import { type ExpectedError, expectInvalid } from '../support/errors.js';

const OPEN = 7;
const CLOSE = 8;

describe.each(DEVICES)('segmentTurns, what is in the tokens (%s)', (device) => {
  const tokens = (ids: number[], rest: Partial<SegmentTurnsInput> = {}): SegmentTurnsInput => ({
    trajectoryOffsets: [0, 2, ids.length],
    tokens: ids,
    delimiters: { open: OPEN, close: CLOSE },
    ...rest,
  });
  const ids = (turnIds: number[], rest: Partial<SegmentTurnsInput> = {}): SegmentTurnsInput => ({
    trajectoryOffsets: [0, 2, turnIds.length],
    turnIds,
    ...rest,
  });
  const spans = (...given: [number, number][]): SegmentTurnsInput => ({
    trajectoryOffsets: [0, 4, 10],
    spans: { starts: given.map(([start]) => start), ends: given.map(([, end]) => end) },
  });
  const rows: [title: string, input: SegmentTurnsInput, expected: Omit<ExpectedError, 'code'>][] = [
    [
      'nested',
      tokens([OPEN, CLOSE, OPEN, 1, OPEN]),
      {
        path: 'tokens[4]',
        expected: 'delimiters.close (8) before the next delimiters.open',
        received: 'delimiters.open (7)',
        message: /Trajectory 1, turn 0$/,
      },
    ],
    [
      'nested in the second turn',
      tokens([1, 1, OPEN, CLOSE, OPEN, OPEN]),
      { path: 'tokens[5]', message: /Trajectory 1, turn 1$/ },
    ],
    [
      'unopened',
      tokens([1, 1, OPEN, CLOSE, CLOSE]),
      { path: 'tokens[4]', received: 'delimiters.close (8)', message: /Trajectory 1, turn 1$/ },
    ],
    [
      'unclosed',
      tokens([1, OPEN, 1, CLOSE]),
      {
        path: 'tokens[1]',
        expected: /before the end of the trajectory, or delimiters\.unclosed: "end"/,
        received: 'an open turn',
        message: /Trajectory 0, turn 0$/,
      },
    ],
    [
      'ids that decrease',
      ids([0, 0, 3, 2]),
      { path: 'turnIds[3]', expected: 'ids that increase along a trajectory', received: '2', message: /Trajectory 1/ },
    ],
    [
      'an id below -1',
      ids([0, -2]),
      { path: 'turnIds[1]', expected: '-1 or a turn id of at least 0', received: '-2', message: /Trajectory 0/ },
    ],
    [
      'an id that comes back',
      ids([1, 1, 0, -1, 0]),
      { path: 'turnIds[4]', received: 'id 0 again after a gap', message: /Trajectory 1, turn 0$/ },
    ],
    [
      'a span across trajectories',
      spans([0, 2], [3, 5]),
      {
        path: 'spans.starts[1]',
        expected: 'a non-empty span inside one trajectory of 10 tokens in all',
        received: '[3, 5)',
        message: /Trajectory 0, turn 1$/,
      },
    ],
    ['an empty span', spans([5, 5]), { path: 'spans.starts[0]', received: '[5, 5)', message: /Trajectory 1, turn 0$/ }],
    [
      'spans out of order',
      spans([6, 7], [4, 5]),
      { path: 'spans.starts[1]', expected: 'a start of at least 6 (spans are sorted)', received: '4' },
    ],
    [
      'spans that overlap',
      spans([0, 3], [2, 4]),
      { path: 'spans.starts[1]', expected: 'a start of at least 3 (the end of the span before)', received: '2' },
    ],
    [
      'a mask outside ids',
      ids([0, -1, 0, 0], { actionMask: [1, 1, 1, 1] }),
      {
        path: 'actionMask[1]',
        expected: '0 outside every turn',
        received: '1 in no turn',
        message: /Trajectory 0, turn 1$/,
      },
    ],
    [
      'a mask outside delimiters',
      tokens([OPEN, CLOSE, 1, OPEN, CLOSE], { actionMask: [0, 0, 1, 0, 0] }),
      { path: 'actionMask[2]', message: /Trajectory 1, turn 0$/ },
    ],
    [
      'a mask outside spans',
      { ...spans([0, 2], [6, 8]), actionMask: [1, 1, 0, 0, 1, 0, 0, 0, 0, 0] },
      { path: 'actionMask[4]', message: /Trajectory 1, turn 0$/ },
    ],
  ];
  test.each(rows)('%s', (_, input, expected) => {
    expectInvalid(() => segmentTurns(input, { device }), { code: 'ERR_TURNS', ...expected });
  });
});

describe('segmentTurns, the call', () => {
  const run = (input: unknown, options?: unknown) => () =>
    segmentTurns(input as SegmentTurnsInput, options as SegmentTurnsOptions);
  const good = { trajectoryOffsets: [0, 2], turnIds: [0, 0] };
  const rows: Row[] = [
    ['nothing', run(undefined), { code: 'ERR_MISSING', path: 'input', expected: 'an object', received: 'undefined' }],
    ['null', run(null), { code: 'ERR_TYPE', path: 'input', received: 'null' }],
    ['an array', run([1]), { code: 'ERR_TYPE', path: 'input', received: 'an array of 1' }],
    [
      'no source',
      run({ trajectoryOffsets: [0, 2] }),
      { code: 'ERR_MISSING', path: 'turnIds', received: 'none of them' },
    ],
    [
      'two sources',
      run({ ...good, spans: { starts: [0], ends: [1] } }),
      {
        code: 'ERR_NO_EFFECT',
        path: 'spans',
        expected: 'one source of turns (turnIds is given)',
        received: 'turnIds and spans',
      },
    ],
    ['no offsets', run({ turnIds: [0] }), { code: 'ERR_MISSING', path: 'trajectoryOffsets' }],
    [
      'empty offsets',
      run({ ...good, trajectoryOffsets: [] }),
      { code: 'ERR_OFFSETS', path: 'trajectoryOffsets[0]', received: 'an empty array' },
    ],
    [
      'offsets from 1',
      run({ ...good, trajectoryOffsets: [1, 2] }),
      { code: 'ERR_OFFSETS', path: 'trajectoryOffsets[0]', expected: '0', received: '1' },
    ],
    [
      'offsets that decrease',
      run({ ...good, trajectoryOffsets: [0, 2, 1, 2] }),
      { code: 'ERR_OFFSETS', path: 'trajectoryOffsets[2]', expected: 'at least 2 (offsets never decrease)' },
    ],
    [
      'offsets of other tokens',
      run({ ...good, trajectoryOffsets: [0, 3] }),
      { code: 'ERR_OFFSETS', path: 'trajectoryOffsets[1]', expected: '2 (the number of tokens)', received: '3' },
    ],
    [
      'an id of 1.5',
      run({ ...good, turnIds: [0, 1.5] }),
      { code: 'ERR_RANGE', path: 'turnIds[1]', expected: 'a 32-bit integer', received: '1.5' },
    ],
    [
      'an id of 2^31',
      run({ ...good, turnIds: [0, 2 ** 31] }),
      { code: 'ERR_RANGE', path: 'turnIds[1]', received: '2147483648' },
    ],
    [
      'ids in another array',
      run({ ...good, turnIds: new Uint16Array(2) }),
      { code: 'ERR_TYPE', path: 'turnIds', received: 'Uint16Array(2)' },
    ],
    ['a mask in words', run({ ...good, actionMask: '11' }), { code: 'ERR_TYPE', path: 'actionMask', received: '"11"' }],
    ['a mask of 7', run({ ...good, actionMask: [1, 7] }), { code: 'ERR_RANGE', path: 'actionMask[1]', received: '7' }],
    [
      'a mask of another length',
      run({ ...good, actionMask: [1] }),
      { code: 'ERR_LENGTH', path: 'actionMask', expected: 'length 2 ([N])' },
    ],
    [
      'tokens without delimiters',
      run({ trajectoryOffsets: [0, 1], tokens: [1] }),
      { code: 'ERR_MISSING', path: 'delimiters', expected: 'an object' },
    ],
    [
      'delimiters without tokens',
      run({ ...good, delimiters: { open: 1, close: 2 } }),
      { code: 'ERR_UNKNOWN_OPTION', path: 'delimiters' },
    ],
    [
      'delimiters that are one token',
      run({ trajectoryOffsets: [0, 1], tokens: [1], delimiters: { open: 3, close: 3 } }),
      {
        code: 'ERR_RANGE',
        path: 'delimiters.close',
        expected: 'another token than delimiters.open (3)',
        received: '3',
      },
    ],
    [
      'no close delimiter',
      run({ trajectoryOffsets: [0, 1], tokens: [1], delimiters: { open: 3 } }),
      { code: 'ERR_MISSING', path: 'delimiters.close' },
    ],
    [
      'unclosed of true',
      run({ trajectoryOffsets: [0, 1], tokens: [1], delimiters: { open: 3, close: 4, unclosed: true } }),
      { code: 'ERR_TYPE', path: 'delimiters.unclosed', expected: '"throw" or "end"' },
    ],
    [
      'spans of two lengths',
      run({ trajectoryOffsets: [0, 4], spans: { starts: [0, 2], ends: [1] } }),
      { code: 'ERR_LENGTH', path: 'spans.ends' },
    ],
    [
      'a key that spans do not have',
      run({ trajectoryOffsets: [0, 4], spans: { starts: [0], ends: [1], stops: [1] } }),
      { code: 'ERR_UNKNOWN_OPTION', path: 'spans.stops' },
    ],
    [
      'a misspelled key',
      run({ ...good, actionMasks: [1, 1] }),
      { code: 'ERR_UNKNOWN_OPTION', path: 'actionMasks', received: /did you mean "actionMask"\?/ },
    ],
    [
      'a misspelled option',
      run(good, { devise: 'cpu' }),
      { code: 'ERR_UNKNOWN_OPTION', path: 'options.devise', received: /did you mean "device"\?/ },
    ],
    ['options of null', run(good, null), { code: 'ERR_TYPE', path: 'options', received: 'null' }],
  ];
  testErrors(rows);
});
