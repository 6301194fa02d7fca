import { LARGEST_SIGNAL } from '../check/arrays.js';
import { describe } from '../check/describe.js';
import { Fields } from '../check/fields.js';
import type { Turns } from '../data/turns.js';
import { InvalidInputError } from '../errors.js';
import type { Estimator } from '../estimator/estimator.js';
import { needs } from '../estimator/plan.js';
import type { Needs } from '../estimator/stages/channel.js';
import { checkLastTurns, type Signals } from './signals.js';

/** One trajectory's raw signals; null = no signal (NaN), so that JSON keeps it. */
export interface CreditRow {
  /** Unique over all parts. */
  id: number;
  group: number;
  outcome: number | null;
  /** Per turn. */
  index: number[];
  tokens: number[];
  turnRewards: (number | null)[] | null;
  informationGain: (number | null)[] | null;
}

export interface CreditRows {
  version: 1;
  /** The signals that the rows carry; an estimator that needs another one refuses them. */
  signals: SignalName[];
  trajectories: CreditRow[];
}

export type SignalName = (typeof SIGNAL_NAMES)[number];
export const SIGNAL_NAMES = ['outcome', 'turnRewards', 'informationGain'] as const;

/** Parts put together: trajectories by ascending id, so that no result depends on how they were split. */
export function mergeRows(parts: readonly CreditRows[], estimator: Estimator): { signals: Signals; ids: Float64Array } {
  const needed = needs(estimator);
  const rows = parts.flatMap((part, p) => readPart(part, `rows[${p}]`, needed));
  rows.sort((a, b) => a.id - b.id);
  const unique = rows.filter((row, i) => i === 0 || !isRepeated(rows[i - 1], row));
  // Rows carry no positions, and credit asks for none; the union may have more tokens than an int32 offset could say.
  const count = unique.reduce((sum, row) => sum + row.index.length, 0);
  const turns: Turns = {
    count,
    starts: new Int32Array(count),
    ends: new Int32Array(count),
    tokens: Int32Array.from(unique.flatMap((row) => row.tokens)),
    trajectory: Int32Array.from(unique.flatMap((row, m) => row.index.map(() => m))),
    index: Int32Array.from(unique.flatMap((row) => row.index)),
  };
  const real = (values: readonly (number | null)[]) => Float64Array.from(values, (value) => value ?? Number.NaN);
  const signals: Signals = {
    turns,
    groups: Int32Array.from(unique, (row) => row.group),
    outcome: needed.outcome ? real(unique.map((row) => row.outcome)) : null,
    turnRewards: needed.turnRewards ? real(unique.flatMap((row) => row.turnRewards ?? [])) : null,
    informationGain: needed.informationGain ? real(unique.flatMap((row) => row.informationGain ?? [])) : null,
  };
  checkLastTurns(signals, estimator);
  return { ids: Float64Array.from(unique, (row) => row.id), signals };
}

function readPart(part: unknown, path: string, needed: Needs): CreditRow[] {
  const fields = new Fields(part, path);
  fields.number('version', { integer: true, min: 1, max: 1 });
  const signals = fields.take('signals');
  const trajectories = fields.take('trajectories');
  fields.end();
  for (const [name, value] of Object.entries({ signals, trajectories })) {
    if (Array.isArray(value)) continue;
    const received = describe(value);
    throw new InvalidInputError({ code: 'ERR_TYPE', path: `${path}.${name}`, expected: 'an array', received });
  }
  const stranger = (signals as unknown[]).find((name) => !(SIGNAL_NAMES as readonly unknown[]).includes(name));
  if (stranger !== undefined) {
    const expected = `one of ${SIGNAL_NAMES.join(', ')}`;
    throw new InvalidInputError({ code: 'ERR_RANGE', path: `${path}.signals`, expected, received: describe(stranger) });
  }
  for (const name of SIGNAL_NAMES) {
    if (!needed[name] || (signals as unknown[]).includes(name)) continue;
    const expected = `${name}, which the estimator needs`;
    throw new InvalidInputError({
      code: 'ERR_MISSING',
      path: `${path}.signals`,
      expected,
      received: describe(signals),
    });
  }
  return Array.from(trajectories as unknown[], (row, i) => {
    const read = readRow(row, `${path}.trajectories[${i}]`, (signals as unknown[]).includes('outcome'));
    for (const name of ['turnRewards', 'informationGain'] as const) {
      if (needed[name] && read[name] === null) missing(`${path}.trajectories[${i}].${name}`);
    }
    const falls = read.index.findIndex((index, j) => j > 0 && index <= read.index[j - 1]);
    if (falls > 0) {
      throw new InvalidInputError({
        code: 'ERR_TURNS',
        path: `${path}.trajectories[${i}].index[${falls}]`,
        expected: `at least ${read.index[falls - 1] + 1} (indices increase along a trajectory)`,
        received: String(read.index[falls]),
      });
    }
    return read;
  });
}

/** The same trajectory twice (a padded or fanned-out row) counts once; the same id with other content is an error. */
function isRepeated(a: CreditRow, b: CreditRow): boolean {
  if (a.id !== b.id) return false;
  if (JSON.stringify(a) === JSON.stringify(b)) return true;
  const expected = `one trajectory with id ${a.id}`;
  const hint = 'Give estimateAdvantages trajectoryIds that are unique over all parts';
  const received = 'two that differ';
  throw new InvalidInputError({ code: 'ERR_RANGE', path: 'rows', expected, received, hint });
}

function missing(path: string): never {
  throw new InvalidInputError({ code: 'ERR_MISSING', path, expected: 'one value per turn', received: 'null' });
}

function readRow(value: unknown, path: string, hasOutcome: boolean): CreditRow {
  const fields = new Fields(value, path);
  if (hasOutcome) fields.required('outcome', 'a number, or null for an unscored trajectory');
  const index = integers(fields, 'index', undefined);
  const row: CreditRow = {
    id: fields.number('id', { integer: true, min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER }),
    group: fields.number('group', { integer: true, min: -(2 ** 31), max: 2 ** 31 - 1 }),
    outcome: fields.numberOrNull('outcome', { min: -LARGEST_SIGNAL, max: LARGEST_SIGNAL }, null),
    index,
    tokens: integers(fields, 'tokens', index.length),
    turnRewards: reals(fields, 'turnRewards', index.length),
    informationGain: reals(fields, 'informationGain', index.length),
  };
  fields.end();
  return row;
}

function integers(fields: Fields, name: string, length: number | undefined): number[] {
  const value = fields.take(name);
  const fits = (item: unknown) => Number.isInteger(item) && (item as number) >= 0 && (item as number) < 2 ** 31;
  if (Array.isArray(value) && (length === undefined || value.length === length) && Array.from(value).every(fits))
    return [...value];
  const expected = `an array of ${length ?? 'any number of'} counts`;
  throw new InvalidInputError({ code: 'ERR_TYPE', path: fields.at(name), expected, received: describe(value) });
}

function reals(fields: Fields, name: string, length: number): (number | null)[] | null {
  const value = fields.take(name) ?? null;
  const fits = (item: unknown) => item === null || (typeof item === 'number' && Math.abs(item) <= LARGEST_SIGNAL);
  if (value === null || (Array.isArray(value) && value.length === length && Array.from(value).every(fits)))
    return value;
  const expected = `null, or an array of ${length} numbers or nulls`;
  throw new InvalidInputError({ code: 'ERR_TYPE', path: fields.at(name), expected, received: describe(value) });
}
