/**
 * `npm run check`: types, lint and format of TypeScript and JavaScript, format of C++, length of files.
 * Runs all of them and then fails, so that one run shows everything.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { clangFormat } from './clang_format.mjs';
import { checkoutFiles, root } from './tree.mjs';

const sources = /\.(ts|mts|mjs|cjs|js|h|hpp|cc|cpp|cu|cuh|inc|py)$/;
const maxLines = 450;

const tool = (name, ...args) => {
  const path = join(root, 'node_modules', '.bin', name);
  const { status, error } = spawnSync(path, args, { cwd: root, stdio: 'inherit' });
  if (error) console.error(`${name}: ${error.message}; run \`npm ci\` first`);
  return status === 0;
};

/** After tsc: the script reads the compiled presets. */
function docs() {
  const { status } = spawnSync(process.execPath, [join(root, 'scripts', 'estimators_doc.mjs')], { stdio: 'inherit' });
  return status === 0;
}

function lengths() {
  const files = checkoutFiles(sources).map((path) => ({
    path,
    lines: readFileSync(join(root, path), 'utf8').split('\n').length - 1,
  }));
  files.sort((a, b) => b.lines - a.lines);
  const total = files.reduce((sum, file) => sum + file.lines, 0);
  console.log(`${files.length} source files, ${total} lines; the longest:`);
  for (const { path, lines } of files.slice(0, 5)) console.log(`  ${lines} ${path}`);
  const tooLong = files.filter(({ lines }) => lines > maxLines);
  for (const { path, lines } of tooLong) console.error(`${path}: ${lines} lines, the limit is ${maxLines}: split it`);
  return tooLong.length === 0;
}

const checks = {
  'types (tsc -b)': () => tool('tsc', '-b', '.', 'test'),
  'docs/estimators.md is what the presets say': docs,
  'lint and format (biome ci)': () => tool('biome', 'ci', '.', ...(process.stdout.isTTY ? [] : ['--colors=off'])),
  'format of C++ (clang-format)': clangFormat,
  'length of files': lengths,
};

const failed = Object.entries(checks).filter(([title, isFine]) => {
  console.log(`-- ${title}`);
  return !isFine();
});
for (const [title] of failed) console.error(`check failed: ${title}`);
process.exit(failed.length === 0 ? 0 : 1);
