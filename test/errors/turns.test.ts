/** Wrong turns, and wrong calls of informationGain and gatherLogProbs. */
import { describe } from 'vitest';
import { gatherLogProbsSync, informationGain, type Turns } from '../../lib/index.js';
import { type CallRow, detached, type Row, testCalls, testErrors } from '../support/error_table.js';

const any = (value: unknown) => value as never;

const TURNS: Turns = {
  count: 3,
  starts: Int32Array.of(0, 2, 5),
  ends: Int32Array.of(2, 4, 7),
  tokens: Int32Array.of(2, 2, 2),
  trajectory: Int32Array.of(0, 0, 1),
  index: Int32Array.of(0, 1, 0),
};

describe('turns, and informationGain', () => {
  const gain = { turns: TURNS, answerLogProbs: [-1, -2, -3, -4], answerOffsets: [0, 2, 3, 4] };
  const run = (change: Record<string, unknown>) => () => informationGain({ ...gain, ...change } as never);
  const turns = (change: Record<string, unknown>) => run({ turns: { ...TURNS, ...change } });
  const rows: Row[] = [
    ['no turns', run({ turns: undefined }), { code: 'ERR_MISSING', path: 'turns', expected: 'an object' }],
    [
      'a count of 1.5',
      turns({ count: 1.5 }),
      { code: 'ERR_RANGE', path: 'turns.count', expected: 'an integer of at least 0' },
    ],
    [
      'starts of another length',
      turns({ starts: [0] }),
      { code: 'ERR_LENGTH', path: 'turns.starts', expected: 'length 3 ([K])' },
    ],
    ['no index', turns({ index: undefined }), { code: 'ERR_TYPE', path: 'turns.index' }],
    [
      'an unknown field',
      turns({ index2: [1] }),
      { code: 'ERR_UNKNOWN_OPTION', path: 'turns.index2', received: /did you mean "index"\?/ },
    ],
    [
      'spans that overlap',
      turns({ starts: [0, 1, 5] }),
      {
        code: 'ERR_TURNS',
        path: 'turns.starts[1]',
        expected: 'at least 2 (turns are sorted and do not overlap)',
        received: '1',
      },
    ],
    [
      'a reversed span',
      turns({ ends: [2, 1, 7] }),
      { code: 'ERR_TURNS', path: 'turns.ends[1]', expected: 'at least turns.starts[1] (2)', received: '1' },
    ],
    [
      'more tokens than the span',
      turns({ tokens: [3, 2, 2] }),
      { code: 'ERR_TURNS', path: 'turns.tokens[0]', expected: "a count in [0, 2] (the span's length)", received: '3' },
    ],
    [
      'trajectories that decrease',
      turns({ trajectory: [1, 0, 1] }),
      { code: 'ERR_TURNS', path: 'turns.trajectory[1]', expected: 'at least 1' },
    ],
    [
      'a negative trajectory',
      turns({ trajectory: [-1, 0, 1] }),
      { code: 'ERR_TURNS', path: 'turns.trajectory[0]', expected: 'at least 0' },
    ],
    [
      'indices that do not increase',
      turns({ index: [0, 0, 0] }),
      { code: 'ERR_TURNS', path: 'turns.index[1]', expected: 'at least 1 (indices increase along a trajectory)' },
    ],
    [
      'offsets of another length',
      run({ answerOffsets: [0, 4] }),
      { code: 'ERR_LENGTH', path: 'answerOffsets', expected: 'length 4 ([K+1])' },
    ],
    [
      'offsets from 1',
      run({ answerOffsets: [1, 2, 3, 4] }),
      { code: 'ERR_OFFSETS', path: 'answerOffsets[0]', expected: 'a value in [0, 0]', received: '1' },
    ],
    [
      'offsets that decrease',
      run({ answerOffsets: [0, 3, 2, 4] }),
      { code: 'ERR_OFFSETS', path: 'answerOffsets[2]', received: '2' },
    ],
    [
      'offsets that do not reach the end',
      run({ answerOffsets: [0, 2, 3, 3] }),
      { code: 'ERR_OFFSETS', path: 'answerOffsets[3]', expected: '4 (the number of log-probs)' },
    ],
    [
      'a positive log-prob',
      run({ answerLogProbs: [-1, 0.5, -3, -4] }),
      {
        code: 'ERR_RANGE',
        path: 'answerLogProbs[1]',
        expected: 'a finite log-prob (at most 0, up to rounding)',
        received: '0.5',
      },
    ],
    [
      'a log-prob of -Infinity',
      run({ answerLogProbs: [-1, -2, Number.NEGATIVE_INFINITY, -4] }),
      { code: 'ERR_RANGE', path: 'answerLogProbs[2]' },
    ],
    [
      'a log-prob of NaN',
      run({ answerLogProbs: [-1, -2, -3, Number.NaN] }),
      { code: 'ERR_RANGE', path: 'answerLogProbs[3]', received: 'NaN' },
    ],
    [
      'a log-prob in words',
      run({ answerLogProbs: ['-1', -2, -3, -4] }),
      { code: 'ERR_TYPE', path: 'answerLogProbs[0]', expected: 'a number', received: '"-1"' },
    ],
    [
      'log-probs in words',
      run({ answerLogProbs: '-1' }),
      { code: 'ERR_TYPE', path: 'answerLogProbs', expected: /a Float64Array, a Float32Array or an array of numbers/ },
    ],
    [
      'promptLogProbs alone',
      run({ promptLogProbs: [-1] }),
      { code: 'ERR_MISSING', path: 'promptOffsets', expected: 'promptLogProbs and promptOffsets together' },
    ],
    ['promptOffsets alone', run({ promptOffsets: [0, 1] }), { code: 'ERR_MISSING', path: 'promptLogProbs' }],
    [
      'promptOffsets of fewer trajectories',
      run({ promptLogProbs: [-1], promptOffsets: [0, 1] }),
      { code: 'ERR_LENGTH', path: 'promptOffsets', expected: 'length of at least 3 ([M+1])' },
    ],
    [
      'another mode',
      run({ mode: 'logprob' }),
      { code: 'ERR_RANGE', path: 'mode', message: /Did you mean "log-prob"\?/ },
    ],
    [
      'another lastTurn',
      run({ lastTurn: 'zero' }),
      { code: 'ERR_RANGE', path: 'lastTurn', expected: '"outcome" or "signal"' },
    ],
    [
      'a misspelled key',
      run({ promptLogprobs: [-1] }),
      { code: 'ERR_UNKNOWN_OPTION', path: 'promptLogprobs', received: /did you mean "promptLogProbs"\?/ },
    ],
  ];
  testErrors(rows);
});

describe('gatherLogProbs', () => {
  const rows: CallRow[] = [
    ['no targets', (b) => delete b.targets, { code: 'ERR_MISSING', path: 'targets' }],
    ['targets of null', (b) => (b.targets = null), { code: 'ERR_TYPE', path: 'targets', received: 'null' }],
    ['targets of a number', (b) => (b.targets = 4), { code: 'ERR_TYPE', path: 'targets', received: '4' }],
    ['detached targets', (b) => (b.targets = detached(Int32Array.of(0, 1))), { code: 'ERR_DETACHED', path: 'targets' }],
    ['no logits', (b) => delete b.logits, { code: 'ERR_MISSING', path: 'logits' }],
    [
      'logits of other rows',
      (b) => (b.logits = new Float32Array(7)),
      { code: 'ERR_LENGTH', path: 'logits', expected: '[N, V] with N = 2 (targets.length) rows of V >= 1' },
    ],
    ['a target of V', (b) => (b.targets = [0, 3]), { code: 'ERR_TARGET', path: 'targets[1]', received: '3' }],
    ['a mask of another length', (b) => (b.actionMask = [1]), { code: 'ERR_LENGTH', path: 'actionMask' }],
    [
      'an unknown key',
      (b) => (b.oldLogProbs = new Float32Array(2)),
      { code: 'ERR_UNKNOWN_OPTION', path: 'oldLogProbs' },
    ],
    ['a temperature of 0', (_, o) => (o.temperature = 0), { code: 'ERR_RANGE', path: 'options.temperature' }],
    ['an option of policyLoss', (_, o) => (o.inPlace = true), { code: 'ERR_UNKNOWN_OPTION', path: 'options.inPlace' }],
  ];
  testCalls(rows, {
    batch: () => ({ logits: new Float32Array(6), targets: Int32Array.of(0, 1) }),
    options: () => ({ device: 'cpu' }),
    run: (batch, options) => gatherLogProbsSync(any(batch), any(options)),
  });
});
