import { relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkGlibc } from '../../scripts/check_glibc.mjs';
import { readElf } from '../../scripts/elf.mjs';
import { devAddon, root } from '../../scripts/tree.mjs';
import { packedBinary } from './tarball.js';

// Both build routes: node-gyp makes the development build, CMake (where installed) the prebuild.
const binaries = [...new Set([devAddon(), packedBinary()])].map((path) => ({ path, name: relative(root, path) }));

describe.each(binaries)('$name', ({ path }) => {
  it('runs where glibc is 2.28 or newer', ({ skip }) => {
    skip(process.platform !== 'linux', 'the binary is not ELF on this platform');
    expect(checkGlibc(path).problems).toEqual([]);
  });

  it('exports the entry points of Node-API and nothing that could clash with another add-on', ({ skip }) => {
    skip(process.platform !== 'linux', 'the binary is not ELF on this platform');
    const entryPoints = ['napi_register_module_v1', 'node_api_module_get_api_version_v1'];
    expect(readElf(path).exported.sort()).toEqual(entryPoints);
  });

  it('is linked with full RELRO, no executable stack and no search path for libraries', ({ skip }) => {
    skip(process.platform !== 'linux', 'the binary is not ELF on this platform');
    const { relro, bindNow, executableStack, searchPaths } = readElf(path);
    expect({ relro, bindNow, executableStack, searchPaths }).toEqual({
      relro: true,
      bindNow: true,
      executableStack: false,
      searchPaths: [],
    });
  });
});
