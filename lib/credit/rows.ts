import { describe } from '../check/describe.js';
import { Fields } from '../check/fields.js';
import { InvalidInputError } from '../errors.js';
import type { Estimator } from '../estimator/estimator.js';
import { needs } from '../estimator/plan.js';
import type { Signals } from './signals.js';

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
  trajectories: CreditRow[];
}

/** Parts put together: trajectories by ascending id, so that no result depends on how they were split. */
export function mergeRows(parts: readonly CreditRows[], estimator: Estimator): { signals: Signals; ids: Float64Array } {
  const rows = parts.flatMap((part, p) => {
    const fields = new Fields(part, `rows[${p}]`);
    fields.number('version', { integer: true, min: 1, max: 1 });
    const trajectories = fields.take('trajectories');
    fields.end();
    if (!Array.isArray(trajectories)) {
      const path = `rows[${p}].trajectories`;
      throw new InvalidInputError({ code: 'ERR_TYPE', path, expected: 'an array', received: describe(trajectories) });
    }
    return trajectories.map((row, i) => readRow(row, `rows[${p}].trajectories[${i}]`));
  });
  rows.sort((a, b) => a.id - b.id);
  const unique = rows.filter((row, i) => i === 0 || !isRepeated(rows[i - 1], row));
  const turns = unique.flatMap((row, m) => row.index.map((index, j) => ({ m, index, tokens: row.tokens[j] })));
  // Tokens have no place here: spans are laid out as if every loss token followed the other.
  const ends = Int32Array.from(turns, (turn) => turn.tokens);
  for (let k = 1; k < ends.length; k++) ends[k] += ends[k - 1];
  const needed = needs(estimator);
  const perTurn = (name: 'turnRewards' | 'informationGain') =>
    needed[name]
      ? Float64Array.from(unique.flatMap((row) => row[name] ?? missing(name, row)).map((value) => value ?? Number.NaN))
      : null;
  return {
    ids: Float64Array.from(unique, (row) => row.id),
    signals: {
      turns: {
        count: turns.length,
        starts: Int32Array.from(ends, (end, k) => end - turns[k].tokens),
        ends,
        tokens: Int32Array.from(turns, (turn) => turn.tokens),
        trajectory: Int32Array.from(turns, (turn) => turn.m),
        index: Int32Array.from(turns, (turn) => turn.index),
      },
      groups: Int32Array.from(unique, (row) => row.group),
      outcome: needed.outcome ? Float64Array.from(unique, (row) => row.outcome ?? Number.NaN) : null,
      turnRewards: perTurn('turnRewards'),
      informationGain: perTurn('informationGain'),
    },
  };
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

function missing(name: string, row: CreditRow): never {
  const path = `rows: trajectory ${row.id}, ${name}`;
  throw new InvalidInputError({ code: 'ERR_MISSING', path, expected: 'one value per turn', received: 'null' });
}

function readRow(value: unknown, path: string): CreditRow {
  const fields = new Fields(value, path);
  const index = integers(fields, 'index', undefined);
  const row: CreditRow = {
    id: fields.number('id', { integer: true }),
    group: fields.number('group', { integer: true, min: -(2 ** 31), max: 2 ** 31 - 1 }),
    outcome: fields.numberOrNull('outcome', {}, null),
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
  if (Array.isArray(value) && (length === undefined || value.length === length) && value.every(fits)) return [...value];
  const expected = `an array of ${length ?? 'any number of'} counts`;
  throw new InvalidInputError({ code: 'ERR_TYPE', path: fields.at(name), expected, received: describe(value) });
}

function reals(fields: Fields, name: string, length: number): (number | null)[] | null {
  const value = fields.take(name) ?? null;
  const fits = (item: unknown) => item === null || (typeof item === 'number' && Number.isFinite(item));
  if (value === null || (Array.isArray(value) && value.length === length && value.every(fits))) return value;
  const expected = `null, or an array of ${length} numbers or nulls`;
  throw new InvalidInputError({ code: 'ERR_TYPE', path: fields.at(name), expected, received: describe(value) });
}
