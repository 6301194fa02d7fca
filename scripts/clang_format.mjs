/**
 * clang-format over every C++ and CUDA source that git tracks or would track: `--write` formats, otherwise it only checks.
 * The files come from git, so that none can be forgotten and nothing generated is touched.
 */
import { spawnSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { getNativeBinary } from 'clang-format';
import { checkoutFiles, root } from './tree.mjs';

const sources = /\.(h|hpp|cc|cpp|cu|cuh|inc)$/;

/** @returns {boolean} whether all is formatted */
export function clangFormat({ write = false } = {}) {
  const paths = checkoutFiles(sources);
  if (paths.length === 0) return true;
  const mode = write ? ['-i'] : ['--dry-run', '-Werror'];
  return spawnSync(getNativeBinary(), [...mode, ...paths], { cwd: root, stdio: 'inherit' }).status === 0;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.exit(clangFormat({ write: process.argv.includes('--write') }) ? 0 : 1);
}
