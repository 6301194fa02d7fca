/** One JavaScript record becomes one C++ record, or a TypeError that names the field; never a crash. */
import { describe, expect, test } from 'vitest';

import type { Status } from '../../lib/ops.js';
import { CHANNEL, CREDIT_INPUTS, NO_KL, WEIGHT } from '../support/records.mjs';
import { expectClose, expectedLogProbs, flag, gatherArgs, inLibrary, inPlain, inShared, native } from './helpers.js';
import { surrogateArgs } from './hostile_args.js';

const { ops, async } = native.backends.cpu;

/** Calls an op with what the types forbid. */
const gather = ops.gatherLogProbs as (args: unknown) => Status;
const gatherAsync = async.gatherLogProbs as (args: unknown, abort: unknown) => Promise<Status>;

function turns(count: number) {
  const make = () => new Int32Array(count);
  return { starts: make(), ends: make(), tokens: make(), trajectory: make(), index: make() };
}

const channel = CHANNEL;

function statisticsArgs(): Record<string, unknown> {
  return {
    ...CREDIT_INPUTS,
    turns: turns(0),
    groups: new Int32Array(0),
    channels: [channel],
    advantages: new Float64Array(0),
    clipScale: new Float64Array(0),
    normalizedSignal: new Float64Array(0),
    groupStats: new Float64Array(6),
  };
}
const statistics = ops.turnStatistics as (args: unknown) => Status;
const surrogate = ops.surrogate as (args: unknown) => Status;

describe('accepted', () => {
  test.each([
    ['plain', inPlain],
    ['shared', inShared],
    ['library', inLibrary],
  ])('%s memory', (_, allocate) => {
    const args = gatherArgs(3, 50, allocate);
    expect(ops.gatherLogProbs(args)).toEqual({ code: 'ok', position: -1 });
    expectClose(args.logProbs, expectedLogProbs(args));
  });

  test('a view that starts inside its buffer', () => {
    const args = gatherArgs(4, 10);
    const tail = { ...args.logits, data: args.logits.data.subarray(20) };
    const logProbs = args.logProbs.subarray(2);
    const inner = { ...args, logits: tail, targets: args.targets.subarray(2), logProbs };
    expect(ops.gatherLogProbs(inner).code).toBe('ok');
    expect(args.logProbs[0]).toBe(0);
    expect(args.logProbs[2]).toBeCloseTo(expectedLogProbs(args)[2], 5);
  });

  test('null is absent, an empty array is not', () => {
    const args = gatherArgs(2, 5);
    expect(gather({ ...args, actionMask: null }).code).toBe('ok');
    // [N] = [0] does not fit two rows; read as absent it would.
    expect(gather({ ...args, actionMask: new Uint8Array(0) }).code).toBe('invalid-argument');
  });

  test('empty arrays', () => {
    expect(statistics(statisticsArgs()).code).toBe('ok');
  });

  test('lengths beyond 2^32 elements', () => {
    const args = gatherArgs(4, 5);
    const data = new Float32Array(2 ** 32); // never touched: the mask keeps every row out
    const masked = { ...args, logits: { data, dtype: 'f32', width: 2 ** 30 }, actionMask: new Uint8Array(4) };
    args.logProbs.fill(7);
    expect(gather(masked).code).toBe('ok');
    expect([...args.logProbs]).toEqual([0, 0, 0, 0]);
  });

  test('a record without a prototype', () => {
    expect(gather(Object.assign(Object.create(null), gatherArgs(2, 5))).code).toBe('ok');
  });
});

describe('refused, with the field named', () => {
  const args = gatherArgs(2, 5);
  const cases: [string, unknown, string][] = [
    ['no record', undefined, 'gatherLogProbs: expected an object, received undefined'],
    ['a record of another type', 5, 'gatherLogProbs: expected an object, received 5'],
    ['unknown field', { ...args, cliprange: 1 }, 'gatherLogProbs.cliprange: unknown field'],
    ['missing field', { ...args, temperature: undefined }, 'gatherLogProbs.temperature: missing'],
    ['wrong number', { ...args, temperature: '1' }, 'gatherLogProbs.temperature: expected a number, received "1"'],
    [
      'wrong kind',
      { ...args, targets: new Float32Array(2) },
      'gatherLogProbs.targets: expected Int32Array, received Float32Array',
    ],
    [
      'signedness',
      { ...args, targets: new Uint32Array(2) },
      'gatherLogProbs.targets: expected Int32Array, received Uint32Array',
    ],
    [
      'clamped',
      { ...args, actionMask: new Uint8ClampedArray(2) },
      'gatherLogProbs.actionMask: expected Uint8Array, received Uint8ClampedArray',
    ],
    ['array', { ...args, targets: [1, 2] }, 'gatherLogProbs.targets: expected Int32Array, received an array'],
    [
      'DataView',
      { ...args, targets: new DataView(new ArrayBuffer(8)) },
      'gatherLogProbs.targets: expected Int32Array, received an object',
    ],
    [
      'BigInt64Array',
      { ...args, targets: new BigInt64Array(2) },
      'gatherLogProbs.targets: expected Int32Array, received BigInt64Array',
    ],
    [
      'ArrayBuffer',
      { ...args, targets: new ArrayBuffer(8) },
      'gatherLogProbs.targets: expected Int32Array, received ArrayBuffer',
    ],
    [
      'enum',
      { ...args, nonFinite: 'thrown' },
      'gatherLogProbs.nonFinite: expected one of "throw", "check-first", "propagate", received "thrown"',
    ],
    ['enum with a NUL', { ...args, nonFinite: 'throw\0x' }, 'gatherLogProbs.nonFinite: expected one of'],
    ['enum of another type', { ...args, nonFinite: 0 }, 'gatherLogProbs.nonFinite: expected one of'],
    ['matrix null', { ...args, logits: null }, 'gatherLogProbs.logits: expected an object, received null'],
    [
      'matrix data null',
      { ...args, logits: { ...args.logits, data: null } },
      'gatherLogProbs.logits.data: expected Float32Array, received null',
    ],
    [
      'dtype',
      { ...args, logits: { ...args.logits, dtype: 'f64' } },
      'gatherLogProbs.logits.dtype: expected one of "f32", "bf16", "f16", received "f64"',
    ],
    [
      'dtype against data',
      { ...args, logits: { ...args.logits, dtype: 'bf16' } },
      'gatherLogProbs.logits.data: expected Uint16Array, received Float32Array',
    ],
    [
      'width 0',
      { ...args, logits: { ...args.logits, width: 0 } },
      'gatherLogProbs.logits.width: expected a positive integer, received 0',
    ],
    [
      'width NaN',
      { ...args, logits: { ...args.logits, width: Number.NaN } },
      'gatherLogProbs.logits.width: expected a positive integer',
    ],
    [
      'width 1e300',
      { ...args, logits: { ...args.logits, width: 1e300 } },
      'gatherLogProbs.logits.width: expected a positive integer',
    ],
    [
      'width that does not divide',
      { ...args, logits: { ...args.logits, width: 3 } },
      'gatherLogProbs.logits.data: a length of 10 is not a multiple of width 3',
    ],
    [
      'matrix field',
      { ...args, logits: { ...args.logits, shape: [2, 5] } },
      'gatherLogProbs.logits.shape: unknown field',
    ],
  ];
  test.each(cases)('%s', (_, value, message) => {
    expect(() => gather(value)).toThrow(TypeError);
    expect(() => gather(value)).toThrow(message);
  });

  const withChannel = (change: object) => ({ ...statisticsArgs(), channels: [channel, { ...channel, ...change }] });
  const nested: [string, Record<string, unknown>, string][] = [
    [
      'integer',
      { ...statisticsArgs(), normalizedChannel: 0.5 },
      'turnStatistics.normalizedChannel: expected a 32-bit integer, received 0.5',
    ],
    [
      'integer range',
      { ...statisticsArgs(), normalizedChannel: 2 ** 31 },
      'turnStatistics.normalizedChannel: expected a 32-bit integer, received 2147483648',
    ],
    [
      'integer NaN',
      { ...statisticsArgs(), normalizedChannel: Number.NaN },
      'turnStatistics.normalizedChannel: expected a 32-bit integer',
    ],
    [
      'bool',
      withChannel({ matchOutcomeStd: 1 }),
      'turnStatistics.channels[1].matchOutcomeStd: expected a boolean, received 1',
    ],
    ['list entry', withChannel({ gama: 1 }), 'turnStatistics.channels[1].gama: unknown field'],
    [
      'list entry null',
      { ...statisticsArgs(), channels: [null] },
      'turnStatistics.channels[0]: expected an object, received null',
    ],
    [
      'list',
      { ...statisticsArgs(), channels: { length: 1 } },
      'turnStatistics.channels: expected an array, received an object',
    ],
    [
      'list too long',
      { ...statisticsArgs(), channels: Array(9).fill(channel) },
      'turnStatistics.channels: at most 8 entries, received 9',
    ],
    [
      'nested view',
      { ...statisticsArgs(), turns: { ...turns(0), ends: 'x' } },
      'turnStatistics.turns.ends: expected Int32Array, received "x"',
    ],
  ];
  const stages: [string, Record<string, unknown>, string][] = [
    [
      'record in a list entry',
      withChannel({ klPenalty: { ...NO_KL, coefficient: 1 } }),
      'turnStatistics.channels[1].klPenalty.coefficient: unknown field',
    ],
    [
      'record in a list entry, missing',
      withChannel({ klPenalty: null }),
      'turnStatistics.channels[1].klPenalty: expected an object, received null',
    ],
    [
      'enum of a stage',
      withChannel({ accumulate: 'sum' }),
      'turnStatistics.channels[1].accumulate: expected one of "none", "discounted", "gae", "tree", received "sum"',
    ],
    [
      'view of a stage',
      withChannel({ keys: new Float64Array(2) }),
      'turnStatistics.channels[1].keys: expected Int32Array, received Float64Array',
    ],
    [
      'flags',
      { ...statisticsArgs(), truncated: new Int8Array(2) },
      'turnStatistics.truncated: expected Uint8Array, received Int8Array',
    ],
    ['nested record', { ...statisticsArgs(), whiten: undefined }, 'turnStatistics.whiten: missing'],
    [
      'nested enum',
      { ...statisticsArgs(), modulation: { ...CREDIT_INPUTS.modulation, kind: 'on' } },
      'turnStatistics.modulation.kind: expected one of "none", "entropy", received "on"',
    ],
  ];
  test.each([...nested, ...stages])('%s', (_, value, message) => {
    expect(() => statistics(value)).toThrow(message);
  });

  test.each<[string, object, string]>([
    ['weights too many', { weights: Array(5).fill(WEIGHT) }, 'surrogate.weights: at most 4 entries, received 5'],
    [
      'weight',
      { weights: [WEIGHT, { ...WEIGHT, mode: 'drop' }] },
      'surrogate.weights[1].mode: expected one of "truncate", "mask", received "drop"',
    ],
    [
      'gate',
      { gate: { ...surrogateArgs().gate, kind: 'clip' } },
      'surrogate.gate.kind: expected one of "ppo", "detached", "gamma"',
    ],
    [
      'tokenWeights',
      { tokenWeights: new Float32Array(2) },
      'surrogate.tokenWeights: expected Float64Array, received Float32Array',
    ],
    [
      'denominators',
      { denominators: { tokens: 1, turns: 1, sequences: 1 } },
      'surrogate.denominators.prompts: missing',
    ],
    ['entropyCoef', { entropyCoef: null }, 'surrogate.entropyCoef: expected a number, received null'],
  ])('surrogate: %s', (_, change, message) => {
    expect(() => surrogate({ ...surrogateArgs(), ...change })).toThrow(message);
  });

  test('in an asynchronous call as well, at once', () => {
    expect(() => gatherAsync({ ...args, nonFinite: 'x' }, flag())).toThrow('gatherLogProbs.nonFinite');
    expect(() => gatherAsync(args, undefined)).toThrow('gatherLogProbs.abort: expected Int32Array, received undefined');
    expect(() => gatherAsync(args, null)).toThrow('gatherLogProbs.abort');
    expect(() => gatherAsync(args, new Int32Array(0))).toThrow('gatherLogProbs.abort');
    expect(() => gatherAsync(args, new Uint8Array(4))).toThrow('gatherLogProbs.abort');
  });
});

describe('memory that goes away', () => {
  test('a detached buffer', () => {
    const args = gatherArgs(2, 5);
    structuredClone(args.targets.buffer, { transfer: [args.targets.buffer as ArrayBuffer] });
    expect(() => gather(args)).toThrow('gatherLogProbs.targets: its buffer is detached');
    expect(() => gatherAsync(args, flag())).toThrow('gatherLogProbs.targets: its buffer is detached');
  });

  test('a getter that detaches an array read before it', () => {
    const args = gatherArgs(2, 5);
    const trap = {
      ...args,
      get temperature() {
        const buffer = args.logits.data.buffer as ArrayBuffer;
        if (!args.logits.data.length) return 1;
        structuredClone(buffer, { transfer: [buffer] });
        return 1;
      },
    };
    expect(() => gather(trap)).toThrow('gatherLogProbs.logits.data: its buffer is detached');
  });

  test('a getter that throws', () => {
    const trap = {
      ...gatherArgs(2, 5),
      get targets() {
        throw new RangeError('mine');
      },
    };
    expect(() => gather(trap)).toThrow(new RangeError('mine'));
  });

  test('a Proxy that answers nonsense', () => {
    const target = gatherArgs(2, 5);
    const proxy = new Proxy(target, { ownKeys: () => ['logits'], get: (object, key) => Reflect.get(object, key) });
    expect(gather(proxy).code).toBe('ok');
    const throwing = new Proxy(target, {
      ownKeys: () => {
        throw new Error('no keys');
      },
    });
    expect(() => gather(throwing)).toThrow('no keys');
  });

  test('a resizable buffer: looked at anew by each call, never lent to a job', () => {
    const args = gatherArgs(2, 5);
    // ES2024, so not in the types of this build.
    const resizable: ArrayBuffer = Reflect.construct(ArrayBuffer, [40, { maxByteLength: 80 }]);
    const data = new Float32Array(resizable);
    data.set(args.logits.data);
    const lent = { ...args, logits: { ...args.logits, data } };
    expect(gather(lent).code).toBe('ok');
    expect(() => gatherAsync(lent, flag())).toThrow('gatherLogProbs.logits.data: its buffer is resizable');
    Reflect.apply(Reflect.get(resizable, 'resize'), resizable, [20]);
    expect(gather(lent).code).toBe('invalid-argument');
  });
});

test('a status with a position', () => {
  const args = gatherArgs(3, 5);
  args.targets[1] = 5;
  expect(ops.gatherLogProbs(args)).toEqual({ code: 'target-out-of-range', position: 1 });
});
