import { describe } from '../check/describe.js';
import { Fields } from '../check/fields.js';
import type { Turns } from '../data/turns.js';
import { InvalidInputError } from '../errors.js';
import { countDenominators as count } from '../reference/ops/count_denominators.js';

/**
 * What losses are averaged over: exact counts over everything that shares one optimiser step. Plain JSON; those of several
 * parts add up.
 */
export interface Denominators {
  /** Loss tokens. */
  readonly tokens: number;
  /** Turns with a loss token. */
  readonly turns: number;
  /** Trajectories with a loss token. */
  readonly sequences: number;
  /** Prompts with a loss token; 0 where no groups were given. They add up over parts that share no prompt. */
  readonly prompts: number;
}

/** Denominators from elsewhere, which may have been counted without prompts. */
export type DenominatorsInput = Omit<Denominators, 'prompts'> & Partial<Pick<Denominators, 'prompts'>>;

/** @param groups [M] prompt of each trajectory, where known */
export function countDenominators(turns: Turns, groups: Int32Array | null): Denominators {
  return Object.freeze(count(turns, groups));
}

/**
 * Checks a denominators object.
 *
 * @param least counts of a part that they include
 * @param prompts whether the loss is a mean over prompts; most are not, and parts that were counted without groups are welcome there
 */
export function readDenominators(
  value: unknown,
  path: string,
  { least, prompts = false }: { least?: Denominators; prompts?: boolean } = {},
): Denominators {
  const fields = new Fields(value, path);
  const count = (name: 'tokens' | 'turns' | 'sequences') =>
    fields.number(name, { integer: true, min: least?.[name] ?? 0 });
  const result = {
    tokens: count('tokens'),
    turns: count('turns'),
    sequences: count('sequences'),
    prompts: prompts
      ? fields.number('prompts', { integer: true, min: least?.prompts ?? 0 })
      : fields.number('prompts', { integer: true, min: 0 }, least?.prompts ?? 0),
  };
  fields.end();
  return Object.freeze(result);
}

/** Adds the denominators of micro-batches or ranks whose trajectories are different ones. */
export function sumDenominators(parts: readonly DenominatorsInput[]): Denominators {
  if (!Array.isArray(parts)) {
    const expected = 'an array of denominators';
    throw new InvalidInputError({ code: 'ERR_TYPE', path: 'parts', expected, received: describe(parts) });
  }
  const read = parts.map((part, i) => readDenominators(part, `parts[${i}]`));
  const sum = (name: keyof Denominators) => read.reduce((total, part) => total + part[name], 0);
  return Object.freeze({
    tokens: sum('tokens'),
    turns: sum('turns'),
    sequences: sum('sequences'),
    prompts: sum('prompts'),
  });
}
