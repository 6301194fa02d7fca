/** policyLoss from raw signals: the turns found inside the one call give the bits of segmentTurns and policyLoss one after the other. */
import { describe, expect, test } from 'vitest';
import {
  estimator as define,
  type Estimator,
  estimateAdvantages,
  grpo,
  policyLoss,
  policyLossSync,
  segmentTurns,
  type Turns,
} from '../lib/index.js';
import { DEVICES } from './support/backends.js';
import { expectInvalid, expectInvalidAsync } from './support/errors.js';
import { lossArraysFor, signalsFor } from './support/estimator_batch.js';
import { ESTIMATORS, variant } from './support/estimators.js';
import { expectSameBits } from './support/numbers.js';
import { type Sample, sample } from './support/sample.js';

const from = sample({ seed: 31, trajectories: 7 });
const [OPEN, CLOSE] = [1001, 1002];

type Batch = Record<string, unknown>;
type Result = { loss: number; grad: Record<string, Float32Array>; logProbs: Float32Array; metrics: Batch };
const run = policyLossSync as unknown as (batch: Batch, estimator: Estimator, options?: Batch) => Result;
const runLater = policyLoss as unknown as (batch: Batch, estimator: Estimator, options?: Batch) => Promise<Result>;

/** Token ids in which every turn of the sample stands between delimiters. */
function delimited({ turns, tokens }: Sample): Int32Array {
  const ids = new Int32Array(tokens).fill(5);
  for (let k = 0; k < turns.count; k++) {
    ids[turns.starts[k]] = OPEN;
    ids[turns.ends[k] - 1] = CLOSE;
  }
  return ids;
}

/** Turns of one token have no room for two delimiters. */
const longTurns = (() => {
  for (let seed = 1; ; seed++) {
    const drawn = sample({ seed, trajectories: 5 });
    if (drawn.turns.starts.every((start, k) => drawn.turns.ends[k] - start > 1)) return drawn;
  }
})();

const SOURCES: [name: string, of: Sample, source: (of: Sample) => Batch][] = [
  ['turnIds', from, ({ turnIds }) => ({ turnIds })],
  ['turnIds with a mask', from, ({ turnIds, actionMask }) => ({ turnIds, actionMask })],
  ['runs of the mask', from, ({ actionMask }) => ({ actionMask })],
  ['spans', from, ({ turns: { starts, ends }, actionMask }) => ({ spans: { starts, ends }, actionMask })],
  ['delimiters', longTurns, (of) => ({ tokens: delimited(of), delimiters: { open: OPEN, close: CLOSE } })],
];

const METHODS: Record<string, Estimator> = {
  a2tgpo: ESTIMATORS.a2tgpo,
  'turn-mean-token-mean': variant({ aggregate: 'turn-mean-token-mean' }),
  'sequence level': ESTIMATORS['sequence level'],
  'a bonus, a KL term': define({
    ...variant({ ratio: { level: 'turn', form: 'true' } }),
    name: 'both',
    kl: { coef: 0.02, estimator: 'k3' },
    entropy: { coef: 0.01 },
  }),
};

/** The batch in two phases, or with what the turns are found by. */
function batches(estimator: Estimator, of: Sample, source: Batch): { raw: Batch; known: Batch } {
  const turns: Turns = segmentTurns({ trajectoryOffsets: of.trajectoryOffsets, ...source } as never);
  const signals = signalsFor(estimator, { ...of, turns }) as Batch;
  if (turns.count !== of.turns.count) {
    signals.informationGain = Float64Array.from({ length: turns.count }, (_, k) =>
      turns.trajectory[k + 1] === turns.trajectory[k] ? Math.sin(k) : Number.NaN,
    );
  }
  const { logits, targets, trajectoryOffsets } = of;
  const common = { logits, targets, ...signals, ...lossArraysFor(estimator, of) };
  const { actionMask } = source;
  return {
    raw: { ...common, trajectoryOffsets, ...source },
    known: { ...common, turns, ...(actionMask ? { actionMask } : {}) },
  };
}

function expectSame(actual: Result, expected: Result): void {
  expect(actual.loss).toBe(expected.loss);
  expect(actual.metrics).toEqual(expected.metrics);
  for (const name of Object.keys(expected.grad)) expectSameBits(actual.grad[name], expected.grad[name], name);
  expectSameBits(actual.logProbs, expected.logProbs, 'logProbs');
}

describe.each(DEVICES)('%s', (device) => {
  describe.each(SOURCES)('turns by %s', (_, of, source) => {
    test.each(Object.entries(METHODS))('%s: the bits of two phases', async (__, estimator) => {
      const { raw, known } = batches(estimator, of, source(of));
      const expected = run(known, estimator, { device });
      expectSame(run(raw, estimator, { device }), expected);
      expectSame(await runLater(raw, estimator, { device }), expected);
      const deferred = { device, rowScale: 'deferred' };
      if (estimator.entropy === null) expectSame(run(raw, estimator, deferred), run(known, estimator, deferred));
    });
  });

  const estimator = ESTIMATORS.a2tgpo;
  const byIds = () => batches(estimator, from, { turnIds: from.turnIds, actionMask: from.actionMask });

  test('from log-probs', async () => {
    const { raw, known } = byIds();
    for (const batch of [raw, known]) {
      delete batch.logits;
      delete batch.targets;
      batch.logProbs = from.logProbs;
    }
    const expected = run(known, estimator, { device });
    expectSame(run(raw, estimator, { device }), expected);
    expectSame(await runLater(raw, estimator, { device }), expected);
  });

  test('advantages per turn, global denominators', () => {
    const { raw, known } = byIds();
    const credit = estimateAdvantages(
      {
        turns: known.turns,
        groups: from.groups,
        outcome: from.outcome,
        informationGain: from.informationGain,
      } as never,
      estimator,
    );
    const { advantages, clipScale } = credit;
    const given = ({ groups: _, outcome: __, informationGain: ___, ...rest }: Batch) => ({
      ...rest,
      advantages,
      clipScale,
    });
    expectSame(run(given(raw), estimator, { device }), run(given(known), estimator, { device }));
    const denominators = { tokens: 1000, turns: 200, sequences: 100, prompts: 50 };
    const options = { device };
    expectSame(run({ ...raw, denominators }, estimator, options), run({ ...known, denominators }, estimator, options));
  });

  test.each<[string, (batch: Batch) => unknown, object]>([
    [
      'an id below -1',
      (b) => (b.turnIds = from.turnIds.map((id, n) => (n === 4 ? -7 : id))),
      { code: 'ERR_TURNS', path: 'turnIds[4]', received: '-7' },
    ],
    [
      'a mask outside every turn',
      (b) => (b.turnIds = new Int32Array(from.tokens).fill(-1)),
      { code: 'ERR_TURNS', path: /^actionMask\[\d+\]$/ },
    ],
    [
      'a gain too few',
      (b) => (b.informationGain = (b.informationGain as Float64Array).slice(1)),
      { code: 'ERR_LENGTH', path: 'informationGain', expected: /the turns of the batch/ },
    ],
    [
      'a gain too many',
      (b) => (b.informationGain = Float64Array.of(...(b.informationGain as Float64Array), Number.NaN)),
      { code: 'ERR_LENGTH', path: 'informationGain' },
    ],
    [
      'a gain on a last turn',
      (b) => (b.informationGain as Float64Array).fill(0.5),
      { code: 'ERR_NO_EFFECT', path: /^informationGain\[/ },
    ],
    ['turns beside a source of them', (b) => (b.turns = from.turns), { code: 'ERR_NO_EFFECT', path: 'turnIds' }],
    ['two sources', (b) => (b.spans = { starts: [0], ends: [1] }), { code: 'ERR_NO_EFFECT', path: 'spans' }],
    ['no trajectories', (b) => delete b.trajectoryOffsets, { code: 'ERR_MISSING', path: 'trajectoryOffsets' }],
    [
      'denominators below what was found',
      (b) => (b.denominators = { tokens: 1, turns: 1, sequences: 1 }),
      { code: 'ERR_RANGE', path: 'denominators.tokens' },
    ],
    [
      'a target outside the vocabulary, where no mask says which count',
      (b) => {
        delete b.actionMask;
        b.turnIds = new Int32Array(from.tokens);
        b.trajectoryOffsets = Int32Array.of(0, from.tokens);
        b.groups = [0];
        b.outcome = [1];
        b.informationGain = [Number.NaN];
        b.targets = from.targets.map((target, n) => (n === 3 ? from.width : target));
      },
      { code: 'ERR_TARGET', path: 'targets[3]', received: String(from.width) },
    ],
  ])('%s', async (_, change, expected) => {
    const { path, ...rest } = expected as { path: string | RegExp };
    for (const form of [run, runLater]) {
      const { raw } = byIds();
      raw.informationGain = (raw.informationGain as Float64Array).slice();
      change(raw);
      const error = await (async () => form(raw, estimator, { device }))().then(
        () => expect.fail('it was fulfilled'),
        (reason: unknown) => reason as { path: string; code: string },
      );
      if (typeof path === 'string') expect(error.path).toBe(path);
      else expect(error.path).toMatch(path);
      await expectInvalidAsync(Promise.reject(error), { ...rest, path: error.path } as never);
    }
  });

  test('turns whose number nothing tells, and where they must be known', () => {
    const { raw } = byIds();
    const { informationGain: _, ...rest } = raw;
    const missing = { code: 'ERR_MISSING', path: 'turns' } as const;
    expectInvalid(() => run(rest, grpo(), { device }), { ...missing, expected: /nothing in the batch is per turn/ });
    const advantage = () => [1];
    expectInvalid(() => run(raw, estimator, { device, advantage }), { ...missing, expected: /beside advantage/ });
    const { groups: __, outcome: ___, ...tokens } = rest;
    const credit = estimateAdvantages(
      { turns: from.turns, groups: from.groups, outcome: from.outcome, informationGain: from.informationGain },
      estimator,
    );
    expectInvalid(() => run({ ...tokens, credit }, estimator, { device }), {
      ...missing,
      expected: /held against them/,
    });
  });
});
