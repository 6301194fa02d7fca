import { Fields } from '../check/fields.js';
import { InvalidInputError } from '../errors.js';
import { describeEstimator, differences, STAGES } from '../estimator/describe.js';
import type { Estimator } from '../estimator/types.js';
import { makePreset, presets } from '../presets/index.js';

export const estimatorsHelp = `  estimators                every method, by its stages
  estimators <name>         the stages of one, and its data
      --options <json>      the preset's options, e.g. '{"compat":"verl"}'
      --diff <other>        where it differs from another method; the other's options after a colon: grpo:{"compat":"trl"}
      --json                only the data`;

interface Flags {
  json?: boolean | undefined;
  diff?: string | undefined;
  options?: string | undefined;
}

export function estimatorsCommand(names: string[], { json, diff, options }: Flags): string {
  if (names.length > 1) fail('name', 'one method', names.join(' '));
  const [name] = names;
  if (name === undefined) {
    if (diff !== undefined || options !== undefined) fail('name', 'a method', 'none');
    return json ? text(Object.fromEntries(Object.keys(presets).map((each) => [each, make(each).estimator]))) : list();
  }
  const { estimator, example } = make(name, options);
  if (diff !== undefined) return diffOf(estimator, diff, json === true);
  const note = example ? `\nRequired options, shown with ${JSON.stringify(example)}` : '';
  return json ? text(estimator) : `${stages(estimator)}${note}\n\n${text(estimator)}`;
}

/** By the function's name, or the one that its estimators carry (`dr-grpo`). */
function make(given: string, options?: string) {
  const known = Object.keys(presets);
  const plain = (text: string) => text.replaceAll('-', '').toLowerCase();
  const name = known.find((each) => plain(each) === plain(given)) ?? given;
  return makePreset(new Fields({ name }, '').oneOf('name', known), parse(options));
}

function parse(options: string | undefined): object {
  if (options === undefined) return {};
  let value: unknown;
  try {
    value = JSON.parse(options);
  } catch {
    value = undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return fail('--options', 'a JSON object', options);
  }
  return value;
}

function list(): string {
  const rows = Object.keys(presets).map((name) => {
    const { signal, group, ratio, gate } = describeEstimator(make(name).estimator);
    return [name, ...[signal, group].map((cell) => cell.replaceAll('\n', ' | ')), ratio, gate];
  });
  return table([['name', 'signal', 'group', 'ratio', 'gate'], ...rows]);
}

function stages(estimator: Estimator): string {
  const description = describeEstimator(estimator);
  const rows = STAGES.filter((stage) => description[stage] !== '').flatMap((stage) =>
    description[stage].split('\n').map((line, i) => [i === 0 ? stage : '', line]),
  );
  return `${estimator.name}\n${table(rows)}`;
}

function diffOf(estimator: Estimator, other: string, json: boolean): string {
  const colon = other.indexOf(':');
  const [name, options] = colon < 0 ? [other, undefined] : [other.slice(0, colon), other.slice(colon + 1)];
  const found = differences(estimator, make(name, options).estimator).filter(([path]) => path !== 'name');
  if (json) return text(found.map(([path, mine, theirs]) => ({ path, [estimator.name]: mine, [other]: theirs })));
  if (found.length === 0) return `${estimator.name} and ${other} are the same data`;
  const show = (value: unknown) => (value === undefined ? '(absent)' : JSON.stringify(value));
  return table([['', estimator.name, other], ...found.map(([path, a, b]) => [path, show(a), show(b)])]);
}

function table(rows: string[][]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function text(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

function fail(path: string, expected: string, received: string): never {
  throw new InvalidInputError({ code: 'ERR_RANGE', path, expected, received });
}
