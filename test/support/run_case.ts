/** One case of the table on a backend, held against the reference. */
import { expect } from 'vitest';
import type { OpName, Ops, Status } from '../../lib/ops.js';
import { reference } from '../../lib/reference/index.js';
import { mismatch, type OpCase, type Output } from '../cases/op_case.js';

const OK: Status = { code: 'ok', position: -1 };

/** Runs the case and checks its status; the outputs, or null where there are none to look at. */
export function runCase<Name extends OpName>(ops: Ops, opCase: OpCase<Name>): Output[] | null {
  const args = opCase.make();
  const run = ops[opCase.op] as (args: unknown) => Status;
  expect(run(args), opCase.why).toEqual(opCase.status ?? OK);
  return opCase.status === undefined ? opCase.outputs(args) : null;
}

const results = new Map<OpCase, Output[] | null>();

/** The reference's outputs of a case, computed once however many targets are compared with it. */
export function expectedOf<Name extends OpName>(opCase: OpCase<Name>): Output[] | null {
  const key = opCase as unknown as OpCase;
  let known = results.get(key);
  if (known === undefined) {
    known = runCase(reference.ops, opCase);
    results.set(key, known);
  }
  return known;
}

/** Fails with the first element that is outside its tolerance. */
export function expectParity<Name extends OpName>(ops: Ops, opCase: OpCase<Name>): void {
  const expected = expectedOf(opCase);
  const actual = runCase(ops, opCase);
  if (actual === null || expected === null) return;
  const wrong = actual.map((output, i) => mismatch(output, expected[i])).filter((text) => text !== null);
  expect(wrong, opCase.why).toEqual([]);
}
