/** Wrong options of policyLoss from logits, in both forms of the call. */
import { describe, expect, test } from 'vitest';
import { a2tgpo, grpo, policyLossSync, Tensor } from '../../lib/index.js';
import { type CallRow, detached, LOSS_FORMS, testCalls } from '../support/error_table.js';
import { fromLogits, sample, signals } from '../support/sample.js';

const from = sample({ seed: 2, trajectories: 4, prompts: 2 });
const { tokens, width } = from;

const OPTIONS: CallRow[] = [
  [
    'a temperature of 0',
    (_, o) => (o.temperature = 0),
    { code: 'ERR_RANGE', path: 'options.temperature', expected: 'a number in [1e-38, 1e+37]', received: '0' },
  ],
  [
    'a temperature of -1',
    (_, o) => (o.temperature = -1),
    { code: 'ERR_RANGE', path: 'options.temperature', received: '-1' },
  ],
  [
    'a temperature of NaN',
    (_, o) => (o.temperature = Number.NaN),
    { code: 'ERR_RANGE', path: 'options.temperature', received: 'NaN' },
  ],
  [
    'an infinite temperature',
    (_, o) => (o.temperature = Number.POSITIVE_INFINITY),
    { code: 'ERR_RANGE', path: 'options.temperature', received: 'Infinity' },
  ],
  [
    'a temperature in words',
    (_, o) => (o.temperature = '1'),
    { code: 'ERR_TYPE', path: 'options.temperature', received: '"1"' },
  ],
  ['a gradScale of NaN', (_, o) => (o.gradScale = Number.NaN), { code: 'ERR_RANGE', path: 'options.gradScale' }],
  [
    'a misspelled option',
    (_, o) => (o.inplace = true),
    {
      code: 'ERR_UNKNOWN_OPTION',
      path: 'options.inplace',
      received: 'unknown option "inplace", did you mean "inPlace"?',
    },
  ],
  [
    'inPlace of 1',
    (_, o) => (o.inPlace = 1),
    { code: 'ERR_TYPE', path: 'options.inPlace', expected: 'a boolean', received: '1' },
  ],
  [
    'another rowScale',
    (_, o) => (o.rowScale = 'defered'),
    { code: 'ERR_RANGE', path: 'options.rowScale', message: /Did you mean "deferred"\?/ },
  ],
  [
    'another nonFinite',
    (_, o) => (o.nonFinite = 'ignore'),
    { code: 'ERR_RANGE', path: 'options.nonFinite', expected: '"throw", "check-first" or "propagate"' },
  ],
  [
    'another device',
    (_, o) => (o.device = 'gpu'),
    { code: 'ERR_RANGE', path: 'device', expected: '"auto", "cpu", "cuda" or "reference"', received: '"gpu"' },
  ],
  [
    'inPlace and out',
    (b, o) => {
      o.inPlace = true;
      o.out = { logits: Tensor.alloc([tokens, width], 'f32') };
      b.logits = Tensor.alloc([tokens, width], 'f32');
    },
    { code: 'ERR_NO_EFFECT', path: 'out.logits', received: 'both' },
  ],
  [
    'out of another dtype',
    (_, o) => (o.out = { logits: Tensor.alloc([tokens, width], 'bf16') }),
    { code: 'ERR_TYPE', path: 'out.logits', expected: 'dtype f32 (that of logits)', received: 'dtype bf16' },
  ],
  [
    'out of another length',
    (_, o) => (o.out = { logits: Tensor.alloc([tokens], 'f32') }),
    { code: 'ERR_LENGTH', path: 'out.logits' },
  ],
  [
    'out of another shape',
    (_, o) => (o.out = { logits: Tensor.alloc([width, tokens], 'f32') }),
    {
      code: 'ERR_LENGTH',
      path: 'out.logits',
      expected: `a tensor of shape [N, ${width}]`,
      received: `shape [${width}, ${tokens}]`,
    },
  ],
  [
    'out on top of oldLogProbs',
    (b, o) => onTopOf(b, o, 'oldLogProbs'),
    { code: 'ERR_OVERLAP', path: 'oldLogProbs', expected: 'memory apart from what the gradient is written to' },
  ],
  ['a gradScale beyond float32', (_, o) => (o.gradScale = 1e39), { code: 'ERR_RANGE', path: 'options.gradScale' }],
  ['an empty out', (_, o) => (o.out = {}), { code: 'ERR_MISSING', path: 'out.logits' }],
  [
    'out for log-probs',
    (_, o) => (o.out = { logits: Tensor.alloc([tokens, width], 'f32'), logProbs: new Float32Array(tokens) }),
    { code: 'ERR_UNKNOWN_OPTION', path: 'out.logProbs', message: /The batch has logits/ },
  ],
  [
    'a detached out',
    (_, o) => (o.out = { logits: detached(from.logits) }),
    { code: 'ERR_DETACHED', path: 'out.logits' },
  ],
  ['out on top of the logits', (b, o) => overlap(b, o, 0), { code: 'ERR_OVERLAP', path: 'out.logits' }],
  [
    'out one element behind the logits',
    (b, o) => overlap(b, o, 1),
    { code: 'ERR_OVERLAP', path: 'out.logits', received: 'a view that overlaps logits' },
  ],
];

/** Logits and out in one SharedArrayBuffer, which both forms of a call take. */
function overlap(batch: Record<string, unknown>, options: Record<string, unknown>, shift: number): void {
  const shared = new Float32Array(new SharedArrayBuffer(4 * (tokens * width + 1)));
  batch.logits = shared.subarray(0, tokens * width);
  options.out = { logits: shared.subarray(shift, shift + tokens * width) };
}

/** The gradient's last elements in the memory of another input. */
function onTopOf(batch: Record<string, unknown>, options: Record<string, unknown>, name: 'oldLogProbs'): void {
  const shared = new Float32Array(new SharedArrayBuffer(4 * (tokens * width + tokens)));
  batch[name] = shared.subarray(tokens * width - 1, tokens * width - 1 + tokens);
  shared.fill(-1);
  options.out = { logits: shared.subarray(0, tokens * width) };
}

describe.each(LOSS_FORMS)('%s', (_, run) => {
  testCalls(OPTIONS, {
    batch: () => structuredClone({ ...fromLogits(from), ...signals(from) }),
    options: () => ({ device: 'cpu' }),
    run: (batch, options) => run(batch, a2tgpo(), options),
  });
});

test('a required field under another spelling is found', () => {
  const batch = {
    logProbs: new Float32Array(1),
    oldLogprobs: new Float32Array(1),
    advantages: [1],
    advantageLevel: 'token',
  };
  expect(() => policyLossSync(batch as never, grpo())).toThrow(/oldLogProbs.*Did you mean it by "oldLogprobs"\?/);
});
