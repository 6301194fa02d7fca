#!/usr/bin/env node
/**
 * What prebuildify calls in place of node-gyp. prebuildify knows only node-gyp, and its "--node-gyp <executable>" is the way in:
 * it runs `<executable> rebuild --target=... --arch=...` in its working folder and takes the first build/Release/*.node it finds there.
 *
 * Builds with cmake-js where cmake is installed (CMakeLists.txt is the route that links CUDA in), else with node-gyp as a
 * checkout does. Either way exactly one file is handed over: prebuildify would ship every *.so beside it, link-time stubs too.
 */
const { spawn, spawnSync } = require('node:child_process');
const { copyFileSync, createWriteStream, mkdirSync } = require('node:fs');
const { availableParallelism } = require('node:os');
const { dirname, join, resolve } = require('node:path');
const { createInterface } = require('node:readline');

const root = resolve(__dirname, '..');
const { name } = require('../package.json');

/** What ptxas says of each kernel and architecture: hundreds of lines, which scripts/check_spills.mjs makes a table of. */
const ofPtxas = /^ptxas info|^\s+\d+ bytes stack frame/;

/** Runs node to its end. All that it says goes to `log`, after the `remarks`. */
async function run(args, log, ...remarks) {
  mkdirSync(dirname(log), { recursive: true });
  const file = createWriteStream(log);
  const say = (line) => {
    file.write(`${line}\n`);
    if (!ofPtxas.test(line)) console.log(line);
  };
  remarks.forEach(say);
  const env = { ...process.env };
  // Where make runs several compilers, each one's words stay together. Ninja does so by itself, and only GNU make can.
  if (process.platform === 'linux') env.MAKEFLAGS = `${env.MAKEFLAGS ?? ''} --output-sync=target`;
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', say);
  const code = await new Promise((done, failed) => child.on('error', failed).on('close', done));
  await new Promise((done) => file.end(done));
  if (code !== 0) process.exit(code ?? 1);
}

async function buildWithCmake(log) {
  const out = join(root, 'build', 'cmake');
  const given = JSON.parse(process.env.TURNWISE_CMAKE_ARGS ?? '[]');
  const cmakeJs = require.resolve('cmake-js/bin/cmake-js');
  await run([cmakeJs, 'rebuild', '--out', out, '--parallel', String(availableParallelism()), ...given], log);
  return join(out, 'Release');
}

async function buildWithGyp(log) {
  const remark = 'CUDA backend: left out, the add-on runs on the CPU alone (cmake is not installed)';
  await run([join(__dirname, 'build_native.mjs')], log, remark);
  return join(root, 'build', 'Release');
}

async function main() {
  const log = process.env.TURNWISE_BUILD_LOG;
  const hasCmake = spawnSync('cmake', ['--version'], { stdio: 'ignore' }).status === 0;
  const built = await (hasCmake ? buildWithCmake(log) : buildWithGyp(log));
  const handedOver = join(process.cwd(), 'build', 'Release');
  mkdirSync(handedOver, { recursive: true });
  copyFileSync(join(built, `${name}.node`), join(handedOver, `${name}.node`));
}

main();
