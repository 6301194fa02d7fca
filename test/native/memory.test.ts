/** Native memory behind tensors: zeroed, counted, given back; and what takes its place where the host forbids it. */

import { constants } from 'node:buffer';
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';

import { BackendError } from '../../lib/errors.js';
import { allocate, owns, release } from '../../lib/tensor/memory.js';
import { binaryPath, collectGarbage, fixture, native } from './helpers.js';

const { memory } = native;
const MiB = 2 ** 20;

function external(bytes: number): ArrayBuffer {
  const buffer = memory.allocate(bytes);
  if (buffer === null) throw new Error('no external buffer');
  return buffer;
}

describe('native memory', () => {
  test.each([1, 63, 4096, 2 ** 18 - 1, 2 ** 18, 5 * MiB])('%i bytes, zeroed, also when used before', (bytes) => {
    for (let i = 0; i < 3; i++) {
      const view = new Uint8Array(external(bytes));
      expect(view.length).toBe(bytes);
      expect(view.every((value) => value === 0)).toBe(true);
      view.fill(255);
      memory.release(view.buffer);
    }
  });

  test('no bytes', () => {
    expect(external(0).byteLength).toBe(0);
  });

  test('large memory is committed at first touch only', () => {
    const before = process.memoryUsage().rss;
    const buffer = external(3 * 2 ** 30);
    new Uint8Array(buffer)[2 ** 31] = 1;
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * MiB);
    memory.release(buffer);
  });

  test.each([[-1], [0.5], [Number.NaN], [2 ** 60], ['8'], [undefined]])('allocate(%s) is refused', (bytes) => {
    expect(() => memory.allocate(bytes as number)).toThrow(TypeError);
  });

  test('owns: all of a view, in the whole process, until it is released', () => {
    const buffer = external(256);
    expect(memory.owns(new Float32Array(buffer))).toBe(true);
    expect(memory.owns(new Float64Array(buffer, 8, 4))).toBe(true);
    expect(memory.owns(new Uint8Array(buffer, 256, 0))).toBe(true);
    expect(memory.owns(new Uint8Array(256))).toBe(false);
    expect(memory.owns(new Uint8Array(new SharedArrayBuffer(8)))).toBe(false);
    for (const other of [undefined, null, 5, {}, buffer, new DataView(buffer)])
      expect(memory.owns(other as never)).toBe(false);
    const view = new Uint8Array(buffer);
    memory.release(buffer);
    expect(memory.owns(view)).toBe(false);
  });

  test('release detaches and gives back at once, and only once', () => {
    const before = memory.liveBytes();
    const buffer = external(2 * MiB);
    expect(memory.liveBytes()).toBe(before + 2 * MiB);
    expect(memory.release(buffer)).toBe(true);
    expect(buffer.byteLength).toBe(0);
    expect(memory.liveBytes()).toBe(before);
    expect(memory.release(buffer)).toBe(false);
  });

  test("release leaves what is not the library's alone", () => {
    const mine = new ArrayBuffer(8);
    for (const other of [mine, new SharedArrayBuffer(8), new Uint8Array(8), undefined, null, 'x', {}]) {
      expect(memory.release(other as never)).toBe(false);
    }
    expect(mine.byteLength).toBe(8);
  });

  test('a late finalizer does not touch a newer block at the same address', async () => {
    for (let i = 0; i < 50; i++) memory.release(external(4096));
    const kept = Array.from({ length: 20 }, () => new Uint8Array(external(4096)).fill(9));
    await collectGarbage(); // runs the finalizers of the released ones
    for (const view of kept) {
      expect(memory.owns(view)).toBe(true);
      expect(view.every((value) => value === 9)).toBe(true);
    }
  });

  test('garbage is given back', async () => {
    await collectGarbage(); // of earlier tests, which would count below
    const before = memory.liveBytes();
    (() => {
      for (let i = 0; i < 10; i++) new Uint8Array(external(MiB))[0] = 1;
    })();
    expect(memory.liveBytes()).toBe(before + 10 * MiB);
    await collectGarbage();
    expect(memory.liveBytes()).toBe(before);
  });
});

describe('lib/tensor/memory', () => {
  test('native memory', () => {
    const buffer = allocate(64);
    expect(buffer).toBeInstanceOf(ArrayBuffer);
    expect(owns(new Uint8Array(buffer))).toBe(true);
    release(buffer);
    expect(buffer.byteLength).toBe(0);
  });

  test('above the limit of external buffers: shared', () => {
    if (constants.MAX_LENGTH > 2 ** 34) return; // nothing to see on Node 22 and later: the limit is out of reach
    const buffer = allocate(constants.MAX_LENGTH + 8);
    expect(buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(memory.allocate(constants.MAX_LENGTH + 8)).toBeNull();
    release(buffer);
  });

  test('more than there is', () => {
    expect(() => allocate(2 ** 52)).toThrow(BackendError);
    expect(() => allocate(2 ** 52)).toThrow('cannot allocate 4503599627370496 bytes');
  });
});

test('a host that forbids external buffers', () => {
  const env = { ...process.env, TURNWISE_NO_EXTERNAL_BUFFERS: '1' };
  const child = spawnSync(process.execPath, [fixture('no_external.mjs'), binaryPath()], { env, encoding: 'utf8' });
  expect(child.stderr).toBe('');
  expect(JSON.parse(child.stdout)).toEqual({ buffer: null, shared: 'ok' });
});
