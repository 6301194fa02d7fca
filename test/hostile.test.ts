/** Inputs that try: getters that take memory away, resizable buffers, odd prototypes, views at odd places. Never a crash. */
import { describe, expect, test } from 'vitest';
import { InvalidInputError, policyLoss, policyLossSync, segmentTurns, tensor } from '../lib/index.js';
import { expectInvalid, thrownBy } from './support/errors.js';
import { ESTIMATORS } from './support/estimators.js';
import { expectSameBits } from './support/numbers.js';
import { fromLogits, sample, signals, withDType } from './support/sample.js';

const from = sample({ seed: 15, trajectories: 5 });
const estimator = ESTIMATORS.a2tgpo;
const device = 'cpu';
const fresh = () => structuredClone({ ...fromLogits(from), ...signals(from) });
const expected = policyLossSync(fresh(), estimator, { device });

type Batch = ReturnType<typeof fresh>;

function take(array: ArrayBufferView): void {
  structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] });
}

/** The batch, with `name` read through a getter that first runs `before`. */
function withGetter(batch: Batch, name: keyof Batch, before: () => void): Batch {
  const value = batch[name];
  return Object.defineProperty(batch, name, {
    enumerable: true,
    get() {
      before();
      return value;
    },
  });
}

describe('getters that run while arguments are read', () => {
  const names = Object.keys(fresh()) as (keyof Batch)[];

  test.each(names.flatMap((read) => ['logits', 'oldLogProbs', 'actionMask'].map((taken) => [read, taken] as const)))(
    'reading %s takes %s away: seen, because nothing is checked before everything is read',
    (read, taken) => {
      const batch = fresh();
      const victim = batch[taken as 'logits'];
      const call = () =>
        policyLossSync(
          withGetter(batch, read, () => take(victim)),
          estimator,
          { device },
        );
      expectInvalid(call, { code: 'ERR_DETACHED', path: taken });
    },
  );

  test('a getter inside turns runs later: an error all the same, and no crash', () => {
    const batch = fresh();
    const { starts } = batch.turns;
    const turns = Object.defineProperty({ ...batch.turns }, 'starts', {
      enumerable: true,
      get() {
        take(batch.logits);
        take(batch.oldLogProbs);
        return starts;
      },
    });
    expect(thrownBy(() => policyLossSync({ ...batch, turns }, estimator, { device }))).toBeInstanceOf(Error);
  });

  test('a getter of an option takes the logits away', () => {
    const batch = fresh();
    const options = {
      device,
      get temperature() {
        take(batch.logits);
        return 1;
      },
    } as const;
    expect(thrownBy(() => policyLossSync(batch, estimator, options))).toBeInstanceOf(Error);
  });

  test('a getter may change what it returns: only what was read and checked counts', () => {
    const batch = fresh();
    let reads = 0;
    Object.defineProperty(batch, 'targets', {
      enumerable: true,
      get: () => (++reads === 1 ? from.targets : Int32Array.from(from.targets, () => 2 ** 30)),
    });
    expect(policyLossSync(batch, estimator, { device }).loss).toBe(expected.loss);
    expect(reads).toBe(1);
  });
});

describe('containers', () => {
  test('a frozen batch, one without a prototype, a proxy of one', () => {
    const results = [Object.freeze(fresh()), Object.assign(Object.create(null), fresh()), new Proxy(fresh(), {})].map(
      (batch) => policyLossSync(batch, estimator, Object.freeze({ device })).loss,
    );
    expect(results).toEqual([expected.loss, expected.loss, expected.loss]);
  });

  test('plain arrays where they are allowed', () => {
    const { turns } = from;
    const plain = {
      count: turns.count,
      starts: [...turns.starts],
      ends: [...turns.ends],
      tokens: [...turns.tokens],
      trajectory: [...turns.trajectory],
      index: [...turns.index],
    };
    const batch = {
      ...fresh(),
      turns: plain as never,
      targets: [...from.targets],
      actionMask: [...from.actionMask].map((mask) => mask === 1),
      groups: [...from.groups],
      outcome: [...from.outcome],
      informationGain: Float32Array.from(from.informationGain),
    };
    const { loss, grad } = policyLossSync(batch, estimator, { device });
    expect(loss).toBeCloseTo(expected.loss, 6);
    expect(grad.logits.length).toBe(expected.grad.logits.length);
  });

  test('keys that are undefined are absent', () => {
    const batch = { ...fresh(), credit: undefined, advantages: undefined, refLogProbs: undefined } as never;
    expect(policyLossSync(batch, estimator, { device, out: undefined } as never)).toMatchObject({
      loss: expected.loss,
    });
  });
});

describe('buffers', () => {
  const bytes = from.logits.byteLength;

  test('a resizable buffer: blocking as it is, asynchronous as a copy that shrinking cannot reach', async () => {
    const buffer = new (
      ArrayBuffer as unknown as new (
        n: number,
        o: object,
      ) => ArrayBuffer & { resize(n: number): void }
    )(bytes, {
      maxByteLength: 2 * bytes,
    });
    const logits = new Float32Array(buffer);
    logits.set(from.logits);
    expect(policyLossSync({ ...fresh(), logits }, estimator, { device }).loss).toBe(expected.loss);
    const call = policyLoss({ ...fresh(), logits }, estimator, { device });
    buffer.resize(4);
    expect((await call).loss).toBe(expected.loss);
    const error = thrownBy(() => policyLossSync({ ...fresh(), logits }, estimator, { device }));
    expect(error).toBeInstanceOf(InvalidInputError);
  });

  test('every integer and float array in shared memory', () => {
    const share = <T extends Float32Array | Float64Array | Int32Array | Uint8Array>(array: T): T => {
      const copy = new (array.constructor as new (buffer: SharedArrayBuffer) => T)(
        new SharedArrayBuffer(array.byteLength),
      );
      copy.set(array);
      return copy;
    };
    const { turns, ...rest } = fresh();
    const shared = Object.fromEntries(Object.entries(rest).map(([name, array]) => [name, share(array)])) as typeof rest;
    const result = policyLossSync({ ...shared, turns }, estimator, { device });
    expect(result.loss).toBe(expected.loss);
    expectSameBits(result.grad.logits, expected.grad.logits, 'grad.logits');
  });

  test('16-bit logits in the middle of a Buffer', () => {
    const input = withDType(from, 'bf16');
    const pool = Buffer.alloc(2 * from.logits.length + 64);
    const at = pool.byteOffset % 2 === 0 ? 6 : 7;
    const view = new Uint16Array(pool.buffer, pool.byteOffset + at, from.logits.length);
    view.set(input.logits.data);
    const moved = { ...input, logits: tensor(view, [from.tokens, from.width], 'bf16') };
    const [a, b] = [input, moved].map((batch) => policyLossSync({ ...batch, ...signals(from) }, estimator, { device }));
    expect(b.loss).toBe(a.loss);
    expectSameBits(b.grad.logits.data, a.grad.logits.data, 'grad.logits');
  });

  test('in place inside a larger buffer writes nothing beside the logits', () => {
    const whole = new Float32Array(from.logits.length + 14).fill(77);
    const logits = whole.subarray(7, 7 + from.logits.length);
    logits.set(from.logits);
    policyLossSync({ ...fresh(), logits }, estimator, { device, inPlace: true });
    expectSameBits(logits.slice(), expected.grad.logits, 'logits');
    expect([...whole.subarray(0, 7), ...whole.subarray(7 + logits.length)]).toEqual(new Array(14).fill(77));
  });
});

test('turns made by hand that lead outside the tokens are refused, whatever they say', () => {
  const turns = segmentTurns({
    trajectoryOffsets: from.trajectoryOffsets,
    turnIds: from.turnIds,
    actionMask: from.actionMask,
  });
  for (const name of ['starts', 'ends', 'tokens', 'trajectory', 'index'] as const) {
    for (const value of [-1, -(2 ** 31), 2 ** 31 - 1]) {
      const wrong = { ...turns, [name]: turns[name].map((x, k) => (k === turns.count - 1 ? value : x)) };
      const run = () => policyLossSync({ ...fresh(), turns: wrong }, estimator, { device });
      // A large index is a turn like any other; everything else is a place in memory.
      if (name === 'index' && value > 0) expect(Number.isFinite(run().loss)).toBe(true);
      else expect(thrownBy(run)).toBeInstanceOf(InvalidInputError);
    }
  }
});
