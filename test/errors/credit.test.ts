/** Wrong calls of estimateAdvantages, fromRows, slice, sumDenominators; wrong estimators, presets, tensors, settings. */
import { describe, expect, test } from 'vitest';
import {
  a2tgpo,
  configure,
  type CreditRows,
  type EstimateAdvantagesInput,
  estimateAdvantages,
  estimator,
  grpo,
  policyLossSync,
  sumDenominators,
  Tensor,
  tensor,
} from '../../lib/index.js';
import { DEVICES } from '../support/backends.js';
import { expectInvalid } from '../support/errors.js';
import { type CallRow, type Row, testCalls, testErrors } from '../support/error_table.js';
import { fromLogProbs, sample, signals } from '../support/sample.js';

const any = (value: unknown) => value as never;
const from = sample({ seed: 4, trajectories: 4, prompts: 2 });
const { count } = from.turns;
const lastTurn = count - 1;

describe('estimateAdvantages', () => {
  const rows: CallRow[] = [
    ['no groups', (b) => delete b.groups, { code: 'ERR_MISSING', path: 'groups', expected: 'prompt ids [M]' }],
    ['groups of fewer trajectories', (b) => (b.groups = [1, 2]), { code: 'ERR_LENGTH', path: 'groups', expected: 'length of at least 4 (turns.trajectory)' }],
    ['groups of more than the offsets', (b) => { b.groups = [1, 2, 3, 4, 5]; b.trajectoryOffsets = from.trajectoryOffsets; }, { code: 'ERR_LENGTH', path: 'groups', expected: 'length 4 ([M])' }],
    ['prompt ids that are words', (b) => (b.groups = ['a', 'a', 'b', 'b']), { code: 'ERR_RANGE', path: 'groups[0]', received: '"a"' }],
    ['no outcome', (b) => delete b.outcome, { code: 'ERR_MISSING', path: 'outcome', expected: 'numbers [M]' }],
    ['an outcome of Infinity', (b) => ((b.outcome as Float64Array)[2] = Number.POSITIVE_INFINITY), { code: 'ERR_NON_FINITE', path: 'outcome[2]', expected: 'a finite number, or NaN for no signal' }],
    ['outcomes per turn', (b) => (b.outcome = new Float64Array(count)), { code: 'ERR_LENGTH', path: 'outcome', expected: 'length 4 ([M])' }],
    ['gains per trajectory', (b) => (b.informationGain = new Float64Array(4)), { code: 'ERR_LENGTH', path: 'informationGain', expected: `length ${count} ([K])` }],
    ['a gain on a last turn', (b) => ((b.informationGain as Float64Array)[lastTurn] = 0), { code: 'ERR_NO_EFFECT', path: `informationGain[${lastTurn}]`, expected: /NaN on the last turn/, received: '0', message: /Trajectory 3.*lastTurn: "signal"/ }],
    ['a signal that is not used', (b) => (b.turnRewards = from.turnRewards), { code: 'ERR_NO_EFFECT', path: 'turnRewards', expected: 'no turnRewards: the estimator "a2tgpo" does not use it' }],
    ['ids that repeat', (b) => (b.trajectoryIds = [1, 2, 2, 3]), { code: 'ERR_RANGE', path: 'trajectoryIds[2]', expected: 'a unique integer', received: '2' }],
    ['ids that are no integers', (b) => (b.trajectoryIds = [1, 2.5, 3, 4]), { code: 'ERR_RANGE', path: 'trajectoryIds[1]' }],
    ['fewer ids', (b) => (b.trajectoryIds = [1, 2]), { code: 'ERR_LENGTH', path: 'trajectoryIds' }],
    ['a misspelled key', (b) => (b.infoGain = b.informationGain), { code: 'ERR_UNKNOWN_OPTION', path: 'infoGain' }],
    ['a misspelled option', (_, o) => (o.devices = 'cpu'), { code: 'ERR_UNKNOWN_OPTION', path: 'options.devices', received: /did you mean "device"\?/ }],
  ];
  testCalls(rows, {
    batch: () => structuredClone({ turns: { ...from.turns }, ...signals(from) }),
    options: () => ({}),
    run: (batch, options) => estimateAdvantages(any(batch), a2tgpo(), options),
  });

  test.each(DEVICES)('a group of one with singleton "throw" (%s)', (device) => {
    const alone = { turns: from.turns, ...signals(from), groups: [1, 1, 1, 2] };
    const expected = { code: 'ERR_SINGLETON', path: 'groups', message: /at least two members.*a group of one/ } as const;
    expectInvalid(() => estimateAdvantages(alone, a2tgpo({ singleton: 'throw' }), { device }), expected);
    const batch = { ...fromLogProbs(from), ...signals(from), groups: alone.groups };
    expectInvalid(() => policyLossSync(batch, a2tgpo({ singleton: 'throw' }), { device }), expected);
  });
});

describe('credit', () => {
  const credit = estimateAdvantages({ turns: from.turns, ...signals(from) }, a2tgpo());
  const row = { id: 1, group: 0, outcome: 1, index: [0], tokens: [3], turnRewards: null, informationGain: [null] };
  const merge = (...trajectories: unknown[]) => () => estimateAdvantages.fromRows(any({ version: 1, trajectories }), a2tgpo());
  const rows: Row[] = [
    ['a slice of an unknown trajectory', () => credit.slice([0, 9]), { code: 'ERR_RANGE', path: 'trajectories[1]', expected: 'the id of one of the 4 trajectories', received: '9' }],
    ['a slice of a trajectory twice', () => credit.slice([2, 2]), { code: 'ERR_RANGE', path: 'trajectories[1]', expected: 'each trajectory once' }],
    ['a slice of words', () => credit.slice(any('all')), { code: 'ERR_TYPE', path: 'trajectories' }],
    ['rows of another version', () => estimateAdvantages.fromRows(any({ version: 2, trajectories: [] }), a2tgpo()), { code: 'ERR_RANGE', path: 'rows[0].version' }],
    ['rows without trajectories', () => estimateAdvantages.fromRows(any({ version: 1 }), a2tgpo()), { code: 'ERR_TYPE', path: 'rows[0].trajectories', expected: 'an array' }],
    ['rows of null', () => estimateAdvantages.fromRows(any([null]), a2tgpo()), { code: 'ERR_TYPE', path: 'rows[0]', received: 'null' }],
    ['one id with two contents', merge(row, { ...row, outcome: 0 }), { code: 'ERR_RANGE', path: 'rows', received: 'two that differ', message: /trajectoryIds/ }],
    ['a row without a signal that is needed', merge({ ...row, informationGain: null }), { code: 'ERR_MISSING', path: 'rows: trajectory 1, informationGain' }],
    ['a row of fewer tokens', merge({ ...row, tokens: [] }), { code: 'ERR_TYPE', path: 'rows[0].trajectories[0].tokens', expected: 'an array of 1 counts' }],
    ['a row of a negative index', merge({ ...row, index: [-1] }), { code: 'ERR_TYPE', path: 'rows[0].trajectories[0].index' }],
    ['a row of two gains', merge({ ...row, informationGain: [null, 1] }), { code: 'ERR_TYPE', path: 'rows[0].trajectories[0].informationGain', expected: 'null, or an array of 1 numbers or nulls' }],
    ['a row with a field too many', merge({ ...row, reward: 1 }), { code: 'ERR_UNKNOWN_OPTION', path: 'rows[0].trajectories[0].reward' }],
    ['a row of id 0.5', merge({ ...row, id: 0.5 }), { code: 'ERR_RANGE', path: 'rows[0].trajectories[0].id' }],
    ['denominators that are no array', () => sumDenominators(any({ tokens: 1 })), { code: 'ERR_TYPE', path: 'parts', expected: 'an array of denominators' }],
    ['denominators without turns', () => sumDenominators([any({ tokens: 1, sequences: 1 })]), { code: 'ERR_MISSING', path: 'parts[0].turns' }],
    ['denominators of 0.5', () => sumDenominators([{ tokens: 0.5, turns: 1, sequences: 1 }]), { code: 'ERR_RANGE', path: 'parts[0].tokens' }],
    ['denominators with a field too many', () => sumDenominators([any({ tokens: 1, turns: 1, sequences: 1, groups: 1 })]), { code: 'ERR_UNKNOWN_OPTION', path: 'parts[0].groups' }],
  ];
  testErrors(rows);

  test('rows are an error of the estimator that needs more than they have', () => {
    const outcomes = estimateAdvantages({ turns: from.turns, groups: from.groups, outcome: from.outcome }, grpo());
    const rows: CreditRows = outcomes.rows();
    expect(rows.trajectories).toHaveLength(4);
    expectInvalid(() => estimateAdvantages.fromRows(rows, a2tgpo()), { code: 'ERR_MISSING', path: 'rows: trajectory 0, informationGain' });
  });
});

describe('presets and estimators', () => {
  const base = a2tgpo();
  const make = (change: Record<string, unknown>) => () => estimator(any({ ...base, ...change }));
  const channel = (change: Record<string, unknown>) => make({ gate: { kind: 'ppo', low: 0.1, high: 0.1 }, channels: [{ ...base.channels[0], ...change }] });
  const outcome = grpo().channels[0];
  const rows: Row[] = [
    ['cliprange for clip', () => a2tgpo(any({ cliprange: [1, 2] })), { code: 'ERR_UNKNOWN_OPTION', path: 'cliprange', received: 'unknown option "cliprange", did you mean "clip"?' }],
    ['clip.low of 2', () => grpo({ clip: [2, 0.1] }), { code: 'ERR_RANGE', path: 'clip.low', expected: 'a number in [0, 1]', received: '2' }],
    ['clip.high of -1', () => grpo({ clip: [0.1, -1] }), { code: 'ERR_RANGE', path: 'clip.high', expected: 'a finite number of at least 0' }],
    ['clip of a number', () => grpo({ clip: any(0.2) }), { code: 'ERR_TYPE', path: 'clip', expected: 'a pair [low, high]' }],
    ['clip of three', () => grpo({ clip: any([1, 2, 3]) }), { code: 'ERR_TYPE', path: 'clip', received: 'an array of 3' }],
    ['another mode', () => a2tgpo({ mode: any('turn_group') }), { code: 'ERR_RANGE', path: 'mode', message: /Did you mean "turn-group"\?/ }],
    ['alpha in a mode without it', () => a2tgpo({ mode: 'joint', alpha: 0.3 }), { code: 'ERR_NO_EFFECT', path: 'alpha', expected: 'mode "turn-group-v1d"', received: 'alpha with mode "joint"' }],
    ['beta in a mode without it', () => a2tgpo({ mode: 'separate', beta: 0.3 }), { code: 'ERR_NO_EFFECT', path: 'beta' }],
    ['gamma of 1.5', () => a2tgpo({ gamma: 1.5 }), { code: 'ERR_RANGE', path: 'gamma', expected: 'a number in [0, 1]' }],
    ['gamma of NaN', () => a2tgpo({ gamma: Number.NaN }), { code: 'ERR_RANGE', path: 'gamma', received: 'NaN' }],
    ['eps with scale none', () => grpo({ scale: 'none', eps: 1e-6 }), { code: 'ERR_UNKNOWN_OPTION', path: 'eps', message: /eps has no effect with scale "none"/ }],
    ['a dual of 1', () => grpo({ dual: 1 }), { code: 'ERR_RANGE', path: 'dual', expected: 'a finite number greater than 1', received: '1' }],
    ['an aggregate that does not exist', () => grpo({ aggregate: any('mean') }), { code: 'ERR_RANGE', path: 'aggregate' }],
    ['a horizon of 0', () => grpo({ aggregate: { kind: 'seq-mean-token-sum-norm', horizon: 0 } }), { code: 'ERR_RANGE', path: 'aggregate.horizon' }],
    ['a horizon without its aggregate', () => grpo({ aggregate: any({ kind: 'token-mean', horizon: 3 }) }), { code: 'ERR_RANGE', path: 'aggregate.kind' }],
    ['a KL coefficient of 0', () => grpo({ kl: { coef: 0, estimator: 'k1' } }), { code: 'ERR_RANGE', path: 'kl.coef', expected: 'a finite number greater than 0' }],
    ['a clamp that only k3 has', () => grpo({ kl: any({ coef: 1, estimator: 'k1', valueClamp: 3 }) }), { code: 'ERR_UNKNOWN_OPTION', path: 'kl.valueClamp' }],
    ['an estimator of null', () => estimator(any(null)), { code: 'ERR_TYPE', path: 'estimator', received: 'null' }],
    ['no estimator', () => policyLossSync(any({}), any(undefined)), { code: 'ERR_MISSING', path: 'estimator', expected: 'an object' }],
    ['no name', make({ name: undefined }), { code: 'ERR_MISSING', path: 'name', expected: 'a non-empty string' }],
    ['an empty name', make({ name: '' }), { code: 'ERR_TYPE', path: 'name' }],
    ['another version', make({ version: 2 }), { code: 'ERR_RANGE', path: 'version', expected: 'an integer in [1, 1]', received: '2' }],
    ['an unknown stage', make({ whiten: true }), { code: 'ERR_UNKNOWN_OPTION', path: 'whiten' }],
    ['no channels', make({ channels: undefined }), { code: 'ERR_MISSING', path: 'channels' }],
    ['an empty list of channels', make({ channels: [] }), { code: 'ERR_TYPE', path: 'channels', expected: 'an array of 1 to 8 channels' }],
    ['nine channels', make({ channels: new Array(9).fill(outcome), gate: { kind: 'ppo', low: 0, high: 0 } }), { code: 'ERR_TYPE', path: 'channels', received: 'an array of 9' }],
    ['a form at token level', make({ ratio: { level: 'token', form: 'true' } }), { code: 'ERR_UNKNOWN_OPTION', path: 'ratio.form' }],
    ['no form at turn level', make({ ratio: { level: 'turn' } }), { code: 'ERR_MISSING', path: 'ratio.form' }],
    ['a clamp upside down', make({ ratio: { level: 'token', clamp: { low: 1, high: 2 } } }), { code: 'ERR_RANGE', path: 'ratio.clamp.low', expected: 'a finite number of at most 0' }],
    ['a gate that does not exist', make({ gate: { kind: 'cispo', low: 0, high: 0 } }), { code: 'ERR_RANGE', path: 'gate.kind', expected: '"ppo"' }],
    ['an adapt of a signal that is no channel', make({ gate: { ...base.gate, adapt: { signal: 'turn-reward', beta: 0.1 } } }), { code: 'ERR_ESTIMATOR', path: 'gate.adapt.signal', received: '"turn-reward"' }],
    ['a beta of 2', make({ gate: { ...base.gate, adapt: { signal: 'information-gain', beta: 2 } } }), { code: 'ERR_RANGE', path: 'gate.adapt.beta' }],
    ['an unknown signal', channel({ signal: { kind: 'turn-rewards' } }), { code: 'ERR_RANGE', path: 'channels[0].signal.kind', message: /Did you mean "turn-reward"\?/ }],
    ['a lastTurn of a turn reward', channel({ signal: { kind: 'turn-reward', lastTurn: 'signal' } }), { code: 'ERR_UNKNOWN_OPTION', path: 'channels[0].signal.lastTurn' }],
    ['a ddof of 2', channel({ scale: { kind: 'std', ddof: 2, eps: 0 } }), { code: 'ERR_RANGE', path: 'channels[0].scale.ddof' }],
    ['an eps of no scale', channel({ scale: { kind: 'none', eps: 0 } }), { code: 'ERR_UNKNOWN_OPTION', path: 'channels[0].scale.eps' }],
    ['a gamma of no accumulation', channel({ accumulate: { kind: 'none', gamma: 1 } }), { code: 'ERR_UNKNOWN_OPTION', path: 'channels[0].accumulate.gamma' }],
    ['an infinite weight', channel({ weight: Number.POSITIVE_INFINITY }), { code: 'ERR_RANGE', path: 'channels[0].weight' }],
    ['half a weight', channel({ weight: { inner: 1 } }), { code: 'ERR_MISSING', path: 'channels[0].weight.last' }],
    ['a gamma of a sum', make({ combine: { kind: 'sum', gamma: 1 } }), { code: 'ERR_UNKNOWN_OPTION', path: 'combine.gamma' }],
    ['an outcome by turn', make({ gate: { kind: 'ppo', low: 0, high: 0 }, channels: [{ ...outcome, group: { kind: 'prompt-turn' } }] }), { code: 'ERR_RANGE', path: 'channels[0].group.kind' }],
    ['an outcome that accumulates', make({ gate: { kind: 'ppo', low: 0, high: 0 }, channels: [{ ...outcome, then: { kind: 'none' } }] }), { code: 'ERR_UNKNOWN_OPTION', path: 'channels[0].then', message: /does not accumulate/ }],
  ];
  testErrors(rows);
});

describe('tensors and settings', () => {
  const alive = Tensor.alloc([2], 'f32');
  const gone = Tensor.alloc([2], 'f32');
  gone.dispose();
  const lost = new Float32Array(2);
  structuredClone(lost.buffer, { transfer: [lost.buffer] });
  const rows: Row[] = [
    ['another dtype', () => Tensor.alloc([1], any('f64x')), { code: 'ERR_RANGE', path: 'dtype', expected: '"f32", "bf16", "f16", "f64", "int32" or "u8"' }],
    ['a negative extent', () => Tensor.alloc([2, -1], 'f32'), { code: 'ERR_RANGE', path: 'shape[1]', expected: 'an integer of at least 0', received: '-1' }],
    ['more elements than integers', () => Tensor.alloc([2 ** 40, 2 ** 40], 'f32'), { code: 'ERR_RANGE', path: 'shape' }],
    ['bits without a dtype', () => tensor(new Uint16Array(2), [2]), { code: 'ERR_TYPE', path: 'dtype', expected: '"bf16" or "f16" for a Uint16Array' }],
    ['data without a dtype', () => tensor(any([1, 2]), [2]), { code: 'ERR_TYPE', path: 'dtype', received: 'an array of 2' }],
    ['data of another dtype', () => tensor(any(new Float64Array(2)), [2], 'f32'), { code: 'ERR_TYPE', path: 'data', expected: 'a Float32Array (dtype f32)' }],
    ['data of another length', () => tensor(new Float32Array(3), [2]), { code: 'ERR_LENGTH', path: 'data', expected: 'length 2 (shape [2])', received: 'length 3' }],
    ['detached data', () => tensor(lost, [2]), { code: 'ERR_DETACHED', path: 'data' }],
    ['data after dispose', () => gone.data, { code: 'ERR_DISPOSED', path: 'tensor' }],
    ['size after dispose', () => gone.size, { code: 'ERR_DISPOSED', path: 'tensor' }],
    ['0 threads', () => configure({ threads: 0 }), { code: 'ERR_RANGE', path: 'threads', expected: 'an integer in [1, 256]' }],
    ['1.5 threads', () => configure({ threads: 1.5 }), { code: 'ERR_RANGE', path: 'threads' }],
    ['an unknown SIMD target', () => configure({ simd: 'mmx' }), { code: 'ERR_RANGE', path: 'simd', received: '"mmx"' }],
    ['a misspelled setting', () => configure(any({ thread: 2 })), { code: 'ERR_UNKNOWN_OPTION', path: 'thread', received: /did you mean "threads"\?/ }],
    ['settings of null', () => configure(any(null)), { code: 'ERR_TYPE', path: 'configuration' }],
  ];
  testErrors(rows);

  test('dispose twice, and disposal by `using`', () => {
    gone.dispose();
    expect(gone.disposed).toBe(true);
    expect(alive.disposed).toBe(false);
    alive[Symbol.dispose]();
    expect(alive.disposed).toBe(true);
  });
});

test('the type of what is wrong is in the message, short', () => {
  const long = 'x'.repeat(100);
  const input: EstimateAdvantagesInput = { turns: from.turns, ...signals(from), groups: any(long) };
  expectInvalid(() => estimateAdvantages(input, a2tgpo()), { code: 'ERR_TYPE', path: 'groups', received: `"${'x'.repeat(60)}…"` });
});
