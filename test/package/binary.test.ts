import { relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkGlibc } from '../../scripts/check_glibc.mjs';
import { readElf } from '../../scripts/elf.mjs';
import { devAddon, root } from '../../scripts/tree.mjs';
import { packedBinary, plainEnvironment, run } from './tarball.js';

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

  it('loads where CUDA has no device or no driver, and says why there is none', async () => {
    const code = 'process.stdout.write(String(require(process.argv[1]).cuda()))';
    const env = plainEnvironment({ CUDA_VISIBLE_DEVICES: '-1' });
    const { code: exitCode, text } = await run(process.execPath, ['-e', code, path], { cwd: root, env });
    expect(text).toMatch(/without CUDA|: there is no NVIDIA driver|: the driver shows no device/);
    expect(exitCode).toBe(0);
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
