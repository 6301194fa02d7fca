/** What the other scripts ask about the checkout: its root, its manifest, its files. No file is listed by name twice. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';

export const root = resolve(import.meta.dirname, '..');

export const readManifest = () => JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** Where the development build of the add-on lies. */
export const devAddon = () => join(root, 'build', 'Release', `${readManifest().name}.node`);

/**
 * All files under a path, absolute; the path itself if it is a file; none if it does not exist.
 * @param {string} path
 * @returns {string[]}
 */
export function filesUnder(path) {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { withFileTypes: true }).flatMap((one) => filesUnder(join(path, one.name)));
}

export const prebuilds = () => filesUnder(join(root, 'prebuilds')).filter((path) => path.endsWith('.node'));

/**
 * Tracked files and new ones that git does not ignore, relative to the root, of those still on disk.
 * @param {RegExp} pattern
 */
export function checkoutFiles(pattern) {
  const list = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  });
  return [...new Set(list.split('\0'))].filter((path) => pattern.test(path) && existsSync(join(root, path))).sort();
}

/**
 * A source of the add-on that was changed after `binary` was written, or undefined.
 * @param {string} binary
 */
export function sourceNewerThan(binary) {
  const written = statSync(binary).mtimeMs;
  return ['native', 'cuda', 'cmake', 'binding.gyp', 'CMakeLists.txt']
    .flatMap((path) => filesUnder(join(root, path)))
    .find((path) => statSync(path).mtimeMs > written);
}
