/**
 * `prepack` and `postpack`: npm packs package.json as it lies on disk, so it is swapped for the time of packing.
 *
 * The packed manifest has no `scripts` and no `devDependencies`: npm warns about a left-over `prepare`, npm 12 blocks it, and
 * scanners flag it. npm skips postpack when packing fails or is interrupted, so a watcher outlives npm and puts the file back.
 * `npm pack --ignore-scripts` goes round all this. To publish: `npm pack`, test that tarball, `npm publish <tarball>`.
 */
import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkGlibc, isGlibcBinary } from './check_glibc.mjs';
import { filesUnder, prebuilds, readManifest, root, sourceNewerThan } from './tree.mjs';

const manifestPath = join(root, 'package.json');
const backupPath = join(root, 'build', 'package.full.json');

function packedManifest(text) {
  const { scripts, devDependencies, ...rest } = JSON.parse(text);
  return `${JSON.stringify(rest, null, 2)}\n`;
}

/** Every file that the manifest promises to an importer. */
const entryPoints = (node) => (typeof node === 'string' ? [node] : Object.values(node ?? {}).flatMap(entryPoints));

function problems() {
  const { main, types, exports, files } = readManifest();
  const found = [];
  for (const path of files.filter((entry) => !entry.startsWith('!'))) {
    if (filesUnder(join(root, path)).length === 0) found.push(`${path} is missing or empty (package.json "files")`);
  }
  for (const path of new Set(entryPoints([main, types, exports]))) {
    if (!existsSync(join(root, path))) found.push(`${path} is missing: run \`npm run build:ts\``);
  }
  if (prebuilds().length === 0) found.push('prebuilds/ has no binary: run `npm run prebuilds`');
  for (const path of prebuilds().filter((one) => one.includes(`${process.platform}-${process.arch}`))) {
    const newer = sourceNewerThan(path);
    if (newer) found.push(`${relative(root, path)} is older than ${relative(root, newer)}: run \`npm run prebuilds\``);
  }
  for (const path of prebuilds().filter(isGlibcBinary)) {
    found.push(...checkGlibc(path).problems.map((problem) => `${relative(root, path)}: too new: ${problem}`));
  }
  return found;
}

function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function restore() {
  if (!existsSync(backupPath)) return;
  const full = readFileSync(backupPath, 'utf8');
  // After a crash somebody may have edited package.json: then it is theirs, and the backup goes, unless the edit is no manifest at all.
  const now = readFileSync(manifestPath, 'utf8');
  if (now === packedManifest(full) || !isJson(now)) renameSync(backupPath, manifestPath);
  else rmSync(backupPath);
}

function parentOf(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const [, command, parent] = /\((.*)\) \S (\d+)/s.exec(stat);
  return { command, parent: Number(parent) };
}

/** npm runs a script through a shell, which stays or replaces itself by the script. */
function npmPid() {
  if (process.platform !== 'linux') return process.ppid;
  const { command, parent } = parentOf(process.ppid);
  return /^(ba|da|z|k|a)?sh$/.test(command) ? parent : process.ppid;
}

const isRunning = (pid) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

function prepack() {
  restore();
  const found = problems();
  if (found.length > 0) {
    console.error(`npm pack refused:\n${found.map((problem) => `  - ${problem}`).join('\n')}`);
    process.exit(1);
  }
  mkdirSync(join(root, 'build'), { recursive: true });
  copyFileSync(manifestPath, backupPath);
  const watcher = [import.meta.filename, 'restore-after', String(npmPid())];
  spawn(process.execPath, watcher, { detached: true, stdio: 'ignore' }).unref();
  writeFileSync(manifestPath, packedManifest(readFileSync(backupPath, 'utf8')));
}

async function restoreAfter(pid) {
  while (isRunning(pid)) {
    if (!existsSync(backupPath)) return;
    await sleep(100);
  }
  restore();
}

const [action, pid] = process.argv.slice(2);
if (action === 'prepack') prepack();
else if (action === 'postpack') restore();
else if (action === 'restore-after') await restoreAfter(Number(pid));
else throw new Error(`unknown action "${action}"`);
