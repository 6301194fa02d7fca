/** Raw signals of trajectories as plain data: what ranks exchange. */
import { LARGEST_SIGNAL } from '../check/arrays.js';
import { describe } from '../check/describe.js';
import { Fields } from '../check/fields.js';
import type { Turns } from '../data/turns.js';
import { InvalidInputError } from '../errors.js';
import { type CreditInput, creditInputs, type InputKind, readsTokens } from '../estimator/inputs.js';
import type { SignalArrays } from '../estimator/plan.js';
import type { Estimator } from '../estimator/types.js';
import type { Level } from '../ops.js';
import { packedEnds, packedTurns } from './packed.js';
import { checkSignals, type Signals } from './signals.js';

/** One trajectory; null = no signal (NaN), so that JSON keeps it. */
export interface CreditRow {
  /** Unique over all parts. */
  id: number;
  group: number;
  /** Per turn. */
  index: number[];
  tokens: number[];
  /** By the path of the input (`outcome`, `signals.format`): one value, or one per turn, or one per loss token. */
  values: Record<string, (number | null) | (number | null)[]>;
}

export interface CreditRows {
  version: 1;
  /** Levels of the signals that the rows carry; an estimator that needs another one refuses them. */
  signals: Record<string, Level>;
  trajectories: CreditRow[];
}

/** @param signals packed; @param first [M+1] first turn of each trajectory */
export function rowsOf(
  { turns, groups, arrays }: Signals,
  ids: Float64Array,
  first: Int32Array,
  inputs: ReadonlyMap<string, CreditInput>,
): CreditRows {
  const ends = packedEnds(turns);
  const carried = Array.from(inputs).filter(([path]) => arrays[path] !== undefined);
  const plain = (value: number) => (Number.isNaN(value) ? null : value);
  const tokensBefore = (k: number) => (k === 0 ? 0 : ends[k - 1]);
  const valuesOf = (path: string, level: Level, m: number) => {
    if (level === 'sequence') return plain(arrays[path][m]);
    const [begin, end] =
      level === 'turn' ? [first[m], first[m + 1]] : [tokensBefore(first[m]), tokensBefore(first[m + 1])];
    return Array.from(arrays[path].subarray(begin, end), plain);
  };
  return {
    version: 1,
    signals: Object.fromEntries(carried.map(([path, { level }]) => [path, level])),
    trajectories: Array.from(groups, (group, m) => ({
      id: ids[m],
      group,
      index: Array.from(turns.index.subarray(first[m], first[m + 1])),
      tokens: Array.from(turns.tokens.subarray(first[m], first[m + 1])),
      values: Object.fromEntries(carried.map(([path, { level }]) => [path, valuesOf(path, level, m)])),
    })),
  };
}

/** Parts put together: trajectories by ascending id, so that no result depends on how they were split. */
export function mergeRows(parts: readonly CreditRows[], estimator: Estimator): { signals: Signals; ids: Float64Array } {
  const inputs = inputsOf(parts, estimator);
  const rows = parts.flatMap((part, p) => readPart(part, `rows[${p}]`, inputs));
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
  const perToken = readsTokens(estimator);
  const tokens = turns.tokens.reduce((sum, n) => sum + n, 0);
  const arrays = Array.from(inputs, ([path, { kind }]) => [path, arrayOf(unique, path, kind)]);
  const signals: Signals = {
    turns: perToken ? packedTurns(turns) : turns,
    groups: Int32Array.from(unique, (row) => row.group),
    actionMask: perToken ? new Uint8Array(tokens).fill(1) : null,
    arrays: Object.fromEntries(arrays) as SignalArrays,
  };
  checkSignals(signals, estimator);
  return { ids: Float64Array.from(unique, (row) => row.id), signals };
}

/** What the estimator needs, and of the rest what some part carries: then all must. */
function inputsOf(parts: readonly CreditRows[], estimator: Estimator): ReadonlyMap<string, CreditInput> {
  const carried = new Set(parts.flatMap((part) => Object.keys(part?.signals ?? {})));
  return new Map(Array.from(creditInputs(estimator)).filter(([path, { optional }]) => !optional || carried.has(path)));
}

const ARRAYS = { signal: Float64Array, key: Int32Array, flag: Uint8Array, 'log-prob': Float32Array } as const;

function arrayOf(rows: readonly CreditRow[], path: string, kind: InputKind): SignalArrays[string] {
  const values = rows.flatMap((row) => row.values[path]);
  return new ARRAYS[kind](values.map((value) => value ?? Number.NaN));
}

function readPart(part: unknown, path: string, inputs: ReadonlyMap<string, CreditInput>): CreditRow[] {
  const fields = new Fields(part, path);
  fields.number('version', { integer: true, min: 1, max: 1 });
  const signals = fields.object('signals', (f) =>
    Object.fromEntries(f.keys().map((name) => [name, f.oneOf(name, ['token', 'turn', 'sequence'])])),
  );
  const trajectories = fields.take('trajectories');
  fields.end();
  if (!Array.isArray(trajectories)) {
    const received = describe(trajectories);
    throw new InvalidInputError({ code: 'ERR_TYPE', path: `${path}.trajectories`, expected: 'an array', received });
  }
  for (const [name, { level }] of inputs) {
    if (signals[name] === level) continue;
    throw new InvalidInputError({
      code: 'ERR_MISSING',
      path: `${path}.signals`,
      expected: `${name} per ${level}, which the estimator needs`,
      received: JSON.stringify(signals),
    });
  }
  return Array.from(trajectories, (row, i) => readRow(row, `${path}.trajectories[${i}]`, signals, inputs));
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

function readRow(
  value: unknown,
  path: string,
  levels: Readonly<Record<string, Level>>,
  inputs: ReadonlyMap<string, CreditInput>,
): CreditRow {
  const fields = new Fields(value, path);
  const index = integers(fields, 'index', undefined);
  const tokens = integers(fields, 'tokens', index.length);
  const lengths = { turn: index.length, token: tokens.reduce((sum, n) => sum + n, 0) };
  const row: CreditRow = {
    id: fields.number('id', { integer: true, min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER }),
    group: fields.number('group', { integer: true, min: -(2 ** 31), max: 2 ** 31 - 1 }),
    index,
    tokens,
    values: fields.object('values', (f) =>
      Object.fromEntries(
        Object.entries(levels).map(([name, level]) => {
          const length = level === 'sequence' ? null : lengths[level];
          return [name, readValues(f, name, length, inputs.get(name)?.kind ?? 'signal')];
        }),
      ),
    ),
  };
  fields.end();
  const falls = row.index.findIndex((at, j) => j > 0 && at <= row.index[j - 1]);
  if (falls <= 0) return row;
  throw new InvalidInputError({
    code: 'ERR_TURNS',
    path: `${path}.index[${falls}]`,
    expected: `at least ${row.index[falls - 1] + 1} (indices increase along a trajectory)`,
    received: String(row.index[falls]),
  });
}

const FITS: Readonly<Record<InputKind, (value: number) => boolean>> = {
  signal: (value) => Math.abs(value) <= LARGEST_SIGNAL,
  key: (value) => Number.isInteger(value) && value === (value | 0),
  flag: (value) => value === 0 || value === 1,
  'log-prob': (value) => Number.isFinite(value),
};
const EXPECTED: Readonly<Record<InputKind, string>> = {
  signal: 'a number or null',
  key: 'a 32-bit integer',
  flag: '0 or 1',
  'log-prob': 'a finite number',
};

function readValues(fields: Fields, name: string, length: number | null, kind: InputKind): CreditRow['values'][string] {
  const value = fields.take(name);
  const fits = (item: unknown) => (item === null ? kind === 'signal' : typeof item === 'number' && FITS[kind](item));
  if (
    length === null ? fits(value) : Array.isArray(value) && value.length === length && Array.from(value).every(fits)
  ) {
    return value as CreditRow['values'][string];
  }
  const expected = length === null ? EXPECTED[kind] : `an array of ${length}, each ${EXPECTED[kind]}`;
  const code = value === undefined ? 'ERR_MISSING' : 'ERR_TYPE';
  throw new InvalidInputError({ code, path: fields.at(name), expected, received: describe(value) });
}

function integers(fields: Fields, name: string, length: number | undefined): number[] {
  const value = fields.take(name);
  const fits = (item: unknown) => Number.isInteger(item) && (item as number) >= 0 && (item as number) < 2 ** 31;
  if (Array.isArray(value) && (length === undefined || value.length === length) && Array.from(value).every(fits))
    return [...value];
  const expected = `an array of ${length ?? 'any number of'} counts`;
  throw new InvalidInputError({ code: 'ERR_TYPE', path: fields.at(name), expected, received: describe(value) });
}
