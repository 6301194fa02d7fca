import { int32 } from '../check/arrays.js';
import { Fields } from '../check/fields.js';
import { InvalidInputError } from '../errors.js';
import type { Turns } from './turns.js';

/** What `turns` may refer to, where it is known. */
interface Within {
  /** N */
  tokens?: number;
  /** M */
  trajectories?: number;
}

function fail(path: string, k: number, expected: string, received: number): never {
  throw new InvalidInputError({ code: 'ERR_TURNS', path: `${path}[${k}]`, expected, received: String(received) });
}

/** Checks a `Turns` value (usually from segmentTurns, but any object of that shape): lengths, order, ranges. O(K). */
export function readTurns(value: unknown, path: string, within: Within = {}): Turns {
  const fields = new Fields(value, path);
  const count = fields.number('count', { integer: true, min: 0 });
  const read = (name: string) => int32(fields.take(name), fields.at(name), '[K]', count);
  const starts = read('starts');
  const ends = read('ends');
  const tokens = read('tokens');
  const trajectory = read('trajectory');
  const index = read('index');
  fields.end();
  const { tokens: tokenCount = 2 ** 31 - 1, trajectories = 2 ** 31 - 1 } = within;
  for (let k = 0; k < count; k++) {
    const least = k === 0 ? 0 : ends[k - 1];
    if (starts[k] < least)
      fail(`${path}.starts`, k, `at least ${least} (turns are sorted and do not overlap)`, starts[k]);
    if (ends[k] < starts[k]) fail(`${path}.ends`, k, `at least ${path}.starts[${k}] (${starts[k]})`, ends[k]);
    if (ends[k] > tokenCount) fail(`${path}.ends`, k, `at most ${tokenCount} (the number of tokens)`, ends[k]);
    if (tokens[k] < 0 || tokens[k] > ends[k] - starts[k]) {
      fail(`${path}.tokens`, k, `a count in [0, ${ends[k] - starts[k]}] (the span's length)`, tokens[k]);
    }
    if (trajectory[k] < (k === 0 ? 0 : trajectory[k - 1]) || trajectory[k] >= trajectories) {
      const bound = within.trajectories === undefined ? '' : ` and below ${trajectories}`;
      fail(`${path}.trajectory`, k, `at least ${k === 0 ? 0 : trajectory[k - 1]}${bound}`, trajectory[k]);
    }
    const first = k === 0 || trajectory[k - 1] !== trajectory[k];
    if (index[k] < (first ? 0 : index[k - 1] + 1)) {
      fail(
        `${path}.index`,
        k,
        `at least ${first ? 0 : index[k - 1] + 1} (indices increase along a trajectory)`,
        index[k],
      );
    }
  }
  return { count, starts, ends, tokens, trajectory, index };
}
