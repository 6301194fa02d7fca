/** What the binding's tests share: one small op (gatherLogProbs), its value in plain JavaScript, and where the binary is. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'vitest';

import { loadNative, type NativeAddon, nativeFailure } from '../../lib/backend/native.js';
import type { GatherLogProbsArgs } from '../../lib/ops.js';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export const native: NativeAddon = loadNative() ?? fail(nativeFailure());

function fail(reason: string): never {
  throw new Error(reason);
}

/** The binary's path, for workers and child processes, which load it themselves. */
export function binaryPath(): string {
  const build: unknown = createRequire(import.meta.url)('node-gyp-build');
  if (typeof build === 'function' && 'resolve' in build && typeof build.resolve === 'function')
    return build.resolve(ROOT);
  throw new Error('node-gyp-build has no resolve');
}

export function fixture(name: string): string {
  return fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));
}

/** Library memory, or SharedArrayBuffer, or plain: `make(bytes)` decides. */
export type Allocate = (bytes: number) => ArrayBufferLike;

export const inLibrary: Allocate = (bytes) => native.memory.allocate(bytes) ?? fail('no external buffers here');
export const inShared: Allocate = (bytes) => new SharedArrayBuffer(bytes);
export const inPlain: Allocate = (bytes) => new ArrayBuffer(bytes);

/** N rows of V logits that differ from row to row, with small values. */
export function gatherArgs(count: number, width: number, allocate: Allocate = inPlain): GatherLogProbsArgs {
  const data = new Float32Array(allocate(4 * count * width));
  const row = Float32Array.from({ length: width }, (_, v) => ((v * 37) % 101) / 25);
  for (let n = 0; n < count; n++) {
    data.set(row, n * width);
    data[n * width] = n % 7;
  }
  const targets = new Int32Array(allocate(4 * count)).map((_, n) => (n * 5) % width);
  const logProbs = new Float32Array(allocate(4 * count));
  return {
    logits: { data, dtype: 'f32', width },
    targets,
    actionMask: null,
    temperature: 1,
    nonFinite: 'throw',
    logProbs,
    logSumExp: null,
    entropy: null,
  };
}

/** log softmax at the targets, in float64. */
export function expectedLogProbs({ logits, targets, temperature }: GatherLogProbsArgs): Float64Array {
  const { data, width } = logits;
  return Float64Array.from(targets, (target, n) => {
    let sum = 0;
    for (let v = 0; v < width; v++) sum += Math.exp(data[n * width + v] / temperature);
    return data[n * width + target] / temperature - Math.log(sum);
  });
}

export function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(actual.length).toBe(expected.length);
  for (let n = 0; n < expected.length; n++) expect(actual[n]).toBeCloseTo(expected[n], 4);
}

/** Collects garbage a few times, letting finalizers run in between. */
export async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('gc');
  for (let i = 0; i < 5; i++) {
    if (typeof gc === 'function') gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** An abort flag that is down. */
export function flag(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4));
}
