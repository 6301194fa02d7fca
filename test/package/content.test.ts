import { existsSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listing, makeTarball, npmPack, readJson, root, scratchFolder, stage, temporaryFolder } from './tarball.js';

describe('the tarball', () => {
  const folder = temporaryFolder();
  let content: string;

  beforeAll(async () => {
    ({ content } = await makeTarball(folder));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('has the compiled library, one binary per platform, and the papers; nothing else', () => {
    const modules = listing(join(root, 'lib'))
      .filter((path) => path.endsWith('.ts'))
      .map((path) => `dist/${path.replace(/\.ts$/, '')}`);
    const compiled = modules.flatMap((path) => [`${path}.d.ts`, `${path}.js`, `${path}.js.map`]);
    const papers = ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json'];
    const packed = listing(content);
    const binaries = packed.filter((path) =>
      /^prebuilds\/[a-z0-9]+-[a-z0-9+]+\/turnwise\.(glibc|musl)?\.?node$/.test(path),
    );
    expect(binaries).not.toEqual([]);
    expect(packed).toEqual([...compiled, ...papers, ...binaries].sort());
  });

  it('has a manifest without scripts and development dependencies, and otherwise the one of the checkout', () => {
    const { scripts, devDependencies, ...rest } = readJson(join(root, 'package.json'));
    expect(readJson(join(content, 'package.json'))).toEqual(rest);
    // npm ci runs node-gyp by itself where it finds a binding.gyp, and scanners take one for an attack.
    expect(existsSync(join(content, 'binding.gyp'))).toBe(false);
  });

  it('has source maps that need no file outside the tarball', () => {
    for (const path of listing(content).filter((one) => one.endsWith('.map'))) {
      const map = readJson(join(content, path));
      const isComplete = map.sources.every(
        (source: string, index: number) =>
          map.sourcesContent?.[index] !== undefined || existsSync(join(content, dirname(path), source)),
      );
      expect(isComplete, `${path} names sources that are not there (tsconfig "inlineSources")`).toBe(true);
    }
  });
});

describe('npm pack', () => {
  it.each([
    ['prebuilds', 'npm run prebuilds'],
    ['dist', 'npm run build:ts'],
    ['README.md', 'README.md is missing'],
  ])('refuses to pack without %s and says what to do', async (path, advice) => {
    const folder = scratchFolder();
    stage(folder);
    rmSync(join(folder, path), { recursive: true });
    const { code, text } = await npmPack(folder);
    expect(text).toContain('npm pack refused');
    expect(text).toContain(advice);
    expect(code).not.toBe(0);
    expect(listing(folder).filter((one) => one.endsWith('.tgz'))).toEqual([]);
  });

  it.each([
    ['succeeds', '.'],
    ['fails', 'no/such/folder'],
  ])('leaves package.json as it was when it %s', async (_, destination) => {
    const folder = scratchFolder();
    stage(folder);
    const manifest = () => readFileSync(join(folder, 'package.json'), 'utf8');
    const before = manifest();
    const { code } = await npmPack(folder, '--pack-destination', destination);
    expect(code === 0).toBe(destination === '.');
    // npm skips postpack after a failure; the watcher polls.
    for (let waits = 0; waits < 50 && manifest() !== before; waits++) await sleep(100);
    expect(manifest()).toBe(before);
  });
});
