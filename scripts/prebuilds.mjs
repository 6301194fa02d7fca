/**
 * `npm run prebuilds`: the binaries that the package ships, prebuilds/<platform>-<arch>/<name>.<libc>.node, from this machine.
 * Needs no network, no npm configuration and no home folder. Arguments go to cmake-js (`npm run prebuilds -- --CDNAME=value`).
 * With CUDA where nvcc works (cmake/cuda.cmake).
 *
 * Not called "prebuild": npm would run it before "build".
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import prebuildify from 'prebuildify';
import { reportGlibc } from './check_glibc.mjs';
import { buildLog, reportSpills } from './check_spills.mjs';
import { filesUnder, readManifest, root } from './tree.mjs';

const target = join(root, 'prebuilds', `${process.platform}-${process.arch}`);
// prebuildify moves the binary out of <cwd>/build/Release: a folder of its own leaves the development build in place. Not under
// build/, which a clean build deletes, nor in another file system, where a move fails.
const scratch = join(root, 'prebuilds', '.build');

const given = process.argv.slice(2);
if (given.some((argument) => argument.includes('CMAKE_CUDA_ARCHITECTURES'))) {
  throw new Error(
    'a prebuild has every architecture; for fewer: `cmake-js rebuild --CDCMAKE_CUDA_ARCHITECTURES=90-real`',
  );
}
rmSync(target, { recursive: true, force: true });
mkdirSync(scratch, { recursive: true });
process.env.TURNWISE_CMAKE_ARGS = JSON.stringify(given);
process.env.TURNWISE_BUILD_LOG = buildLog;
try {
  await promisify(prebuildify)({
    cwd: scratch,
    out: root,
    name: readManifest().name,
    targets: [process.versions.node],
    napi: true,
    strip: true,
    tagLibc: true,
    nodeGyp: join(root, 'scripts', 'gyp_shim.cjs'),
  });
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

const made = filesUnder(target);
if (made.length !== 1) throw new Error(`expected one binary in ${relative(root, target)}, found ${made.length}`);
const areFine = [reportSpills(readFileSync(buildLog, 'utf8')), process.platform !== 'linux' || reportGlibc(made)];
if (areFine.includes(false)) process.exit(1);
