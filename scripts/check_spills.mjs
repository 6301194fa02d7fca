/**
 * Fails when a CUDA kernel spills registers on one of its architectures: it would read and write memory in its inner loop, and
 * nobody would notice but by the clock. Prints kernel x architecture: registers, static shared memory, spilled bytes.
 *
 * node scripts/check_spills.mjs [log]      the log of a build; default: that of `npm run prebuilds`
 *
 * Reads what ptxas says during the build (cmake/cuda.cmake asks for it), so that nothing is compiled twice.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './tree.mjs';

export const buildLog = join(root, 'build', 'cmake.log');

/** @typedef {{ registers: number | null, shared: number, spilled: number }} Usage registers: null for a function that kernels call */

/**
 * @param {string} log
 * @returns {Map<string, Map<string, Usage>>} mangled name -> architecture -> usage
 */
function readUsage(log) {
  const usage = new Map();
  let kernel = '';
  let architecture = '';
  let subject = '';
  const of = (name) => {
    if (!usage.has(name)) usage.set(name, new Map());
    const ofName = usage.get(name);
    if (!ofName.has(architecture)) ofName.set(architecture, { registers: null, shared: 0, spilled: 0 });
    return ofName.get(architecture);
  };
  for (const line of log.split('\n')) {
    const entry = /Compiling entry function '(\S+)' for '(\w+)'/.exec(line);
    const properties = /Function properties for (\S+)/.exec(line);
    const spills = /(\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line);
    const used = /Used (\d+) registers/.exec(line);
    if (entry) [, kernel, architecture] = entry;
    else if (properties) subject = properties[1];
    else if (spills) of(subject).spilled = Number(spills[1]) + Number(spills[2]);
    else if (used) {
      of(kernel).registers = Number(used[1]);
      of(kernel).shared = Number(/(\d+) bytes smem/.exec(line)?.[1] ?? 0);
    }
  }
  return usage;
}

/** `turnwise::cuda::(anonymous namespace)::xKernel<1>(...)` -> `xKernel<1>`; mangled where binutils are missing. */
function readable(names) {
  const { status, stdout } = spawnSync('c++filt', { input: names.join('\n'), encoding: 'utf8' });
  if (status !== 0) return names;
  return stdout
    .trimEnd()
    .split('\n')
    .map((name) => name.replace(/^void |\(anonymous namespace\)::|\w+::/g, '').replace(/\([^()]*\)$/, ''));
}

/**
 * @param {string} log of a build by CMake
 * @returns {{ table: string[], problems: string[] }}
 */
export function checkSpills(log) {
  const [, answer] = /CUDA backend: (built by .*|left out.*)/.exec(log) ?? [];
  if (answer === undefined) return { table: [], problems: ['the log does not say whether CUDA was built'] };
  if (answer.startsWith('left out')) return { table: [`no CUDA kernels: ${answer}`], problems: [] };

  const architectures = [...answer.matchAll(/(\d+\w?)-real/g)].map(([, number]) => `sm_${number}`);
  const usage = readUsage(log);
  const kernels = [...usage].filter(([, ofName]) => [...ofName.values()].some((one) => one.registers !== null));
  if (architectures.length === 0 || kernels.length === 0) {
    return { table: [], problems: [`ptxas said nothing of any kernel (${answer})`] };
  }

  const shown = readable([...usage.keys()]);
  const nameOf = new Map([...usage.keys()].map((name, index) => [name, shown[index]]));
  const problems = [];
  for (const [name, ofName] of usage) {
    for (const [architecture, { spilled }] of ofName) {
      if (spilled > 0) problems.push(`${nameOf.get(name)} spills on ${architecture}: ${spilled} bytes`);
    }
  }
  for (const [name, ofName] of kernels) {
    const missing = architectures.filter((one) => !ofName.has(one));
    if (missing.length > 0) problems.push(`${nameOf.get(name)}: ptxas said nothing of ${missing.join(', ')}`);
  }

  const cells = kernels.map(([name, ofName]) => [
    nameOf.get(name),
    ...architectures.map((one) => {
      const use = ofName.get(one);
      return use ? `${use.registers} / ${use.shared} / ${use.spilled}` : '-';
    }),
  ]);
  const rows = [['registers / shared bytes / spilled bytes', ...architectures], ...cells.sort()];
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return {
    table: rows.map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    ),
    problems,
  };
}

/** Prints the table and what is wrong. @returns {boolean} whether nothing is */
export function reportSpills(log) {
  const { table, problems } = checkSpills(log);
  for (const line of table) console.log(line);
  for (const problem of problems) console.error(`  ${problem}`);
  return problems.length === 0;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.exit(reportSpills(readFileSync(process.argv[2] ?? buildLog, 'utf8')) ? 0 : 1);
}
