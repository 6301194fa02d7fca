import { describe } from '../check/describe.js';
import type { Fields } from '../check/fields.js';
import { InvalidInputError } from '../errors.js';

/** `clip: [low, high]`, epsilons of the range [1 - low, 1 + high]. */
export function readClip(fields: Fields, fallback: readonly [number, number]): readonly [low: number, high: number] {
  const value = fields.take('clip') ?? fallback;
  const path = fields.at('clip');
  if (!Array.isArray(value) || value.length !== 2) {
    throw new InvalidInputError({ code: 'ERR_TYPE', path, expected: 'a pair [low, high]', received: describe(value) });
  }
  const [low, high]: unknown[] = value;
  if (typeof low !== 'number' || !(low >= 0 && low <= 1)) {
    const expected = 'a number in [0, 1]';
    throw new InvalidInputError({ code: 'ERR_RANGE', path: `${path}.low`, expected, received: describe(low) });
  }
  if (typeof high !== 'number' || !(high >= 0 && high < Infinity)) {
    const expected = 'a finite number of at least 0';
    throw new InvalidInputError({ code: 'ERR_RANGE', path: `${path}.high`, expected, received: describe(high) });
  }
  return [low, high];
}
