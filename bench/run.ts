/**
 * `npm run bench`: the row kernels beside the memory floor (a C++ binary built on the spot), then what surrounds them, through the
 * public API. Every figure is a minimum and a median of repeats in this run; figures of other runs or machines do not compare.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { a2tgpo, configure, estimateAdvantages, grpo, info, policyLossSync, segmentTurns } from 'turnwise';

const root = fileURLToPath(new URL('../..', import.meta.url));

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}

function run(command: string, args: string[]): void {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) fail(`${command} failed${error ? `: ${error.message}` : ''}`);
}

/** A C++ bench with the sources of `folders`, built and run. */
function native(name: string, folders: readonly string[], args: string[] = []): void {
  const sources = folders.flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((file) => file.endsWith('.cpp'))
      .map((file) => `${folder}/${file}`),
  );
  mkdirSync(join(root, 'build'), { recursive: true });
  const flags = ['-std=c++17', '-O3', '-ffp-contract=off', '-fno-math-errno', '-pthread'];
  run('g++', [...flags, `bench/native/${name}.cpp`, ...sources, '-o', `build/${name}`]);
  run(`build/${name}`, args);
}

/** Forward and fused kernels in ns per logit, with the floor of the same bytes on the same threads. */
function rows(): void {
  native(
    'rows_bench',
    ['native/cpu', 'native/cpu/credit', 'native/cpu/loss', 'native/cpu/rows'],
    process.argv.slice(2),
  );
}

function time(label: string, unit: string, perUnit: number, repeats: number, body: () => void): number {
  body();
  const times = Array.from({ length: repeats }, () => {
    const start = performance.now();
    body();
    return (performance.now() - start) / perUnit;
  }).sort((a, b) => a - b);
  const [min] = times;
  const median = times[times.length >> 1];
  console.log(
    `${label.padEnd(52)} min ${min.toFixed(4).padStart(9)}   median ${median.toFixed(4).padStart(9)} ${unit}`,
  );
  return min;
}

/** 1e6 turns, 16 000 prompts of 12 or 13 rollouts of 5 turns: 64 000 groups of one prompt and turn, the last turns having no gain. */
function phaseA(): void {
  const prompts = 16_000;
  const trajectories = 200_000;
  const turnsEach = 5;
  const count = trajectories * turnsEach;
  const trajectoryOffsets = Int32Array.from({ length: trajectories + 1 }, (_, m) => m * turnsEach);
  const turnIds = Int32Array.from({ length: count }, (_, n) => n % turnsEach);
  const turns = segmentTurns({ trajectoryOffsets, turnIds });
  const groups = Int32Array.from({ length: trajectories }, (_, m) => Math.floor((m * prompts) / trajectories));
  const outcome = Float64Array.from({ length: trajectories }, (_, m) => Math.sin(m));
  const last = (n: number) => n % turnsEach === turnsEach - 1;
  const informationGain = Float64Array.from({ length: count }, (_, n) => (last(n) ? Number.NaN : Math.cos(n)));
  const input = { turns, groups, outcome, informationGain };
  const { threads } = info();
  native('credit_bench', ['native/cpu/credit', 'native/checks']);
  configure({ threads: 1 });
  time('estimateAdvantages, a2tgpo, 1e6 turns', 'ms', 1, 15, () => {
    estimateAdvantages(input, a2tgpo());
  });
  configure({ threads: threads ?? 1 });
}

/** One step of [1024 x 32000] in place, by ratio level. */
function steps(): void {
  const tokens = 1024;
  const vocabulary = 32_000;
  const source = Float32Array.from({ length: tokens * vocabulary }, (_, i) => ((i * 2654435761) % 65536) / 6553.6);
  const logits = source.slice();
  const targets = Int32Array.from({ length: tokens }, (_, n) => (n * 7919) % vocabulary);
  const oldLogProbs = new Float32Array(tokens).fill(-12.3);
  const trajectoryOffsets = Int32Array.from({ length: 9 }, (_, m) => (m * tokens) / 8);
  const turnIds = Int32Array.from({ length: tokens }, (_, n) => (n % 128) >> 5);
  const turns = segmentTurns({ trajectoryOffsets, turnIds });
  const advantages = Float64Array.from({ length: turns.count }, (_, k) => Math.sin(k));
  const clipScale = new Float64Array(turns.count).fill(1);
  const batch = { logits, targets, oldLogProbs, turns, advantages, clipScale };
  const unit = (tokens * vocabulary) / 1e6;
  const cases = [
    ['token ratio (grpo)', grpo(), {}],
    ['turn ratio (a2tgpo), turns of 32 rows', a2tgpo(), {}],
    ['turn ratio, deferred row scale', a2tgpo(), { rowScale: 'deferred' }],
  ] as const;
  for (const [label, estimator, options] of cases) {
    time(`policyLossSync in place, ${label}`, 'ns/logit', unit, 9, () => {
      policyLossSync(batch, estimator, { inPlace: true, nonFinite: 'propagate', ...options });
    });
  }
  time('policyLossSync of one token, V = 2 (overhead)', 'us', 1e-3, 2000, () => {
    policyLossSync({ ...TINY, advantages: [1] }, TINY_ESTIMATOR);
  });
}

const TINY = {
  logits: Float32Array.of(0, 1),
  targets: Int32Array.of(0),
  oldLogProbs: Float32Array.of(-1),
  advantageLevel: 'token',
} as const;
const TINY_ESTIMATOR = grpo({ aggregate: 'token-mean' });

console.log(JSON.stringify(info()));
rows();
phaseA();
steps();
