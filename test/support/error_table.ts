/** Tables of wrong calls: each must throw exactly its error, and must have written nothing before it throws. */
import { test } from 'vitest';
import { policyLoss, policyLossSync } from '../../lib/index.js';
import { type ExpectedError, expectInvalid, expectInvalidAsync } from './errors.js';
import { expectSameBits, type Numbers } from './numbers.js';

export type Row = readonly [title: string, run: () => unknown, expected: ExpectedError];

export function testErrors(rows: readonly Row[]): void {
  test.each(rows)('%s', (_, run, expected) => expectInvalid(run, expected));
}

/** Everything that a call could write into: typed arrays and tensors anywhere in its arguments. */
function arraysIn(value: unknown, path: string, found: Map<string, Numbers>, depth = 0): Map<string, Numbers> {
  if (ArrayBuffer.isView(value)) {
    if (value.byteLength > 0) found.set(path, value as unknown as Numbers);
    return found;
  }
  if (typeof value !== 'object' || value === null || depth > 4) return found;
  if ('data' in value && 'dtype' in value && !('disposed' in value && value.disposed))
    arraysIn(value.data, path, found, depth + 1);
  for (const [key, item] of Object.entries(value)) arraysIn(item, `${path}.${key}`, found, depth + 1);
  return found;
}

/** A copy whose buffer was transferred: length 0, no memory. */
export function detached<T extends Float32Array | Float64Array | Int32Array | Uint8Array>(array: T): T {
  const copy = array.slice();
  structuredClone(copy.buffer, { transfer: [copy.buffer] });
  return copy as T;
}

type Given = Record<string, unknown>;

/** A wrong change of a right call. */
export type CallRow = readonly [title: string, change: (batch: Given, options: Given) => void, expected: ExpectedError];

/** Both forms of a loss call, whose errors must be the same. */
export const LOSS_FORMS = [
  ['policyLossSync', (batch: unknown, estimator: unknown, options: unknown) => loss(batch, estimator, options)],
  ['policyLoss', (batch: unknown, estimator: unknown, options: unknown) => lossLater(batch, estimator, options)],
] as const;

const loss = policyLossSync as (batch: unknown, estimator: unknown, options: unknown) => unknown;
const lossLater = policyLoss as (batch: unknown, estimator: unknown, options: unknown) => Promise<unknown>;

interface Call {
  /** Fresh arguments of a right call. */
  batch: () => Given;
  options: () => Given;
  run: (batch: Given, options: Given) => unknown;
}

/** Each row changes fresh arguments of a call that is right without it. */
export function testCalls(rows: readonly CallRow[], { batch, options, run }: Call): void {
  test('without a change the call is right', async () => {
    await run(batch(), options());
  });

  test.each(rows)('%s', async (_, change, expected) => {
    const [given, chosen] = [batch(), options()];
    change(given, chosen);
    const arrays = arraysIn({ batch: given, options: chosen }, 'call', new Map());
    const before = new Map([...arrays].map(([path, array]) => [path, array.slice()]));
    // A blocking call throws inside the async function, so that both forms end in a rejection.
    await expectInvalidAsync((async () => run(given, chosen))(), expected);
    for (const [path, array] of arrays) if (array.byteLength > 0) expectSameBits(array, before.get(path)!, path);
  });
}
