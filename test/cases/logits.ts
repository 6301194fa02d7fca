/** Logits for the ops that read them: shapes and contents, each with its reason. Shared by gather, gradient and accuracy tests. */
import type { DTypeOfLogits, Rows } from '../../lib/ops.js';
import { decode, encode } from '../support/numbers.js';
import { type Random, random } from '../support/random.js';

export const DTYPES: readonly DTypeOfLogits[] = ['f32', 'bf16', 'f16'];

export interface LogitsCase {
  title: string;
  why: string;
  rows: number;
  width: number;
  temperature: number;
  seed: number;
  /** Fills row n. */
  fill(row: Float64Array, n: number, random: Random): void;
  /** Target of row n; default: anywhere. */
  target?(row: Float64Array, n: number, random: Random): number;
  /** Rows n with 0 are not to be read; default: none. */
  mask?(n: number): 0 | 1;
}

export interface LogitsInput {
  logits: Rows;
  targets: Int32Array;
  actionMask: Uint8Array | null;
  temperature: number;
  /** [N] (largest - second largest) / temperature of what is stored; 0 for V = 1 and where nothing is finite. */
  gaps: Float64Array;
}

const made = new Map<string, LogitsInput>();

/** A fresh copy of the case's input; random numbers are drawn and rounded once per case and dtype. */
export function makeLogits(logitsCase: LogitsCase, dtype: DTypeOfLogits): LogitsInput {
  const key = `${dtype} ${logitsCase.seed} ${logitsCase.rows} ${logitsCase.title}`;
  const input = made.get(key) ?? drawLogits(logitsCase, dtype);
  made.set(key, input);
  return {
    ...input,
    logits: { ...input.logits, data: input.logits.data.slice() },
    targets: input.targets.slice(),
    actionMask: input.actionMask?.slice() ?? null,
  };
}

function drawLogits(logitsCase: LogitsCase, dtype: DTypeOfLogits): LogitsInput {
  const { rows, width, temperature, seed, fill, target, mask } = logitsCase;
  const numbers = random(seed);
  const values = new Float64Array(rows * width);
  const targets = new Int32Array(rows);
  for (let n = 0; n < rows; n++) {
    const row = values.subarray(n * width, (n + 1) * width);
    fill(row, n, numbers);
    targets[n] = target ? target(row, n, numbers) : numbers.integer(width);
  }
  const data = encode(values, dtype);
  const gaps = new Float64Array(rows);
  for (let n = 0; n < rows; n++)
    gaps[n] = gapOf(decode(data.subarray(n * width, (n + 1) * width), dtype)) / temperature;
  const actionMask = mask ? Uint8Array.from({ length: rows }, (_, n) => mask(n)) : null;
  return { logits: { data, dtype, width }, targets, actionMask, temperature, gaps };
}

function gapOf(row: Float64Array): number {
  let [first, second] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const z of row) {
    if (z > first) [first, second] = [z, first];
    else if (z > second) second = z;
  }
  return Number.isFinite(second) ? first - second : 0;
}

function noise(scale: number, offset = 0): LogitsCase['fill'] {
  return (row, _, { normal }) => {
    for (let v = 0; v < row.length; v++) row[v] = offset + scale * normal();
  };
}

function largest(row: Float64Array): number {
  return row.reduce((most, z) => Math.max(most, z), row[0]);
}

const base = { rows: 3, temperature: 1, fill: noise(3) };

/** Widths: the reasons are the boundaries of vectors, unrolled blocks and column segments. */
const WIDTHS: readonly (readonly [number, number, string])[] = [
  [1, 3, 'probability 1: log-prob and entropy are exactly 0'],
  [2, 5, 'the loser alone is the sum; below every vector width'],
  [3, 5, 'odd and below every vector width'],
  [7, 5, 'one less than 8 lanes'],
  [8, 5, 'exactly 8 lanes'],
  [9, 5, 'one more than 8 lanes'],
  [16, 3, 'exactly 16 lanes'],
  [33, 5, 'two vectors of 16 and one element; rows at odd addresses'],
  [1000, 3, 'a multiple of 8 and not of 16'],
  [1500, 40, 'more rows than a small device has blocks for: some take several, one after another'],
  [4097, 2, 'one more than a block of 4096'],
  [16384, 2, 'exactly one column segment'],
  [16385, 2, 'a second column segment of one element'],
  [32000, 2, 'a common vocabulary: two column segments'],
  [32003, 3, 'a vocabulary of prime size: an odd tail, and rows at odd addresses'],
];

const shapes: LogitsCase[] = WIDTHS.map(([width, rows, why], i) => ({
  ...base,
  title: `noise ${rows} x ${width}`,
  why,
  rows,
  width,
  seed: 100 + i,
}));

const counts: LogitsCase[] = [
  { ...base, title: 'no rows', why: 'an empty micro-batch', rows: 0, width: 5, seed: 1 },
  { ...base, title: 'one row', why: 'nothing to share between threads', rows: 1, width: 1000, seed: 2 },
  { ...base, title: 'many short rows', why: 'more rows than threads and blocks', rows: 289, width: 33, seed: 3 },
];

const temperatures: LogitsCase[] = [0.1, 0.7, 2, 1e-30, 1e30, 1e-7].map((temperature, i) => ({
  ...base,
  title: `temperature ${temperature}`,
  why: temperature < 1e-6 ? 'one-hot, z/T alone would overflow' : '(z - m)/T must be formed, not z/T - m/T',
  width: 257,
  temperature,
  seed: 200 + i,
}));

/** Top logit `peak` above the noise's own largest, with the target on it and off it. */
const peaked: LogitsCase[] = [5, 15, 25, 30].flatMap((peak, i) =>
  [2, 3, 1000, 32003].flatMap((width, j) =>
    (['on', 'off'] as const).map(
      (where) =>
        ({
          ...base,
          title: `peak ${peak} over ${width}, target ${where} it`,
          why: 'p near 1: log p = -log1p(s) keeps digits that 1 - p loses',
          rows: 2,
          width,
          seed: 300 + 10 * i + j,
          fill(row, n, numbers) {
            noise(1)(row, n, numbers);
            const top = (7 * n + 1) % row.length;
            row[top] += peak + largest(row) - row[top];
          },
          target: (row: Float64Array, n: number, { integer }: Random) => {
            const top = (7 * n + 1) % row.length;
            return where === 'on' ? top : (top + 1 + integer(row.length - 1)) % row.length;
          },
        }) satisfies LogitsCase,
    ),
  ),
);

const extremes: LogitsCase[] = [
  {
    ...base,
    title: '-Infinity in a third of the vocabulary',
    why: 'a masked vocabulary: probability 0, gradient 0, 0 log 0 = 0',
    width: 1000,
    seed: 400,
    fill(row, n, numbers) {
      noise(3)(row, n, numbers);
      for (let v = 0; v < row.length; v++) if (v % 3 === 1) row[v] = Number.NEGATIVE_INFINITY;
    },
    target: (row, _, { integer }) => 3 * integer(Math.floor(row.length / 3)),
  },
  {
    ...base,
    title: '-Infinity but for one token',
    why: 'one legal token: log-prob and entropy exactly 0, its gradient exactly 0',
    width: 33,
    seed: 401,
    fill: (row, n) => {
      row.fill(Number.NEGATIVE_INFINITY);
      row[(5 * n) % row.length] = 1.5;
    },
    target: (row) => row.indexOf(largest(row)),
  },
  {
    ...base,
    title: '-Infinity in a whole column segment',
    why: 'a segment whose running maximum is -Infinity must not give NaN when segments are merged',
    rows: 2,
    width: 32000,
    seed: 402,
    fill(row, n, numbers) {
      noise(3)(row, n, numbers);
      row.fill(Number.NEGATIVE_INFINITY, n === 0 ? 0 : 16384, n === 0 ? 16384 : 32000);
    },
    target: (_, n, { integer }) => (n === 0 ? 16384 + integer(15616) : integer(16384)),
  },
  {
    ...base,
    title: 'offset +1e4',
    why: 'exp(z) overflows; only differences count',
    width: 257,
    seed: 403,
    fill: noise(3, 1e4),
  },
  {
    ...base,
    title: 'offset -1e4',
    why: 'exp(z) underflows to 0; only differences count',
    width: 257,
    seed: 404,
    fill: noise(3, -1e4),
  },
  {
    ...base,
    title: 'all equal',
    why: 'every element ties for the maximum',
    width: 1000,
    seed: 405,
    fill: (row) => void row.fill(0.5),
  },
  {
    ...base,
    title: 'all 0',
    why: 'the first batch of an untrained head',
    width: 32,
    seed: 406,
    fill: (row) => void row.fill(0),
  },
  {
    ...base,
    title: 'outliers',
    why: 'activations with outliers x20: the running maximum moves many times',
    width: 4097,
    seed: 407,
    fill(row, _, { normal, uniform }) {
      for (let v = 0; v < row.length; v++) row[v] = normal() * (uniform() < 0.01 ? 20 : 1);
    },
  },
  {
    ...base,
    title: 'ascending',
    why: 'the running maximum moves at every element',
    width: 1000,
    seed: 408,
    fill: (row) =>
      void row.forEach((_, v) => {
        row[v] = v / 50;
      }),
  },
  {
    ...base,
    title: 'steps of 150',
    why: 'each block is e^150 above the one before: a reference that does not move overflows',
    width: 20000,
    rows: 2,
    seed: 413,
    fill(row, n, numbers) {
      noise(2)(row, n, numbers);
      for (let v = 0; v < row.length; v++) row[v] += 150 * Math.floor(v / 1700);
    },
    target: (row, n) => row.length - 1 - 2000 * n,
  },
  {
    ...base,
    title: 'descending',
    why: 'the running maximum never moves; late terms underflow',
    width: 1000,
    seed: 409,
    fill: (row) =>
      void row.forEach((_, v) => {
        row[v] = -v / 5;
      }),
  },
  {
    ...base,
    title: 'range 2e4',
    why: 'all but one term underflow; entropy and gradient must be 0, not NaN',
    width: 65,
    seed: 410,
    fill(row, n, numbers) {
      noise(1)(row, n, numbers);
      row[3] = 1e4;
      row[40] = -1e4;
    },
    target: () => 3,
  },
  {
    ...base,
    title: 'large f16 at a low temperature',
    why: '60000 / 0.5 overflows f16; the quotient must be formed of the difference',
    width: 65,
    temperature: 0.5,
    seed: 411,
    fill(row, n, numbers) {
      noise(1)(row, n, numbers);
      row[9] = 60000;
      row[50] = 59968;
    },
    target: (_, n) => (n === 0 ? 50 : 9),
  },
  {
    ...base,
    title: 'masked rows of NaN',
    why: 'a row outside the loss is never read: its NaN may not show',
    rows: 7,
    width: 100,
    seed: 412,
    fill(row, n, numbers) {
      noise(2)(row, n, numbers);
      if (n % 2 === 1) row.fill(Number.NaN);
    },
    mask: (n) => (n % 2 === 1 ? 0 : 1),
  },
];

export const LOGITS_CASES: readonly LogitsCase[] = [...shapes, ...counts, ...temperatures, ...peaked, ...extremes];
