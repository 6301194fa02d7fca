/**
 * Every op of the CUDA backend, on an emulated GPU, within the tolerances of the case table of the reference: on a device with clusters
 * and on one without, and in three orders of threads, which must all give the same bits.
 */
import { describe, expect, test } from 'vitest';
import { selectBackend } from '../../lib/backend/select.js';
import type { OpName, Ops } from '../../lib/ops.js';
import { CASES } from '../cases/index.js';
import type { OpCase } from '../cases/op_case.js';
import { expectParity, runCase } from '../support/run_case.js';

const { ops } = selectBackend('cuda');

describe.each(Object.keys(CASES) as OpName[])('%s', (op) => {
  const cases = (CASES[op] as readonly OpCase[]).map((opCase) => [opCase.title, opCase] as const);

  test.each(cases)('%s', (_, opCase) => {
    expectParity(ops, opCase);
  });

  // Every so manyth: the orders differ in what they find where a barrier is missing, which is in few places, not in many cases.
  const some = cases.filter((_, i) => i % 9 === 4);
  test.each(some)('the same bits in any order of threads: %s', (_, opCase) => {
    const bits = ['ascending', 'descending', 'random:7'].map((order) => bitsOf(ops, opCase, order));
    expect(bits[1]).toEqual(bits[0]);
    expect(bits[2]).toEqual(bits[0]);
  });
});

function bitsOf(backend: Ops, opCase: OpCase, order: string): unknown {
  process.env.TURNWISE_EMULATION_SCHEDULE = order;
  try {
    return runCase(backend, opCase)?.map(({ name, values }) => [name, Float64Array.from(values)]);
  } finally {
    process.env.TURNWISE_EMULATION_SCHEDULE = 'ascending';
  }
}
