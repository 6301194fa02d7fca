#!/usr/bin/env node
/**
 * What prebuildify calls in place of node-gyp. prebuildify knows only node-gyp, and its "--node-gyp <executable>" is the way in:
 * it runs `<executable> rebuild --target=... --arch=...` in its working folder and takes the first build/Release/*.node it finds there.
 *
 * Builds with cmake-js where cmake is installed (CMakeLists.txt is the route that can link CUDA in), else with node-gyp as a
 * checkout does. Either way exactly one file is handed over: prebuildify would ship every *.so beside it, link-time stubs too.
 */
const { spawnSync } = require('node:child_process');
const { copyFileSync, mkdirSync } = require('node:fs');
const { availableParallelism } = require('node:os');
const { join, resolve } = require('node:path');

const root = resolve(__dirname, '..');
const { name } = require('../package.json');

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

function buildWithCmake() {
  const out = join(root, 'build', 'cmake');
  const given = JSON.parse(process.env.TURNWISE_CMAKE_ARGS ?? '[]');
  const cmakeJs = require.resolve('cmake-js/bin/cmake-js');
  run(process.execPath, [cmakeJs, 'rebuild', '--out', out, '--parallel', String(availableParallelism()), ...given]);
  return join(out, 'Release');
}

function buildWithGyp() {
  run(process.execPath, [join(__dirname, 'build_native.mjs')]);
  return join(root, 'build', 'Release');
}

const hasCmake = spawnSync('cmake', ['--version'], { stdio: 'ignore' }).status === 0;
const built = hasCmake ? buildWithCmake() : buildWithGyp();
const handedOver = join(process.cwd(), 'build', 'Release');
mkdirSync(handedOver, { recursive: true });
copyFileSync(join(built, `${name}.node`), join(handedOver, `${name}.node`));
