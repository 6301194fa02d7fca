/** Wrong batches from logits, in both forms of the call: the same error, and no buffer written before it is thrown. */
import { describe } from 'vitest';
import { a2tgpo, Tensor, tensor } from '../../lib/index.js';
import { type CallRow, detached, LOSS_FORMS, testCalls } from '../support/error_table.js';
import { fromLogits, sample, signals } from '../support/sample.js';

const from = sample({ seed: 2, trajectories: 4, prompts: 2 });
const { tokens, width, turns } = from;
/** A token in no turn. */
const observation = from.turnIds.indexOf(-1);

const LOGITS: CallRow[] = [
  [
    'no logits and no logProbs',
    (b) => delete b.logits,
    { code: 'ERR_MISSING', path: 'logits', expected: 'either logits with targets, or logProbs', received: 'neither' },
  ],
  [
    'logits and logProbs',
    (b) => (b.logProbs = from.logProbs),
    { code: 'ERR_NO_EFFECT', path: 'logits', received: 'both' },
  ],
  [
    'no targets',
    (b) => delete b.targets,
    { code: 'ERR_MISSING', path: 'targets', expected: 'an Int32Array of token ids [N]', received: 'undefined' },
  ],
  ['targets of null', (b) => (b.targets = null), { code: 'ERR_TYPE', path: 'targets', received: 'null' }],
  [
    'targets of another kind',
    (b) => (b.targets = new Float32Array(tokens)),
    { code: 'ERR_TYPE', path: 'targets', received: `Float32Array(${tokens})` },
  ],
  [
    'logits of another kind',
    (b) => (b.logits = new Float64Array(tokens * width)),
    { code: 'ERR_TYPE', path: 'logits', received: `Float64Array(${tokens * width})` },
  ],
  [
    'logits of bits without a dtype',
    (b) => (b.logits = new Uint16Array(tokens * width)),
    { code: 'ERR_TYPE', path: 'logits', expected: /tensor of dtype f32, bf16 or f16/ },
  ],
  [
    'a tensor of integers',
    (b) => (b.logits = tensor(new Int32Array(tokens * width), [tokens, width])),
    { code: 'ERR_TYPE', path: 'logits', received: 'a tensor of dtype int32' },
  ],
  [
    'logits that are no matrix of N rows',
    (b) => (b.logits = new Float32Array(tokens * width + 1)),
    { code: 'ERR_LENGTH', path: 'logits', received: `length ${tokens * width + 1}` },
  ],
  [
    'a tensor of another shape',
    (b) => (b.logits = tensor(from.logits.slice(), [width, tokens])),
    { code: 'ERR_LENGTH', path: 'logits', received: `shape [${width}, ${tokens}]` },
  ],
  [
    'a flat tensor',
    (b) => (b.logits = tensor(from.logits.slice(), [tokens * width])),
    { code: 'ERR_LENGTH', path: 'logits' },
  ],
  ['empty logits', (b) => (b.logits = new Float32Array(0)), { code: 'ERR_LENGTH', path: 'logits' }],
  [
    'a target beyond the vocabulary',
    (b) => ((b.targets as Int32Array)[turns.starts[2]] = width),
    {
      code: 'ERR_TARGET',
      path: `targets[${turns.starts[2]}]`,
      expected: `a token id in [0, ${width}) (the vocabulary)`,
      received: String(width),
    },
  ],
  [
    'a target of -100',
    (b) => ((b.targets as Int32Array)[turns.starts[0]] = -100),
    { code: 'ERR_TARGET', path: `targets[${turns.starts[0]}]`, received: '-100' },
  ],
  [
    'targets that are no integers',
    (b) => (b.targets = Array.from(from.targets, (t) => t + 0.5)),
    { code: 'ERR_RANGE', path: 'targets[0]', expected: 'a 32-bit integer' },
  ],
  [
    'detached logits',
    (b) => (b.logits = detached(from.logits)),
    { code: 'ERR_DETACHED', path: 'logits', received: /detached/ },
  ],
  ['a detached tensor', (b) => (b.logits = detachedTensor()), { code: 'ERR_DETACHED', path: 'logits' }],
  ['detached targets', (b) => (b.targets = detached(from.targets)), { code: 'ERR_DETACHED', path: 'targets' }],
  [
    'detached oldLogProbs',
    (b) => (b.oldLogProbs = detached(from.oldLogProbs)),
    { code: 'ERR_DETACHED', path: 'oldLogProbs' },
  ],
  [
    'a detached actionMask',
    (b) => (b.actionMask = detached(from.actionMask)),
    { code: 'ERR_DETACHED', path: 'actionMask' },
  ],
  ['a detached outcome', (b) => (b.outcome = detached(from.outcome)), { code: 'ERR_DETACHED', path: 'outcome' }],
  [
    'a disposed tensor',
    (b) => (b.logits = disposed()),
    { code: 'ERR_DISPOSED', path: 'tensor', received: 'a disposed tensor' },
  ],
  [
    'no oldLogProbs',
    (b) => delete b.oldLogProbs,
    {
      code: 'ERR_MISSING',
      path: 'oldLogProbs',
      expected: /^a Float32Array \[N\]: the estimator/,
      received: 'undefined',
    },
  ],
  [
    'oldLogProbs of another length',
    (b) => (b.oldLogProbs = new Float32Array(tokens - 1)),
    { code: 'ERR_LENGTH', path: 'oldLogProbs', expected: `length ${tokens} ([N])`, received: `length ${tokens - 1}` },
  ],
  [
    'oldLogProbs in float64',
    (b) => (b.oldLogProbs = new Float64Array(tokens)),
    { code: 'ERR_TYPE', path: 'oldLogProbs', received: `Float64Array(${tokens})` },
  ],
  [
    'refLogProbs without a KL term',
    (b) => (b.refLogProbs = from.refLogProbs),
    { code: 'ERR_NO_EFFECT', path: 'refLogProbs', expected: /has no KL term/ },
  ],
  [
    'a misspelled key',
    (b) => (b.actionmask = b.actionMask),
    {
      code: 'ERR_UNKNOWN_OPTION',
      path: 'actionmask',
      received: 'unknown option "actionmask", did you mean "actionMask"?',
    },
  ],
  [
    'an option in the batch',
    (b) => (b.temperature = 1),
    { code: 'ERR_UNKNOWN_OPTION', path: 'temperature', received: /unknown option "temperature"/ },
  ],
  [
    'an actionMask of another length',
    (b) => (b.actionMask = new Uint8Array(tokens + 1)),
    { code: 'ERR_LENGTH', path: 'actionMask' },
  ],
  [
    'an actionMask of 2',
    (b) => ((b.actionMask as Uint8Array)[3] = 2),
    { code: 'ERR_RANGE', path: 'actionMask[3]', expected: '0 or 1', received: '2' },
  ],
  [
    'an actionMask of other turns',
    (b) => (b.actionMask = new Uint8Array(tokens)),
    { code: 'ERR_TURNS', path: 'turns.tokens[0]', expected: '0 (the ones of actionMask in its span)' },
  ],
  [
    'an actionMask that reaches outside the turns',
    (b) => ((b.actionMask as Uint8Array)[observation] = 1),
    { code: 'ERR_TURNS', path: `actionMask[${observation}]`, received: '1 in no turn' },
  ],
  [
    'no actionMask though turns skip tokens',
    (b) => delete b.actionMask,
    { code: 'ERR_MISSING', path: 'actionMask', expected: /the actionMask that turns were made with/ },
  ],
  [
    'trajectoryOffsets of other turns',
    (b) => (b.trajectoryOffsets = Int32Array.of(0, 1, 2, 3, tokens)),
    { code: 'ERR_TURNS', path: 'turns.starts[0]' },
  ],
  [
    'trajectoryOffsets that decrease',
    (b) => (b.trajectoryOffsets = Int32Array.of(0, 3, 2, 5, tokens)),
    {
      code: 'ERR_OFFSETS',
      path: 'trajectoryOffsets[2]',
      expected: 'at least 3 (offsets never decrease)',
      received: '2',
    },
  ],
  [
    'trajectoryOffsets that do not reach N',
    (b) => (b.trajectoryOffsets = Int32Array.of(0, tokens + 1)),
    { code: 'ERR_OFFSETS', path: 'trajectoryOffsets[1]', expected: `${tokens} (the number of tokens)` },
  ],
  ['no turns', (b) => delete b.turns, { code: 'ERR_MISSING', path: 'turns' }],
  [
    'trajectories as turns where the estimator works on turns',
    (b) => {
      delete b.turns;
      delete b.actionMask;
      b.trajectoryOffsets = from.trajectoryOffsets;
    },
    { code: 'ERR_MISSING', path: 'turns', expected: 'turns: the estimator "a2tgpo" works on turns' },
  ],
  [
    'no source of credit',
    (b) => {
      delete b.groups;
      delete b.outcome;
      delete b.informationGain;
    },
    { code: 'ERR_MISSING', path: 'credit', received: 'none' },
  ],
  [
    'two sources of credit',
    (b) => (b.advantages = new Float64Array(turns.count)),
    { code: 'ERR_NO_EFFECT', path: 'groups', received: 'advantages and groups' },
  ],
  [
    'denominators that are no counts',
    (b) => (b.denominators = { tokens: -1, turns: 1, sequences: 1 }),
    { code: 'ERR_RANGE', path: 'denominators.tokens', expected: 'an integer of at least 19', received: '-1' },
  ],
];

function disposed(): Tensor<'f32'> {
  const logits = Tensor.alloc([tokens, width], 'f32');
  logits.dispose();
  return logits;
}

function detachedTensor(): Tensor<'f32'> {
  const data = new Float32Array(tokens * width);
  const logits = tensor(data, [tokens, width]);
  structuredClone(data.buffer, { transfer: [data.buffer] });
  return logits;
}

describe.each(LOSS_FORMS)('%s', (_, run) => {
  testCalls(LOGITS, {
    batch: () => structuredClone({ ...fromLogits(from), ...signals(from) }),
    options: () => ({ device: 'cpu' }),
    run: (batch, options) => run(batch, a2tgpo(), options),
  });
});
