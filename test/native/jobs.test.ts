/** Asynchronous ops: order, abort, and memory that JavaScript takes away while a job works on it. */
import { beforeAll, describe, expect, test } from 'vitest';

import type { GatherLogProbsArgs } from '../../lib/ops.js';
import {
  collectGarbage,
  expectClose,
  expectedLogProbs,
  flag,
  gatherArgs,
  inLibrary,
  inPlain,
  inShared,
  native,
} from './helpers.js';

const { ops, async } = native.backends.cpu;
const OK = { code: 'ok', position: -1 };
const ABORTED = { code: 'aborted', position: -1 };

/** Slow enough (tens of milliseconds) for the calls that follow to happen while it runs. */
function longArgs(): GatherLogProbsArgs {
  return gatherArgs(1024, 16_384, inLibrary);
}

beforeAll(() => {
  native.setThreads(1);
  native.setSimdTarget(native.simdTargets().at(-1) ?? '');
});

test.each([
  ['plain', inPlain],
  ['shared', inShared],
  ['library', inLibrary],
])('the bits of the synchronous call, in %s memory', async (_, allocate) => {
  const args = gatherArgs(5, 100, allocate);
  expect(await async.gatherLogProbs(args, flag())).toEqual(OK);
  const result = args.logProbs.slice();
  args.logProbs.fill(0);
  ops.gatherLogProbs(args);
  expect(result).toEqual(args.logProbs);
});

test('an error status resolves, with its position', async () => {
  const args = gatherArgs(3, 5);
  args.targets[2] = -1;
  expect(await async.gatherLogProbs(args, flag())).toEqual({ code: 'target-out-of-range', position: 2 });
});

test('one after another, in order', async () => {
  const done: number[] = [];
  const calls = Array.from({ length: 6 }, (_, i) => {
    const args = i === 0 ? longArgs() : gatherArgs(2, 5);
    return async.gatherLogProbs(args, flag()).then((status) => {
      done.push(i);
      return status;
    });
  });
  for (const status of await Promise.all(calls)) expect(status).toEqual(OK);
  expect(done).toEqual([0, 1, 2, 3, 4, 5]);
});

test('the event loop turns while a job runs, and a synchronous call is possible', async () => {
  const call = async.gatherLogProbs(longArgs(), flag());
  let turns = 0;
  let over = false;
  void call.then(() => {
    over = true;
  });
  while (!over) {
    expect(ops.gatherLogProbs(gatherArgs(2, 5)).code).toBe('ok');
    turns++;
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(turns).toBeGreaterThan(3);
});

describe('abort', () => {
  test('before the call: untouched', async () => {
    const args = gatherArgs(2, 5);
    args.logProbs.fill(7);
    const abort = flag();
    abort[0] = 1;
    expect(await async.gatherLogProbs(args, abort)).toEqual(ABORTED);
    expect([...args.logProbs]).toEqual([7, 7]);
  });

  test('before the call, of an op that does not look at the flag', async () => {
    const none = () => new Int32Array(0);
    const count = Int32Array.of(7);
    const args = {
      by: 'action-mask',
      trajectoryOffsets: Int32Array.of(0, 0),
      actionMask: new Uint8Array(0),
      turnIds: null,
      tokenIds: null,
      openToken: 0,
      closeToken: 0,
      unclosed: 'throw',
      spanStarts: null,
      spanEnds: null,
      starts: none(),
      ends: none(),
      tokens: none(),
      trajectory: none(),
      index: none(),
      count,
      effectiveMask: null,
    } as const;
    const abort = flag();
    abort[0] = 1;
    expect(await async.segmentTurns(args, abort)).toEqual(ABORTED);
    expect(count[0]).toBe(7);
    expect(await async.segmentTurns(args, flag())).toEqual(OK);
    expect(count[0]).toBe(0);
  });

  test('in the queue: untouched, and the others run', async () => {
    const args = gatherArgs(2, 5);
    args.logProbs.fill(7);
    const abort = flag();
    const calls = [
      async.gatherLogProbs(longArgs(), flag()),
      async.gatherLogProbs(args, abort),
      async.gatherLogProbs(gatherArgs(2, 5), flag()),
    ];
    abort[0] = 1;
    expect(await Promise.all(calls)).toEqual([OK, ABORTED, OK]);
    expect([...args.logProbs]).toEqual([7, 7]);
  });

  test('while running: stops between rows', async () => {
    const args = longArgs();
    const abort = flag();
    const call = async.gatherLogProbs(args, abort);
    // Until the job has written its first row. A sentinel, because the job may write before we look.
    while (Atomics.load(new Int32Array(args.logProbs.buffer, 0, 1), 0) === 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    Atomics.store(abort, 0, 1);
    expect((await call).code).toBe('aborted');
    expect(args.logProbs.at(-1)).toBe(0);
  });
});

describe('library memory stays with the job', () => {
  test('when it is transferred away and collected', async () => {
    const args = longArgs();
    const expected = expectedLogProbs(args);
    const logProbs = new Float32Array(new SharedArrayBuffer(4 * args.logProbs.length));
    const call = async.gatherLogProbs({ ...args, logProbs }, flag());
    const buffer = args.logits.data.buffer as ArrayBuffer;
    try {
      structuredClone(buffer, { transfer: [buffer] }); // the clone is garbage at once
      expect(buffer.byteLength).toBe(0);
    } catch {
      // Node 22 and later refuse to transfer an external buffer.
    }
    await collectGarbage();
    expect(await call).toEqual(OK);
    expectClose(logProbs, expected);
  });

  test('when it is released', async () => {
    const args = longArgs();
    const expected = expectedLogProbs(args);
    const logProbs = new Float32Array(new SharedArrayBuffer(4 * args.logProbs.length));
    await collectGarbage(); // of earlier tests, which would count below
    const before = native.memory.liveBytes();
    const bytes = args.logits.data.byteLength;
    const call = async.gatherLogProbs({ ...args, logProbs }, flag());
    expect(native.memory.release(args.logits.data.buffer)).toBe(true);
    expect(args.logits.data.length).toBe(0);
    expect(native.memory.liveBytes()).toBe(before); // the job has it still
    expect(await call).toEqual(OK);
    expectClose(logProbs, expected);
    expect(native.memory.liveBytes()).toBe(before - bytes);
  });

  test('when nobody else knows it any more', async () => {
    const logProbs = new Float32Array(new SharedArrayBuffer(4 * 1024));
    let expected: ArrayLike<number> = [];
    const start = () => {
      const args = longArgs();
      expected = expectedLogProbs(args);
      return async.gatherLogProbs({ ...args, logProbs }, flag());
    };
    const call = start();
    await collectGarbage();
    expect(await call).toEqual(OK);
    expectClose(logProbs, expected);
  });
});

test('plain arrays are held until the job is done', async () => {
  const logProbs = new Float32Array(new SharedArrayBuffer(4 * 64));
  let expected: ArrayLike<number> = [];
  const blocker = async.gatherLogProbs(longArgs(), flag());
  const start = () => {
    const args = gatherArgs(64, 1000, inPlain);
    expected = expectedLogProbs(args);
    return async.gatherLogProbs({ ...args, logProbs }, flag());
  };
  const call = start();
  await collectGarbage();
  expect(await Promise.all([blocker, call])).toEqual([OK, OK]);
  expectClose(logProbs, expected);
});

test('and let go afterwards', async () => {
  const start = () => {
    const args = gatherArgs(4, 16, inPlain);
    return { done: async.gatherLogProbs(args, flag()), logits: new WeakRef(args.logits.data) };
  };
  const { done, logits } = start();
  expect(await done).toEqual(OK);
  await collectGarbage();
  expect(logits.deref()).toBeUndefined();
});

test('many calls leave nothing behind', async () => {
  const args = gatherArgs(4, 16, inShared);
  const round = async () => {
    for (let i = 0; i < 2000; i++) {
      await async.gatherLogProbs(args, flag());
      ops.gatherLogProbs(args);
    }
    await collectGarbage();
    return process.memoryUsage().rss;
  };
  await round();
  const before = await round();
  const growth = (await round()) - before;
  expect(growth).toBeLessThan(8 * 2 ** 20);
});
