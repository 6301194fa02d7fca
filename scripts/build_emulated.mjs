/**
 * `npm run build:emulated`: the add-on with its CUDA backend on an emulated GPU (test/cuda/emulation), in build/emulated. For
 * tests: g++ compiles the same .cu files that nvcc does, and every CUDA thread is a fiber.
 *
 *   --driver                       instead of it two programs: run_cases (exported cases without Node) and emulation_test
 *   --sanitize=address | thread    instrumented, in build/emulated-<sanitizer>
 *
 * Compiles what changed, like make. The CPU side's objects are those of `npm run build:native`.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { filesUnder, readManifest, root } from './tree.mjs';

const sanitizer = process.argv.find((argument) => argument.startsWith('--sanitize='))?.split('=')[1];
const asDriver = process.argv.includes('--driver');
const name = readManifest().name;
const folder = join(root, 'build', sanitizer ? `emulated-${sanitizer}` : 'emulated');
const objects = join(folder, 'obj');

const compiler = process.env.CXX ?? 'g++';
const flags = [
  '-std=c++17',
  // Emulated kernels spend their time in barriers; more optimisation costs more in compiling than it saves.
  '-O1',
  '-g1',
  '-ffp-contract=off',
  '-fno-math-errno',
  '-fPIC',
  '-pthread',
  '-Wall',
  '-Wextra',
  '-Wno-unknown-pragmas',
  '-DTURNWISE_CUDA',
  `-I${join(root, 'test', 'cuda', 'emulation')}`,
  ...(sanitizer ? [`-fsanitize=${sanitizer}`, '-fno-omit-frame-pointer'] : []),
];

function run(command, args) {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit' });
    child.on('error', fail);
    child.on('exit', (code) => (code === 0 ? done() : fail(new Error(`${command} ${args.at(-1)} failed`))));
  });
}

/** Older than one of the files it was made from (the compiler's own list), or made with other flags. */
function isStale(object, command) {
  const [list, made] = [object.replace(/o$/, 'd'), object.replace(/o$/, 'flags')];
  if (![object, list, made].every(existsSync) || readFileSync(made, 'utf8') !== command) return true;
  const written = statSync(object).mtimeMs;
  const sources = readFileSync(list, 'utf8')
    .replace(/\\\n/g, ' ')
    .replace(/^[^:]*:/, '')
    .trim()
    .split(/\s+/);
  return sources.some((source) =>
    !existsSync(join(root, source)) && !existsSync(source)
      ? true
      : statSync(existsSync(source) ? source : join(root, source)).mtimeMs > written,
  );
}

async function compile(source) {
  const object = join(objects, `${relative(root, source).replace(/[/\\]/g, '-')}.o`);
  const args = [...flags, '-MMD', '-x', 'c++', '-c', '-o', object, relative(root, source)];
  const command = args.join(' ');
  if (isStale(object, command)) {
    await run(compiler, args);
    writeFileSync(object.replace(/o$/, 'flags'), command);
  }
  return object;
}

async function compileAll(sources) {
  const waiting = [...sources];
  const made = new Map();
  const worker = async () => {
    for (let source = waiting.shift(); source !== undefined; source = waiting.shift()) {
      made.set(source, await compile(source));
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  // In the order of the sources.
  return sources.map((source) => made.get(source));
}

/** The objects of the CPU add-on, without the file that says there is no CUDA. */
function cpuObjects() {
  const folder = join(root, 'build', 'Release', 'obj.target', name, 'native');
  // make leaves the objects of files that are gone.
  const hasSource = (path) => existsSync(join(root, 'native', relative(folder, path).replace(/o$/, 'cpp')));
  const found = filesUnder(folder).filter(
    (path) => path.endsWith('.o') && basename(path) !== 'backend.o' && hasSource(path),
  );
  if (found.length === 0) throw new Error('build the CPU add-on first: npm run build:native');
  // older_systems.cpp is for a library: in a program its functions would call themselves.
  const isAddon = (path) => /^(binding|older_systems)/.test(relative(folder, path));
  return asDriver ? found.filter((path) => !isAddon(path)) : found;
}

mkdirSync(objects, { recursive: true });
const sources = [
  ...filesUnder(join(root, 'cuda')).filter((path) => path.endsWith('.cu')),
  join(root, 'native', 'backend.cpp'),
];
const made = await compileAll(sources);

async function link(target, all, shared = []) {
  mkdirSync(dirname(target), { recursive: true });
  console.log(relative(root, target));
  if (existsSync(target) && all.every((object) => statSync(object).mtimeMs <= statSync(target).mtimeMs)) return;
  await run(compiler, [
    ...flags.filter((flag) => flag.startsWith('-fsanitize')),
    ...shared,
    '-pthread',
    '-o',
    target,
    ...all,
  ]);
}

if (asDriver) {
  const [cases, selfTest] = await compileAll(
    ['run_cases.cpp', 'emulation_test.cpp'].map((file) => join(root, 'test', 'cuda', file)),
  );
  await link(join(folder, 'run_cases'), [...made, cases, ...cpuObjects()]);
  await link(join(folder, 'emulation_test'), [selfTest]);
} else {
  const visible = `-Wl,--version-script=${join(root, 'native', 'binding', 'exports.map')}`;
  await link(join(folder, 'build', 'Release', `${name}.node`), [...made, ...cpuObjects()], ['-shared', visible]);
}
