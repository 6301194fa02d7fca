/** Wrong calls of policyLoss, in both forms: the same error, and no buffer written before it is thrown. */
import { describe } from 'vitest';
import { a2tgpo, estimateAdvantages, estimator, grpo, policyLoss, policyLossSync, Tensor, tensor } from '../../lib/index.js';
import { type CallRow, detached, testCalls } from '../support/error_table.js';
import { fromLogits, fromLogProbs, sample, signals } from '../support/sample.js';

const from = sample({ seed: 2, trajectories: 4, prompts: 2 });
const { tokens, width, turns } = from;
const count = turns.count;
/** A token in no turn. */
const observation = from.turnIds.indexOf(-1);
const A2TGPO = a2tgpo();

/** A fresh copy of every array: what one row writes must not reach the next. */
function fresh(batch: Record<string, unknown>): Record<string, unknown> {
  return structuredClone(batch);
}

const LOGITS: CallRow[] = [
  ['no logits and no logProbs', (b) => delete b.logits, { code: 'ERR_MISSING', path: 'logits', expected: 'either logits with targets, or logProbs', received: 'neither' }],
  ['logits and logProbs', (b) => (b.logProbs = from.logProbs), { code: 'ERR_NO_EFFECT', path: 'logits', received: 'both' }],
  ['no targets', (b) => delete b.targets, { code: 'ERR_MISSING', path: 'targets', expected: 'an Int32Array of token ids [N]', received: 'undefined' }],
  ['targets of null', (b) => (b.targets = null), { code: 'ERR_TYPE', path: 'targets', received: 'null' }],
  ['targets of another kind', (b) => (b.targets = new Float32Array(tokens)), { code: 'ERR_TYPE', path: 'targets', received: `Float32Array(${tokens})` }],
  ['logits of another kind', (b) => (b.logits = new Float64Array(tokens * width)), { code: 'ERR_TYPE', path: 'logits', received: `Float64Array(${tokens * width})` }],
  ['logits of bits without a dtype', (b) => (b.logits = new Uint16Array(tokens * width)), { code: 'ERR_TYPE', path: 'logits', expected: /tensor of dtype f32, bf16 or f16/ }],
  ['a tensor of integers', (b) => (b.logits = tensor(new Int32Array(tokens * width), [tokens, width])), { code: 'ERR_TYPE', path: 'logits', received: 'a tensor of dtype int32' }],
  ['logits that are no matrix of N rows', (b) => (b.logits = new Float32Array(tokens * width + 1)), { code: 'ERR_LENGTH', path: 'logits', received: `length ${tokens * width + 1}` }],
  ['a tensor of another shape', (b) => (b.logits = tensor(from.logits.slice(), [width, tokens])), { code: 'ERR_LENGTH', path: 'logits', received: `shape [${width}, ${tokens}]` }],
  ['a flat tensor', (b) => (b.logits = tensor(from.logits.slice(), [tokens * width])), { code: 'ERR_LENGTH', path: 'logits' }],
  ['empty logits', (b) => (b.logits = new Float32Array(0)), { code: 'ERR_LENGTH', path: 'logits' }],
  ['a target beyond the vocabulary', (b) => ((b.targets as Int32Array)[turns.starts[2]] = width), { code: 'ERR_TARGET', path: `targets[${turns.starts[2]}]`, expected: `a token id in [0, ${width}) (the vocabulary)`, received: String(width) }],
  ['a target of -100', (b) => ((b.targets as Int32Array)[turns.starts[0]] = -100), { code: 'ERR_TARGET', path: `targets[${turns.starts[0]}]`, received: '-100' }],
  ['targets that are no integers', (b) => (b.targets = Array.from(from.targets, (t) => t + 0.5)), { code: 'ERR_RANGE', path: 'targets[0]', expected: 'a 32-bit integer' }],
  ['detached logits', (b) => (b.logits = detached(from.logits)), { code: 'ERR_DETACHED', path: 'logits', received: /detached/ }],
  ['a detached tensor', (b) => (b.logits = detachedTensor()), { code: 'ERR_DETACHED', path: 'logits' }],
  ['detached targets', (b) => (b.targets = detached(from.targets)), { code: 'ERR_DETACHED', path: 'targets' }],
  ['detached oldLogProbs', (b) => (b.oldLogProbs = detached(from.oldLogProbs)), { code: 'ERR_DETACHED', path: 'oldLogProbs' }],
  ['a detached actionMask', (b) => (b.actionMask = detached(from.actionMask)), { code: 'ERR_DETACHED', path: 'actionMask' }],
  ['a detached outcome', (b) => (b.outcome = detached(from.outcome)), { code: 'ERR_DETACHED', path: 'outcome' }],
  ['a disposed tensor', (b) => (b.logits = disposed()), { code: 'ERR_DISPOSED', path: 'tensor', received: 'a disposed tensor' }],
  ['no oldLogProbs', (b) => delete b.oldLogProbs, { code: 'ERR_MISSING', path: 'oldLogProbs', expected: 'a Float32Array [N]', received: 'undefined' }],
  ['oldLogProbs of another length', (b) => (b.oldLogProbs = new Float32Array(tokens - 1)), { code: 'ERR_LENGTH', path: 'oldLogProbs', expected: `length ${tokens} ([N])`, received: `length ${tokens - 1}` }],
  ['oldLogProbs in float64', (b) => (b.oldLogProbs = new Float64Array(tokens)), { code: 'ERR_TYPE', path: 'oldLogProbs', received: `Float64Array(${tokens})` }],
  ['refLogProbs without a KL term', (b) => (b.refLogProbs = from.refLogProbs), { code: 'ERR_NO_EFFECT', path: 'refLogProbs', expected: /has no KL term/ }],
  ['a misspelled key', (b) => (b.actionmask = b.actionMask), { code: 'ERR_UNKNOWN_OPTION', path: 'actionmask', received: 'unknown option "actionmask", did you mean "actionMask"?' }],
  ['an option in the batch', (b) => (b.temperature = 1), { code: 'ERR_UNKNOWN_OPTION', path: 'temperature', received: /unknown option "temperature"/ }],
  ['an actionMask of another length', (b) => (b.actionMask = new Uint8Array(tokens + 1)), { code: 'ERR_LENGTH', path: 'actionMask' }],
  ['an actionMask of 2', (b) => ((b.actionMask as Uint8Array)[3] = 2), { code: 'ERR_RANGE', path: 'actionMask[3]', expected: '0 or 1', received: '2' }],
  ['an actionMask of other turns', (b) => (b.actionMask = new Uint8Array(tokens)), { code: 'ERR_TURNS', path: 'turns.tokens[0]', expected: '0 (the ones of actionMask in its span)' }],
  ['an actionMask that reaches outside the turns', (b) => ((b.actionMask as Uint8Array)[observation] = 1), { code: 'ERR_TURNS', path: `actionMask[${observation}]`, received: '1 in no turn' }],
  ['no actionMask though turns skip tokens', (b) => delete b.actionMask, { code: 'ERR_MISSING', path: 'actionMask', expected: /the actionMask that turns were made with/ }],
  ['trajectoryOffsets of other turns', (b) => (b.trajectoryOffsets = Int32Array.of(0, 1, 2, 3, tokens)), { code: 'ERR_TURNS', path: 'turns.starts[0]' }],
  ['trajectoryOffsets that decrease', (b) => (b.trajectoryOffsets = Int32Array.of(0, 3, 2, 5, tokens)), { code: 'ERR_OFFSETS', path: 'trajectoryOffsets[2]', expected: 'at least 3 (offsets never decrease)', received: '2' }],
  ['trajectoryOffsets that do not reach N', (b) => (b.trajectoryOffsets = Int32Array.of(0, tokens + 1)), { code: 'ERR_OFFSETS', path: 'trajectoryOffsets[1]', expected: `${tokens} (the number of tokens)` }],
  ['no turns', (b) => delete b.turns, { code: 'ERR_MISSING', path: 'turns' }],
  ['trajectories as turns where the estimator works on turns', (b) => { delete b.turns; b.trajectoryOffsets = from.trajectoryOffsets; }, { code: 'ERR_MISSING', path: 'turns', expected: 'turns: the estimator "a2tgpo" works on turns' }],
  ['no source of credit', (b) => { delete b.groups; delete b.outcome; delete b.informationGain; }, { code: 'ERR_MISSING', path: 'credit', received: 'none' }],
  ['two sources of credit', (b) => (b.advantages = new Float64Array(count)), { code: 'ERR_NO_EFFECT', path: 'groups', received: 'advantages and groups' }],
  ['denominators that are no counts', (b) => (b.denominators = { tokens: -1, turns: 1, sequences: 1 }), { code: 'ERR_RANGE', path: 'denominators.tokens', expected: 'an integer of at least 0', received: '-1' }],
  ['a temperature of 0', (_, o) => (o.temperature = 0), { code: 'ERR_RANGE', path: 'options.temperature', expected: 'a finite number greater than 0', received: '0' }],
  ['a temperature of -1', (_, o) => (o.temperature = -1), { code: 'ERR_RANGE', path: 'options.temperature', received: '-1' }],
  ['a temperature of NaN', (_, o) => (o.temperature = Number.NaN), { code: 'ERR_RANGE', path: 'options.temperature', received: 'NaN' }],
  ['an infinite temperature', (_, o) => (o.temperature = Number.POSITIVE_INFINITY), { code: 'ERR_RANGE', path: 'options.temperature', received: 'Infinity' }],
  ['a temperature in words', (_, o) => (o.temperature = '1'), { code: 'ERR_TYPE', path: 'options.temperature', received: '"1"' }],
  ['a gradScale of NaN', (_, o) => (o.gradScale = Number.NaN), { code: 'ERR_RANGE', path: 'options.gradScale' }],
  ['a misspelled option', (_, o) => (o.inplace = true), { code: 'ERR_UNKNOWN_OPTION', path: 'options.inplace', received: 'unknown option "inplace", did you mean "inPlace"?' }],
  ['inPlace of 1', (_, o) => (o.inPlace = 1), { code: 'ERR_TYPE', path: 'options.inPlace', expected: 'a boolean', received: '1' }],
  ['another rowScale', (_, o) => (o.rowScale = 'defered'), { code: 'ERR_RANGE', path: 'options.rowScale', message: /Did you mean "deferred"\?/ }],
  ['another nonFinite', (_, o) => (o.nonFinite = 'ignore'), { code: 'ERR_RANGE', path: 'options.nonFinite', expected: '"throw", "check-first" or "propagate"' }],
  ['another device', (_, o) => (o.device = 'gpu'), { code: 'ERR_RANGE', path: 'device', expected: '"auto", "cpu", "cuda" or "reference"', received: '"gpu"' }],
  ['inPlace and out', (b, o) => { o.inPlace = true; o.out = { logits: Tensor.alloc([tokens, width], 'f32') }; b.logits = Tensor.alloc([tokens, width], 'f32'); }, { code: 'ERR_NO_EFFECT', path: 'out.logits', received: 'both' }],
  ['out of another dtype', (_, o) => (o.out = { logits: Tensor.alloc([tokens, width], 'bf16') }), { code: 'ERR_TYPE', path: 'out.logits', expected: 'dtype f32 (that of logits)', received: 'dtype bf16' }],
  ['out of another length', (_, o) => (o.out = { logits: Tensor.alloc([tokens], 'f32') }), { code: 'ERR_LENGTH', path: 'out.logits' }],
  ['an empty out', (_, o) => (o.out = {}), { code: 'ERR_MISSING', path: 'out.logits' }],
  ['out for log-probs', (_, o) => (o.out = { logits: Tensor.alloc([tokens, width], 'f32'), logProbs: new Float32Array(tokens) }), { code: 'ERR_UNKNOWN_OPTION', path: 'out.logProbs', message: /The batch has logits/ }],
  ['a detached out', (_, o) => (o.out = { logits: detached(from.logits) }), { code: 'ERR_DETACHED', path: 'out.logits' }],
  ['out on top of the logits', (b, o) => overlap(b, o, 0), { code: 'ERR_OVERLAP', path: 'out.logits' }],
  ['out one element behind the logits', (b, o) => overlap(b, o, 1), { code: 'ERR_OVERLAP', path: 'out.logits', received: 'a view that overlaps logits' }],
];

/** Logits and out in one SharedArrayBuffer, which both forms of a call take. */
function overlap(batch: Record<string, unknown>, options: Record<string, unknown>, shift: number): void {
  const shared = new Float32Array(new SharedArrayBuffer(4 * (tokens * width + 1)));
  batch.logits = shared.subarray(0, tokens * width);
  options.out = { logits: shared.subarray(shift, shift + tokens * width) };
}

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

const LOG_PROBS: CallRow[] = [
  ['targets beside logProbs', (b) => (b.targets = from.targets), { code: 'ERR_NO_EFFECT', path: 'targets', expected: /gathered already/ }],
  ['logProbs in float64', (b) => (b.logProbs = new Float64Array(tokens)), { code: 'ERR_TYPE', path: 'logProbs' }],
  ['logProbs of a number', (b) => (b.logProbs = 3), { code: 'ERR_TYPE', path: 'logProbs', received: '3' }],
  ['detached logProbs', (b) => (b.logProbs = detached(from.logProbs)), { code: 'ERR_DETACHED', path: 'logProbs' }],
  ['a temperature', (_, o) => (o.temperature = 1), { code: 'ERR_UNKNOWN_OPTION', path: 'options.temperature', message: /belong to logits/ }],
  ['inPlace', (_, o) => (o.inPlace = true), { code: 'ERR_UNKNOWN_OPTION', path: 'options.inPlace', message: /belong to logits/ }],
  ['rowScale', (_, o) => (o.rowScale = 'deferred'), { code: 'ERR_UNKNOWN_OPTION', path: 'options.rowScale' }],
  ['out of another length', (_, o) => (o.out = { logProbs: new Float32Array(1) }), { code: 'ERR_LENGTH', path: 'out.logProbs' }],
  ['out for logits', (_, o) => (o.out = { logits: new Float32Array(1), logProbs: shared(tokens) }), { code: 'ERR_UNKNOWN_OPTION', path: 'out.logits', message: /The batch has logProbs/ }],
  ['advantages of another length', (b) => (b.advantages = new Float64Array(count + 1)), { code: 'ERR_LENGTH', path: 'advantages', expected: `length ${count} (turns) or ${tokens} (tokens)` }],
  ['advantages of another level', (b) => (b.advantageLevel = 'token'), { code: 'ERR_LENGTH', path: 'advantages', expected: `length ${tokens} (advantageLevel "token")` }],
  ['another advantageLevel', (b) => (b.advantageLevel = 'sequence'), { code: 'ERR_RANGE', path: 'advantageLevel', expected: '"turn" or "token"' }],
  ['an advantage of NaN', (b) => ((b.advantages as Float64Array)[2] = Number.NaN), { code: 'ERR_NON_FINITE', path: 'advantages[2]', expected: 'a finite number', received: 'NaN' }],
  ['a clipScale of Infinity', (b) => ((b.clipScale as Float64Array)[1] = Number.POSITIVE_INFINITY), { code: 'ERR_NON_FINITE', path: 'clipScale[1]' }],
  ['a clipScale below 0', (b) => ((b.clipScale as Float64Array)[1] = -0.5), { code: 'ERR_RANGE', path: 'clipScale[1]', received: '-0.5' }],
  ['a clipScale of another length', (b) => (b.clipScale = new Float64Array(count - 1)), { code: 'ERR_LENGTH', path: 'clipScale', expected: `length ${count} (like advantages)` }],
  ['a signal beside given advantages', (b) => (b.outcome = from.outcome), { code: 'ERR_UNKNOWN_OPTION', path: 'outcome' }],
  ['no refLogProbs for a KL term', (b) => delete b.refLogProbs, { code: 'ERR_MISSING', path: 'refLogProbs', expected: /has a KL term/ }],
  ['refLogProbs of another length', (b) => (b.refLogProbs = new Float32Array(1)), { code: 'ERR_LENGTH', path: 'refLogProbs' }],
];

function shared(length: number): Float32Array {
  return new Float32Array(new SharedArrayBuffer(4 * length));
}

const GRPO = grpo({ kl: { coef: 0.1, estimator: 'k2' } });
const CREDIT = estimateAdvantages({ turns, ...signals(from) }, A2TGPO);

const WITH_CREDIT: CallRow[] = [
  ['a credit of plain data', (b) => (b.credit = { ...CREDIT }), { code: 'ERR_TYPE', path: 'credit', expected: 'a Credit from estimateAdvantages' }],
  ['a credit of other turns', (b) => (b.credit = CREDIT.slice([0, 1])), { code: 'ERR_LENGTH', path: 'turns.count', message: /credit\.slice/ }],
  ['a credit in another order', (b) => (b.credit = CREDIT.slice([3, 2, 1, 0])), { code: 'ERR_TURNS', path: 'turns.trajectory[2]', expected: /the credit's turn 2/ }],
  ['denominators beside credit', (b) => (b.denominators = CREDIT.denominators), { code: 'ERR_UNKNOWN_OPTION', path: 'denominators' }],
  ['credit and signals', (b) => (b.groups = from.groups), { code: 'ERR_NO_EFFECT', path: 'groups', received: 'credit and groups' }],
  ['clipScale beside credit', (b) => (b.clipScale = CREDIT.clipScale), { code: 'ERR_UNKNOWN_OPTION', path: 'clipScale' }],
];

const OTHER = estimator({ ...A2TGPO, name: 'other', gate: { ...A2TGPO.gate, adapt: null } });
const BETA: CallRow[] = [
  ['a credit of another phase A', (b) => (b.credit = CREDIT), { code: 'ERR_ESTIMATOR', path: 'estimator.gate.adapt', received: 'a different one' }],
];
const CHANNELS: CallRow[] = [
  ['a credit of other channels', (b) => (b.credit = CREDIT), { code: 'ERR_ESTIMATOR', path: 'estimator.channels' }],
];

const loss = policyLossSync as (batch: unknown, estimator: unknown, options: unknown) => unknown;
const lossLater = policyLoss as (batch: unknown, estimator: unknown, options: unknown) => Promise<unknown>;

describe.each([
  ['policyLossSync', (given: unknown) => (b: unknown, o: unknown) => loss(b, given, o)],
  ['policyLoss', (given: unknown) => async (b: unknown, o: unknown) => lossLater(b, given, o)],
] as const)('%s', (_, runOf) => {
  const options = () => ({ device: 'cpu' });
  const given = { advantages: new Float64Array(count), clipScale: new Float64Array(count) };
  const logProbs = () => fresh({ ...fromLogProbs(from), refLogProbs: from.refLogProbs, ...given });
  const withCredit = (credit: unknown) => () => ({ ...fresh(fromLogProbs(from)), credit });
  const otherCredit = estimateAdvantages({ turns, ...signals(from) }, OTHER);
  const grpoCredit = estimateAdvantages({ turns, groups: from.groups, outcome: from.outcome }, grpo());

  describe('from logits', () => {
    testCalls(LOGITS, { batch: () => fresh({ ...fromLogits(from), ...signals(from) }), options, run: runOf(A2TGPO) });
  });
  describe('from log-probs with advantages', () => testCalls(LOG_PROBS, { batch: logProbs, options, run: runOf(GRPO) }));
  describe('with credit', () => testCalls(WITH_CREDIT, { batch: withCredit(CREDIT), options, run: runOf(A2TGPO) }));
  describe('with another adapt', () => testCalls(BETA, { batch: withCredit(otherCredit), options, run: runOf(OTHER) }));
  describe('with other channels', () => testCalls(CHANNELS, { batch: withCredit(grpoCredit), options, run: runOf(grpo()) }));
});
