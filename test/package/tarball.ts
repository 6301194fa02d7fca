/**
 * Packs the package for the tests of this folder: from a copy of what goes in, because packing swaps package.json and other
 * test files run at the same time. Where there is no current prebuild, the development build of the add-on stands in.
 */
import { execFile } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import { devAddon, filesUnder, readManifest, root, sourceNewerThan } from '../../scripts/tree.mjs';

const execute = promisify(execFile);

export interface Output {
  code: number;
  text: string;
}

/** Runs a program to its end; a failure is a result, not an exception. */
export async function run(
  file: string,
  args: string[],
  options: { cwd: string; env: NodeJS.ProcessEnv },
): Promise<Output> {
  try {
    const { stdout, stderr } = await execute(file, args, options);
    return { code: 0, text: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr, message } = error as {
      code: unknown;
      stdout?: string;
      stderr?: string;
      message: string;
    };
    return { code: typeof code === 'number' ? code : 1, text: `${stdout ?? ''}${stderr ?? ''}` || message };
  }
}

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'turnwise-package-'));
}

/** A temporary folder that is removed with the test. */
export function scratchFolder(): string {
  const folder = temporaryFolder();
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Without the settings of the `npm test` around this, which would reach the inner npm as its own. */
export function plainEnvironment(changes: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_OPTIONS$|VITEST|INIT_CWD$)/i.test(name));
  return { ...Object.fromEntries(kept), npm_config_update_notifier: 'false', ...changes };
}

const prebuildName = join('prebuilds', `${process.platform}-${process.arch}`, `${readManifest().name}.glibc.node`);

/** The binary that is packed: the prebuild of this platform if it is current, else the development build. */
export function packedBinary(): string {
  const prebuild = join(root, prebuildName);
  return existsSync(prebuild) && !sourceNewerThan(prebuild) ? prebuild : devAddon();
}

/** A copy of everything that packing reads. */
export function stage(folder: string): void {
  for (const path of [...readManifest().files, 'package.json', 'scripts']) {
    if (existsSync(join(root, path))) cpSync(join(root, path), join(folder, path), { recursive: true });
  }
  mkdirSync(join(folder, prebuildName, '..'), { recursive: true });
  copyFileSync(packedBinary(), join(folder, prebuildName));
}

export function npmPack(folder: string, ...args: string[]): Promise<Output> {
  return run('npm', ['pack', ...args], { cwd: folder, env: plainEnvironment() });
}

/** The packed tarball and its unpacked content, in `folder`. */
export async function makeTarball(folder: string): Promise<{ tarball: string; content: string }> {
  const staged = join(folder, 'stage');
  mkdirSync(staged);
  stage(staged);
  const { code, text } = await npmPack(staged, '--pack-destination', folder);
  if (code !== 0) throw new Error(`npm pack failed:\n${text}`);
  const { name, version } = readManifest();
  const tarball = join(folder, `${name}-${version}.tgz`);
  await execute('tar', ['-xzf', tarball, '-C', folder]);
  return { tarball, content: join(folder, 'package') };
}

/** Paths relative to `folder`, sorted. */
export function listing(folder: string): string[] {
  return filesUnder(folder)
    .map((path) => relative(folder, path))
    .sort();
}

export const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8'));

export { root };
