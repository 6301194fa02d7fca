/**
 * Installs the tarball the way a user does, where nothing could be compiled or downloaded: PATH has node and npm and not even a
 * shell, the home folder is empty, and the only registry has the dependencies.
 */
import { cpSync, mkdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Registry, startRegistry } from './registry.js';
import { makeTarball, plainEnvironment, readJson, root, run, scratchFolder, temporaryFolder } from './tarball.js';

const { name, dependencies } = readJson(join(root, 'package.json'));
const folder = temporaryFolder();
const consumer = join(folder, 'consumer');
const bin = join(folder, 'bin');
let tarball: string;
let registry: Registry;

function environment(changes: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const home = join(folder, 'home');
  return { PATH: bin, HOME: home, npm_config_registry: registry.url, npm_config_update_notifier: 'false', ...changes };
}

const npm = (...args: string[]) =>
  run('npm', [...args, '--no-audit', '--no-fund'], { cwd: consumer, env: environment() });

const node = (code: string, cwd = consumer, changes: NodeJS.ProcessEnv = {}) =>
  run('node', ['--input-type=module', '--eval', code], { cwd, env: environment(changes) });

beforeAll(async () => {
  for (const path of ['consumer', 'bin', 'home', 'registry']) mkdirSync(join(folder, path));
  symlinkSync(process.execPath, join(bin, 'node'));
  const which = await run('sh', ['-c', 'command -v npm'], { cwd: folder, env: plainEnvironment() });
  symlinkSync(realpathSync(which.text.trim()), join(bin, 'npm'));
  writeFileSync(join(consumer, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
  registry = await startRegistry(Object.keys(dependencies), join(folder, 'registry'));
  ({ tarball } = await makeTarball(folder));
});
afterAll(() => {
  registry?.close();
  rmSync(folder, { recursive: true, force: true });
});

describe.sequential('an install without compiler, shell and network', () => {
  it.each([
    ['npm install', () => npm('install', tarball)],
    ['npm ci from the lockfile', () => npm('ci')],
  ])('%s runs no script and warns of nothing', async (_, install) => {
    rmSync(join(consumer, 'node_modules'), { recursive: true, force: true });
    rmSync(join(folder, 'home', '.npm'), { recursive: true, force: true });
    registry.requests.length = 0;
    const { code, text } = await install();
    expect(text).not.toMatch(/warn|error|deprecated|script|gyp/i);
    expect(text).toMatch(/added \d+ packages/);
    expect(code).toBe(0);
    expect(new Set(registry.requests)).toEqual(new Set(Object.keys(dependencies)));
  });

  it('leaves a lockfile that asks for no script to be run', () => {
    const lock = readJson(join(consumer, 'package-lock.json'));
    expect(lock.packages[`node_modules/${name}`].hasInstallScript).toBeUndefined();
  });

  const isNative = `if (info().backend !== 'cpu') throw new Error(JSON.stringify(info()))`;
  const ways: [string, string][] = [
    ['import', `import { info } from '${name}'; ${isNative}`],
    [
      'require',
      `import { createRequire } from 'node:module';
       const { info } = createRequire(process.cwd() + '/x.cjs')('${name}'); ${isNative}`,
    ],
    [
      'a worker thread beside the main thread',
      `import { once } from 'node:events'; import { Worker } from 'node:worker_threads'; import { info } from '${name}';
       ${isNative};
       const code = \`import('${name}').then(({ info }) => { ${isNative} })\`;
       for (let round = 0; round < 3; round++) {
         const [exitCode] = await once(new Worker(code, { eval: true }), 'exit');
         if (exitCode !== 0) throw new Error('worker ended with ' + exitCode);
       }`,
    ],
  ];

  it.each(ways)('loads the native add-on by %s', async (_, code) => {
    expect(await node(code)).toEqual({ code: 0, text: '' });
  });

  it('loads the packed binary when told to use no other', async () => {
    expect(await node(ways[0][1], consumer, { PREBUILDS_ONLY: '1' })).toEqual({ code: 0, text: '' });
  });

  it('has the command', async () => {
    const command = join(consumer, 'node_modules', '.bin', name);
    const { code, text } = await run(command, ['estimators', 'gspo'], { cwd: consumer, env: environment() });
    expect(text).toContain('sequence mean, true');
    expect(code).toBe(0);
  });

  it('falls back to the reference backend where no binary fits: no error, one warning', async () => {
    const other = scratchFolder();
    cpSync(consumer, other, { recursive: true });
    rmSync(join(other, 'node_modules', name, 'prebuilds'), { recursive: true });
    const code = `import { info, segmentTurns } from '${name}';
      for (let call = 0; call < 2; call++) {
        const { count } = segmentTurns({ trajectoryOffsets: Int32Array.of(0, 3), actionMask: Uint8Array.of(1, 0, 1) });
        console.log(info().backend, count);
      }`;
    const { code: exitCode, text } = await node(code, other);
    expect(text.match(/^reference 2$/gm)).toHaveLength(2);
    expect(text.match(/TurnwiseWarning/g)).toHaveLength(1);
    expect(exitCode).toBe(0);
  });

  it('has types that a strict consumer compiles against', async () => {
    const entries = Object.keys(readJson(join(root, 'package.json')).exports).filter((one) => !one.endsWith('.json'));
    const imports = entries.map((one, index) => `export * as entry${index} from '${join(name, one)}';`);
    writeFileSync(join(consumer, 'use.ts'), imports.join('\n'));
    const modules = join(root, 'node_modules');
    const options = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2023', '--skipLibCheck', 'false'];
    const types = ['--lib', 'ES2023,ESNext.Disposable', '--types', 'node', '--typeRoots', join(modules, '@types')];
    const tsc = [join(modules, 'typescript', 'bin', 'tsc'), ...options, ...types, 'use.ts'];
    expect(await run('node', tsc, { cwd: consumer, env: environment() })).toEqual({ code: 0, text: '' });
  });
});
