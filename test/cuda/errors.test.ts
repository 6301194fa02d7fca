/** Wrong places, wrong dtypes and wrong contents of arrays on a device: the errors of host arrays, before anything is overwritten. */
import { expect, test } from 'vitest';
import {
  type Estimator,
  estimateAdvantages,
  gatherLogProbsSync,
  policyLoss,
  policyLossSync,
  segmentTurns,
  Tensor,
  tensor,
} from '../../lib/index.js';
import { checkError, type ExpectedError, expectInvalid } from '../support/errors.js';
import { ESTIMATORS } from '../support/estimators.js';
import { encode, expectSameBits } from '../support/numbers.js';
import { describeCuda, disposeAll, taken, upload, uploaded } from '../support/on_device.js';
import { fromLogits, sample, signals } from '../support/sample.js';

const from = sample({ seed: 51 });
const estimator = ESTIMATORS.a2tgpo;
const { tokens, width } = from;
const lossToken = from.actionMask.indexOf(1, 3);
const lastLossToken = from.actionMask.lastIndexOf(1);

type Batch = Record<string, unknown>;
const run = policyLossSync as unknown as (batch: Batch, estimator: Estimator, options?: Batch) => unknown;
const runLater = policyLoss as unknown as (batch: Batch, estimator: Estimator, options?: Batch) => Promise<unknown>;

/** Everything on the device that may be there. */
function onDevice(): Batch {
  const logits = tensor(from.logits.slice(), [tokens, width]);
  const names = ['logits', 'targets', 'oldLogProbs', 'actionMask', 'groups', 'outcome', 'informationGain'];
  return uploaded({ ...fromLogits(from), ...signals(from), logits }, names);
}

const there = <T extends Float32Array | Float64Array | Int32Array | Uint8Array>(array: T) =>
  upload(array as never, array instanceof Float64Array ? 'f64' : array instanceof Int32Array ? 'int32' : 'f32');

/** A wrong change of a right call; what `change` makes of it is given back. */
const rows: [title: string, change: (batch: Batch, options: Batch) => unknown, expected: ExpectedError][] = [
  ...(['cpu', 'reference'] as const).map((device): [string, (b: Batch, o: Batch) => unknown, ExpectedError] => [
    `device: "${device}"`,
    (_, o) => (o.device = device),
    { code: 'ERR_DEVICE', path: 'device', expected: /"cuda" or "auto"/, received: `"${device}"` },
  ]),
  [
    'logits in host memory',
    (b) => (b.logits = from.logits),
    {
      code: 'ERR_DEVICE',
      path: 'oldLogProbs',
      expected: /^host memory \[N\]/,
      received: 'a tensor of dtype f32 on cuda',
    },
  ],
  [
    'a scalar per row',
    (b) => (b.logits = Tensor.alloc([tokens], 'f32', 'cuda')),
    { code: 'ERR_LENGTH', path: 'logits' },
  ],
  [
    'logits of float64',
    (b) => (b.logits = Tensor.alloc([tokens, width], 'f64', 'cuda')),
    { code: 'ERR_TYPE', path: 'logits', received: 'a tensor of dtype f64' },
  ],
  [
    'targets of another dtype',
    (b) => (b.targets = Tensor.alloc([tokens], 'f32', 'cuda')),
    { code: 'ERR_TYPE', path: 'targets', expected: 'a tensor of dtype int32 [N]', message: /\.to\("cuda"\)/ },
  ],
  [
    'old log-probs of float64',
    (b) => (b.oldLogProbs = Tensor.alloc([tokens], 'f64', 'cuda')),
    { code: 'ERR_TYPE', path: 'oldLogProbs', received: 'a tensor of dtype f64 on cuda' },
  ],
  [
    'outcomes of float32',
    (b) => (b.outcome = Tensor.alloc([from.count], 'f32', 'cuda')),
    { code: 'ERR_TYPE', path: 'outcome', expected: 'a tensor of dtype f64 [M]' },
  ],
  [
    'groups of float64',
    (b) => (b.groups = Tensor.alloc([from.count], 'f64', 'cuda')),
    { code: 'ERR_TYPE', path: 'groups', expected: 'a tensor of dtype int32 [M]' },
  ],
  [
    'a mask of int32',
    (b) => (b.actionMask = Tensor.alloc([tokens], 'int32', 'cuda')),
    { code: 'ERR_TYPE', path: 'actionMask', expected: 'a tensor of dtype u8 [N]' },
  ],
  [
    'too few old log-probs',
    (b) => (b.oldLogProbs = Tensor.alloc([tokens - 1], 'f32', 'cuda')),
    { code: 'ERR_LENGTH', path: 'oldLogProbs', expected: `length ${tokens} ([N])` },
  ],
  [
    'too many gains',
    (b) => (b.informationGain = Tensor.alloc([from.turns.count + 1], 'f64', 'cuda')),
    { code: 'ERR_LENGTH', path: 'informationGain', expected: `length ${from.turns.count} ([K])` },
  ],
  [
    'a tensor in host memory among those of [N]',
    (b) => (b.oldLogProbs = tensor(from.oldLogProbs, [tokens])),
    { code: 'ERR_TYPE', path: 'oldLogProbs' },
  ],
  ['logits that are gone', (b) => (b.logits as Tensor).dispose(), { code: 'ERR_DISPOSED', path: 'logits' }],
  ['targets that are gone', (b) => (b.targets as Tensor).dispose(), { code: 'ERR_DISPOSED', path: 'targets' }],
  ['outcomes that are gone', (b) => (b.outcome as Tensor).dispose(), { code: 'ERR_DISPOSED', path: 'outcome' }],
  [
    'offsets beside turns',
    (b) => (b.trajectoryOffsets = there(from.trajectoryOffsets)),
    { code: 'ERR_DEVICE', path: 'trajectoryOffsets', expected: /^host memory/ },
  ],
  [
    'out in host memory',
    (_, o) => (o.out = { logits: Tensor.alloc([tokens, width], 'f32') }),
    { code: 'ERR_DEVICE', path: 'out.logits', expected: 'a tensor on cuda, as the batch' },
  ],
  [
    'out of another dtype',
    (_, o) => (o.out = { logits: Tensor.alloc([tokens, width], 'bf16', 'cuda') }),
    { code: 'ERR_TYPE', path: 'out.logits' },
  ],
  ['out that is the logits', (b, o) => (o.out = { logits: b.logits }), { code: 'ERR_OVERLAP', path: 'out.logits' }],
  [
    'a target beyond the vocabulary',
    (b) => (b.targets = there(from.targets.map((target, n) => (n === lossToken ? width : target)))),
    { code: 'ERR_TARGET', path: `targets[${lossToken}]`, received: String(width) },
  ],
  [
    'a negative target',
    (b) => (b.targets = there(from.targets.map((target, n) => (n === lastLossToken ? -100 : target)))),
    { code: 'ERR_TARGET', path: `targets[${lastLossToken}]`, received: '-100' },
  ],
  [
    'an old log-prob of -Infinity',
    (b) => (b.oldLogProbs = there(from.oldLogProbs.map((x, n) => (n === lossToken ? Number.NEGATIVE_INFINITY : x)))),
    { code: 'ERR_NON_FINITE', path: `oldLogProbs[${lossToken}]`, received: '-Infinity' },
  ],
  [
    'a row with NaN',
    (b) => {
      const logits = from.logits.slice();
      logits[lossToken * width + 2] = Number.NaN;
      b.logits = upload(logits, 'f32', [tokens, width]);
    },
    { code: 'ERR_NON_FINITE', path: `logits[${lossToken}]` },
  ],
  [
    'a target whose logit is -Infinity',
    (b) => {
      const logits = from.logits.slice();
      logits[lossToken * width + from.targets[lossToken]] = Number.NEGATIVE_INFINITY;
      b.logits = upload(logits, 'f32', [tokens, width]);
    },
    {
      code: 'ERR_NON_FINITE',
      path: `targets[${lossToken}]`,
      received: `token ${from.targets[lossToken]} with log-prob -Infinity`,
    },
  ],
  [
    'a mask that is not that of the turns',
    (b) =>
      (b.actionMask = upload(
        from.actionMask.map((mask, n) => (n === lossToken ? 0 : mask)),
        'u8',
      )),
    { code: 'ERR_TURNS', path: `turns.tokens[${turnOf(lossToken)}]` },
  ],
  [
    'a gradient beyond float16',
    (b, o) => {
      b.logits = upload(encode(from.logits, 'f16') as Uint16Array, 'f16', [tokens, width]);
      o.gradScale = 1e30;
    },
    { code: 'ERR_NON_FINITE', path: /^grad\.logits\[\d+\]$/ as never, expected: 'a gradient within f16' },
  ],
  [
    'advantages that are NaN',
    (b) => {
      for (const name of ['groups', 'outcome', 'informationGain']) delete b[name];
      b.advantages = there(new Float64Array(from.turns.count).fill(Number.NaN));
      b.clipScale = there(new Float64Array(from.turns.count).fill(1));
    },
    { code: 'ERR_NON_FINITE', path: 'advantages[0]' },
  ],
];

function turnOf(token: number): number {
  return from.turns.starts.findIndex((start, k) => start <= token && token < from.turns.ends[k]);
}

describeCuda('policyLoss', () => {
  test.each(rows)('%s', async (_, change, expected) => {
    const [batch, options]: [Batch, Batch] = [onDevice(), {}];
    const used = { ...batch };
    // The runtime's own workspace is there from the first call on.
    disposeAll(run(batch, estimator));
    change(batch, options);
    const before = taken();
    for (const form of [run, runLater]) {
      const error = await (async () => form(batch, estimator, options))().then(
        () => expect.fail('it was fulfilled'),
        (reason: unknown) => reason as { path: string },
      );
      const path: unknown = expected.path;
      if (path instanceof RegExp) expect(error.path).toMatch(path);
      checkError(error, path instanceof RegExp ? { ...expected, path: error.path } : expected);
    }
    expect(taken()).toBe(before);
    const { logits } = batch;
    if (logits instanceof Tensor && !logits.disposed && logits === used.logits) {
      expectSameBits(logits.toHostSync().data, from.logits, 'logits');
    }
    disposeAll(batch, used, options);
  });

  test('what fails in place says what became of the logits', () => {
    const batch = onDevice();
    batch.oldLogProbs = there(from.oldLogProbs.map(() => Number.NaN));
    expect(() => run(batch, estimator, { inPlace: true })).toThrow(/With inPlace the logits are now undefined/);
    disposeAll(batch);
  });

  test('a target outside the loss is not looked at', () => {
    const batch = onDevice();
    batch.targets = there(from.targets.map((target, n) => (from.actionMask[n] === 1 ? target : -100)));
    disposeAll(run(batch, estimator), batch);
  });

  test('where one of the log-probs is on the device', () => {
    const logProbs = there(from.logProbs);
    const host = { logProbs: from.logProbs, oldLogProbs: from.oldLogProbs, turns: from.turns, ...signals(from) };
    expectInvalid(() => run({ ...host, oldLogProbs: logProbs }, estimator), {
      code: 'ERR_DEVICE',
      path: 'oldLogProbs',
    });
    const out = { logProbs: new Float32Array(tokens) };
    const batch = { ...host, actionMask: from.actionMask };
    expectInvalid(() => run({ ...batch, logProbs }, estimator, { out }), { code: 'ERR_DEVICE', path: 'out.logProbs' });
    expectInvalid(() => run(batch, estimator, { out: { logProbs } }), { code: 'ERR_DEVICE', path: 'out.logProbs' });
    logProbs.dispose();
  });
});

describeCuda('other calls', () => {
  const any = (value: unknown) => value as never;

  test('gatherLogProbs', () => {
    const { logits, targets } = onDevice() as { logits: Tensor<'f32', 'cuda'>; targets: Tensor<'int32', 'cuda'> };
    const error = { code: 'ERR_DEVICE', path: 'device' } as const;
    expectInvalid(() => gatherLogProbsSync({ logits, targets }, any({ device: 'cpu' })), error);
    expectInvalid(() => gatherLogProbsSync(any({ logits: from.logits, targets })), {
      code: 'ERR_DEVICE',
      path: 'targets',
    });
    const outside = there(from.targets.map(() => width)) as Tensor<'int32', 'cuda'>;
    expectInvalid(() => gatherLogProbsSync({ logits, targets: outside }), {
      code: 'ERR_TARGET',
      path: 'targets[0]',
      received: String(width),
    });
    disposeAll(logits, targets, outside);
  });

  test('phase A and segmentation take host arrays', () => {
    const ids = there(from.turnIds);
    const { trajectoryOffsets } = from;
    expectInvalid(() => segmentTurns(any({ trajectoryOffsets, turnIds: ids })), {
      code: 'ERR_DEVICE',
      path: 'turnIds',
    });
    const outcome = there(from.outcome);
    const input = { turns: from.turns, groups: from.groups, informationGain: from.informationGain, outcome };
    expectInvalid(() => estimateAdvantages(any(input), estimator), { code: 'ERR_DEVICE', path: 'outcome' });
    disposeAll(ids, outcome);
  });
});
