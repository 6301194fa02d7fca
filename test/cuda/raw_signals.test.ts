/** The whole step from raw signals on the device, in one call: the bits of segmentTurns on the host and policyLoss after it. */
import { expect, test } from 'vitest';
import { type Estimator, policyLoss, policyLossSync, real, segmentTurns } from '../../lib/index.js';
import { checkError } from '../support/errors.js';
import { lossArraysFor, signalsFor } from '../support/estimator_batch.js';
import { ESTIMATORS, GRPO, variant } from '../support/estimators.js';
import { expectSameBits } from '../support/numbers.js';
import { describeCuda, disposeAll, elements, taken, upload, uploaded } from '../support/on_device.js';
import { sample } from '../support/sample.js';

const from = sample({ seed: 41, trajectories: 6, width: 29 });

type Batch = Record<string, unknown>;
type Result = { loss: number; grad: Batch; logProbs: unknown; metrics: Batch };
const run = policyLossSync as unknown as (batch: Batch, estimator: Estimator, options?: Batch) => Result;
const runLater = policyLoss as unknown as (batch: Batch, estimator: Estimator, options?: Batch) => Promise<Result>;

const { turnIds, actionMask, trajectoryOffsets } = from;

const SOURCES: Record<string, Batch> = {
  turnIds: { turnIds, actionMask },
  'the runs of a mask': { actionMask },
  'delimiters, no mask': { tokens: delimited(), delimiters: { open: 8, close: 9, unclosed: 'end' } },
};

/** Some turn in every trajectory, whatever the sample's are. */
function delimited(): Int32Array {
  const ids = new Int32Array(from.tokens);
  for (let m = 0; m < from.count; m++) {
    const [begin, end] = [trajectoryOffsets[m], trajectoryOffsets[m + 1]];
    ids[begin] = 8;
    if (end - begin > 3) ids[begin + 2] = 9;
  }
  return ids;
}

function batchOf(estimator: Estimator, source: Batch) {
  const turns = segmentTurns({ trajectoryOffsets, ...source } as never, { device: 'reference' });
  const signals: Batch = {
    ...signalsFor(estimator, from),
    ...('tokens' in source || turns.count !== from.turns.count
      ? {
          informationGain: Float64Array.from({ length: turns.count }, (_, k) =>
            turns.trajectory[k + 1] === turns.trajectory[k] ? Math.sin(k) : Number.NaN,
          ),
        }
      : {}),
  };
  const { logits, targets } = from;
  const common = {
    logits: upload(logits, 'f32', [from.tokens, from.width]),
    targets,
    ...signals,
    ...lossArraysFor(estimator, from),
  };
  const { actionMask: mask } = source;
  return {
    raw: { ...common, trajectoryOffsets, ...source } as Batch,
    known: { ...common, turns, ...(mask ? { actionMask: mask } : {}) } as Batch,
  };
}

const EVERYTHING = [
  ...['targets', 'oldLogProbs', 'refLogProbs', 'actionMask', 'turnIds', 'tokens', 'trajectoryOffsets'],
  ...['groups', 'outcome', 'informationGain'],
];

function expectSame(actual: Result, expected: Result): void {
  expect(actual.loss).toBe(expected.loss);
  expect(actual.metrics).toEqual(expected.metrics);
  expectSameBits(elements(actual.grad.logits), elements(expected.grad.logits), 'grad.logits');
  expectSameBits(elements(actual.logProbs), elements(expected.logProbs), 'logProbs');
}

const METHODS: Record<string, Estimator> = {
  a2tgpo: ESTIMATORS.a2tgpo,
  'turn-mean-token-mean, true mean': variant({
    ratio: { level: 'turn', form: 'true' },
    aggregate: 'turn-mean-token-mean',
  }),
};

describeCuda.each(Object.entries(SOURCES))('turns by %s', (_, source) => {
  test.each(Object.entries(METHODS))('%s', async (__, estimator) => {
    const { raw, known } = batchOf(estimator, source);
    const expected = run(known, estimator);
    const there = uploaded(raw, EVERYTHING);
    const results = [run(raw, estimator), run(there, estimator), await runLater(there, estimator, { inPlace: false })];
    for (const result of results) expectSame(result, expected);
    disposeAll(results, expected, there, raw);
  });
});

describeCuda('means over prompts', () => {
  test('counted on the device', () => {
    const estimator = real();
    const { known } = batchOf(estimator, SOURCES.turnIds);
    const expected = run(known, estimator);
    const { turns: _, ...rest } = known;
    const batch = uploaded({ ...rest, trajectoryOffsets }, ['actionMask', 'groups', 'outcome', 'oldLogProbs']);
    const actual = run(batch, estimator);
    expect(actual.metrics.lossDenominator).toBe(expected.metrics.lossDenominator);
    expect(actual.loss).toBeCloseTo(expected.loss, 9);
    disposeAll(actual, expected, batch, known);
  });
});

describeCuda('what is wrong in arrays on the device', () => {
  const estimator = ESTIMATORS.a2tgpo;
  const rows: [title: string, change: (batch: Batch) => void, expected: Batch][] = [
    [
      'an id below -1',
      (b) => (b.turnIds = turnIds.map((id, n) => (n === 4 ? -7 : id))),
      { code: 'ERR_TURNS', path: 'turnIds[4]', received: '-7' },
    ],
    [
      'a mask outside every turn',
      (b) => {
        b.turnIds = turnIds.map((id, n) => (n < trajectoryOffsets[1] ? -1 : id));
        b.actionMask = actionMask.map((mask, n) => (n === 0 ? 1 : mask));
      },
      { code: 'ERR_TURNS', path: 'actionMask[0]' },
    ],
    [
      'more turns than gains',
      (b) => (b.informationGain = (b.informationGain as Float64Array).slice(1)),
      {
        code: 'ERR_LENGTH',
        path: 'informationGain',
        expected: `length ${from.turns.count} ([K], the turns of the batch)`,
      },
    ],
    [
      'fewer turns than gains',
      (b) => (b.informationGain = Float64Array.of(...(b.informationGain as Float64Array), Number.NaN)),
      {
        code: 'ERR_LENGTH',
        path: 'informationGain',
        expected: `length ${from.turns.count} ([K], the turns of the batch)`,
      },
    ],
    [
      'offsets that fall',
      (b) => (b.trajectoryOffsets = Int32Array.from([0, 5, 3, ...trajectoryOffsets.slice(3)])),
      { code: 'ERR_OFFSETS', path: 'trajectoryOffsets[2]', received: '3' },
    ],
    [
      'offsets that do not reach the end',
      (b) => (b.trajectoryOffsets = trajectoryOffsets.map((offset, m) => (m === from.count ? offset - 1 : offset))),
      { code: 'ERR_OFFSETS', path: `trajectoryOffsets[${from.count}]` },
    ],
    [
      'a target outside the vocabulary',
      (b) => (b.targets = from.targets.map((target, n) => (n === lossToken ? from.width + 3 : target))),
      { code: 'ERR_TARGET', path: `targets[${lossTokenAt()}]`, received: String(from.width + 3) },
    ],
    [
      'an old log-prob that is NaN',
      (b) => (b.oldLogProbs = from.oldLogProbs.map((x, n) => (n === lossToken ? Number.NaN : x))),
      { code: 'ERR_NON_FINITE', path: `oldLogProbs[${lossTokenAt()}]`, received: 'NaN' },
    ],
  ];

  test.each(rows)('%s', async (_, change, expected) => {
    const { raw } = batchOf(estimator, SOURCES.turnIds);
    disposeAll(run(raw, estimator));
    change(raw);
    const batch = uploaded(raw, EVERYTHING);
    const before = taken();
    for (const form of [run, runLater]) {
      const error = await (async () => form(batch, estimator))().then(
        () => expect.fail('it was fulfilled'),
        (reason: unknown) => reason,
      );
      checkError(error, expected as never);
    }
    expect(taken()).toBe(before);
    disposeAll(batch, raw);
  });

  test('trajectories as turns on the device alone', () => {
    const { raw } = batchOf(GRPO, SOURCES.turnIds);
    const { turnIds: _, ...rest } = raw;
    const batch = uploaded(rest, ['actionMask', 'trajectoryOffsets']);
    expect(() => run(batch, GRPO)).toThrow(/trajectoryOffsets: expected host memory/);
    disposeAll(batch, raw);
  });
});

/** A token of the loss. */
const lossToken = lossTokenAt();
function lossTokenAt(): number {
  return from.actionMask.indexOf(1, 5);
}
