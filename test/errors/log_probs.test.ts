/** Wrong batches from log-probs, with given advantages and with credit, in both forms of the call. */
import { describe } from 'vitest';
import { a2tgpo, estimateAdvantages, estimator, grpo } from '../../lib/index.js';
import { type CallRow, detached, LOSS_FORMS, testCalls } from '../support/error_table.js';
import { fromLogProbs, sample, signals } from '../support/sample.js';

const from = sample({ seed: 2, trajectories: 4, prompts: 2 });
const { tokens, turns } = from;
const { count } = turns;
const A2TGPO = a2tgpo();

const LOG_PROBS: CallRow[] = [
  [
    'targets beside logProbs',
    (b) => (b.targets = from.targets),
    { code: 'ERR_NO_EFFECT', path: 'targets', expected: /gathered already/ },
  ],
  ['logProbs in float64', (b) => (b.logProbs = new Float64Array(tokens)), { code: 'ERR_TYPE', path: 'logProbs' }],
  ['logProbs of a number', (b) => (b.logProbs = 3), { code: 'ERR_TYPE', path: 'logProbs', received: '3' }],
  ['detached logProbs', (b) => (b.logProbs = detached(from.logProbs)), { code: 'ERR_DETACHED', path: 'logProbs' }],
  [
    'a temperature',
    (_, o) => (o.temperature = 1),
    { code: 'ERR_UNKNOWN_OPTION', path: 'options.temperature', message: /belong to logits/ },
  ],
  [
    'inPlace',
    (_, o) => (o.inPlace = true),
    { code: 'ERR_UNKNOWN_OPTION', path: 'options.inPlace', message: /belong to logits/ },
  ],
  ['rowScale', (_, o) => (o.rowScale = 'deferred'), { code: 'ERR_UNKNOWN_OPTION', path: 'options.rowScale' }],
  [
    'out of another length',
    (_, o) => (o.out = { logProbs: new Float32Array(1) }),
    { code: 'ERR_LENGTH', path: 'out.logProbs' },
  ],
  [
    'out for logits',
    (_, o) => (o.out = { logits: new Float32Array(1), logProbs: shared(tokens) }),
    { code: 'ERR_UNKNOWN_OPTION', path: 'out.logits', message: /The batch has logProbs/ },
  ],
  [
    'advantages of another length',
    (b) => (b.advantages = new Float64Array(count + 1)),
    { code: 'ERR_LENGTH', path: 'advantages', expected: `length ${count} (turns) or ${tokens} (tokens)` },
  ],
  [
    'advantages of another level',
    (b) => (b.advantageLevel = 'token'),
    { code: 'ERR_LENGTH', path: 'advantages', expected: `length ${tokens} (advantageLevel "token")` },
  ],
  [
    'another advantageLevel',
    (b) => (b.advantageLevel = 'sequence'),
    { code: 'ERR_RANGE', path: 'advantageLevel', expected: '"turn" or "token"' },
  ],
  [
    'an advantage of NaN',
    (b) => ((b.advantages as Float64Array)[2] = Number.NaN),
    { code: 'ERR_NON_FINITE', path: 'advantages[2]', expected: 'a finite number', received: 'NaN' },
  ],
  [
    'a clipScale of Infinity',
    (b) => ((b.clipScale as Float64Array)[1] = Number.POSITIVE_INFINITY),
    { code: 'ERR_NON_FINITE', path: 'clipScale[1]' },
  ],
  [
    'a clipScale below 0',
    (b) => ((b.clipScale as Float64Array)[1] = -0.5),
    { code: 'ERR_RANGE', path: 'clipScale[1]', received: '-0.5' },
  ],
  [
    'a clipScale of another length',
    (b) => (b.clipScale = new Float64Array(count - 1)),
    { code: 'ERR_LENGTH', path: 'clipScale', expected: `length ${count} (like advantages)` },
  ],
  [
    'a signal beside given advantages',
    (b) => (b.outcome = from.outcome),
    { code: 'ERR_UNKNOWN_OPTION', path: 'outcome' },
  ],
  [
    'no refLogProbs for a KL term',
    (b) => delete b.refLogProbs,
    { code: 'ERR_MISSING', path: 'refLogProbs', expected: /has a KL term/ },
  ],
  [
    'refLogProbs of another length',
    (b) => (b.refLogProbs = new Float32Array(1)),
    { code: 'ERR_LENGTH', path: 'refLogProbs' },
  ],
];

function shared(length: number): Float32Array {
  return new Float32Array(new SharedArrayBuffer(4 * length));
}

const GRPO = grpo({ kl: { coef: 0.1, estimator: 'k2' } });
const CREDIT = estimateAdvantages({ turns, ...signals(from) }, A2TGPO);

/** What a2tgpo asks of given advantages and of the layout, and grpo does not. */
const BY_TURN: CallRow[] = [
  [
    'no clipScale where the clip range adapts',
    (b) => delete b.clipScale,
    { code: 'ERR_MISSING', path: 'clipScale', expected: /adapts its clip range/ },
  ],
  [
    'trajectories as turns',
    (b) => {
      delete b.turns;
      delete b.actionMask;
      b.trajectoryOffsets = from.trajectoryOffsets;
    },
    { code: 'ERR_MISSING', path: 'turns', expected: /"a2tgpo"/ },
  ],
  [
    'denominators below the own counts',
    (b) => (b.denominators = { tokens: 1, turns: 1, sequences: 1 }),
    { code: 'ERR_RANGE', path: 'denominators.tokens', expected: /an integer of at least \d+/, received: '1' },
  ],
];

const WITH_CREDIT: CallRow[] = [
  [
    'a credit of plain data',
    (b) => (b.credit = { ...CREDIT }),
    { code: 'ERR_TYPE', path: 'credit', expected: 'a Credit from estimateAdvantages' },
  ],
  [
    'a credit of other turns',
    (b) => (b.credit = CREDIT.slice([0, 1])),
    { code: 'ERR_LENGTH', path: 'turns.count', message: /credit\.slice/ },
  ],
  [
    'a credit in another order',
    (b) => (b.credit = CREDIT.slice([3, 2, 1, 0])),
    { code: 'ERR_TURNS', path: 'turns.trajectory[2]', expected: /the credit's turn 2/ },
  ],
  [
    'denominators beside credit',
    (b) => (b.denominators = CREDIT.denominators),
    { code: 'ERR_UNKNOWN_OPTION', path: 'denominators' },
  ],
  [
    'credit and signals',
    (b) => (b.groups = from.groups),
    { code: 'ERR_NO_EFFECT', path: 'groups', received: 'credit and groups' },
  ],
  [
    'clipScale beside credit',
    (b) => (b.clipScale = CREDIT.clipScale),
    { code: 'ERR_UNKNOWN_OPTION', path: 'clipScale' },
  ],
];

const OTHER = estimator({ ...A2TGPO, name: 'other', gate: { kind: 'ppo', low: 0.003, high: 0.004 } });
const BETA: CallRow[] = [
  [
    'a credit of another phase A',
    (b) => (b.credit = CREDIT),
    { code: 'ERR_ESTIMATOR', path: 'estimator.gate.adapt', received: 'a different one' },
  ],
];
const CHANNELS: CallRow[] = [
  ['a credit of other channels', (b) => (b.credit = CREDIT), { code: 'ERR_ESTIMATOR', path: 'estimator.channels' }],
];

describe.each(LOSS_FORMS)('%s', (_, run) => {
  const call = (estimator: unknown, batch: () => Record<string, unknown>) => ({
    batch,
    options: () => ({ device: 'cpu' }),
    run: (given: unknown, options: unknown) => run(given, estimator, options),
  });
  const advantages = { advantages: new Float64Array(count), clipScale: new Float64Array(count) };
  const withAdvantages = () => structuredClone({ ...fromLogProbs(from), refLogProbs: from.refLogProbs, ...advantages });
  const withCredit = (credit: unknown) => () => ({ ...structuredClone(fromLogProbs(from)), credit });
  const otherCredit = estimateAdvantages({ turns, ...signals(from) }, OTHER);
  const grpoCredit = estimateAdvantages({ turns, groups: from.groups, outcome: from.outcome }, grpo());

  describe('with advantages', () => testCalls(LOG_PROBS, call(GRPO, withAdvantages)));
  describe('with advantages by turn', () => {
    const byTurn = () => structuredClone({ ...fromLogProbs(from), ...advantages });
    testCalls(BY_TURN, call(A2TGPO, byTurn));
  });
  describe('with credit', () => testCalls(WITH_CREDIT, call(A2TGPO, withCredit(CREDIT))));
  describe('with another adapt', () => testCalls(BETA, call(OTHER, withCredit(otherCredit))));
  describe('with other channels', () => testCalls(CHANNELS, call(grpo(), withCredit(grpoCredit))));
});
