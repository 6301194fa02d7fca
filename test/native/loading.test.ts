/** Where no binary fits, the library says why and works on without it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

let root = '';

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'turnwise-'));
  mkdirSync(join(root, 'build', 'Release'), { recursive: true });
  vi.stubEnv('TURNWISE_PREBUILD', root); // node-gyp-build's own variable: where it looks instead
  vi.resetModules();
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true });
});

test('no binary: null, the reason with a remedy, and no exception', async () => {
  const { loadNative, nativeFailure } = await import('../../lib/backend/native.js');
  expect(loadNative()).toBeNull();
  expect(nativeFailure()).toMatch(
    /^No native build was found for platform=.* There is no prebuilt binary .*npm run build:native/,
  );
  expect(loadNative()).toBeNull();
});

test('a binary that the system cannot load', async () => {
  writeFileSync(join(root, 'build', 'Release', 'turnwise.node'), 'not a library');
  const { loadNative, nativeFailure } = await import('../../lib/backend/native.js');
  expect(loadNative()).toBeNull();
  expect(nativeFailure()).toContain('turnwise.node');
});

test('a binary of another version', async () => {
  // A folder of this name loads like a module, which stands in for an add-on with other exports.
  mkdirSync(join(root, 'build', 'Release', 'turnwise.node'));
  writeFileSync(
    join(root, 'build', 'Release', 'turnwise.node', 'index.js'),
    'exports.schema = {}; exports.backends = {};',
  );
  const { loadNative, nativeFailure } = await import('../../lib/backend/native.js');
  expect(loadNative()).toBeNull();
  expect(nativeFailure()).toBe(
    'the native binary is of another version (it has no cuda, memory, getThreads, simdTarget). ' +
      'Delete build/ or reinstall the package: the binary does not fit this version',
  );
});

test('memory without the add-on is shared memory', async () => {
  const { allocate, owns, release } = await import('../../lib/tensor/memory.js');
  const buffer = allocate(16);
  expect(buffer).toBeInstanceOf(SharedArrayBuffer);
  expect(owns(new Uint8Array(buffer))).toBe(false);
  release(buffer);
  expect(buffer.byteLength).toBe(16);
});
