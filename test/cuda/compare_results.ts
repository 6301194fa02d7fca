/**
 * What run_cases wrote on a machine with a GPU, held against the reference: every output of the case table within its tolerance.
 * Records as in test/cuda/case_file.h.
 */
import type { OpName, Ops, Status } from '../../lib/ops.js';
import { reference } from '../../lib/reference/index.js';
import { mismatch, type OpCase } from '../cases/op_case.js';
import { allCases, CaseWriter, loadSchema } from './exported_cases.js';

export interface Comparison {
  op: string;
  passed: number;
  /** One line per case that is not what the reference says. */
  failures: string[];
}

interface Result {
  op: string;
  title: string;
  code: string;
  position: number;
  /** Contents by the array's id. */
  arrays: Map<number, Buffer>;
}

/** run_cases was stopped before it could write the rest. */
class Truncated extends Error {}

function* readResults(bytes: Buffer, codes: readonly string[]): Generator<Result> {
  let at = 0;
  const take = (count: number) => {
    if (at + count > bytes.length) throw new Truncated();
    at += count;
    return bytes.subarray(at - count, at);
  };
  const u32 = () => take(4).readUInt32LE();
  const text = () => take(u32()).toString();
  while (at < bytes.length) {
    const [op, title, code, position] = [text(), text(), codes[u32()], take(4).readInt32LE()];
    const arrays = new Map(Array.from({ length: u32() }, () => [u32(), take(u32())]));
    yield { op, title, code, position, arrays };
  }
}

function run(opCase: OpCase, args: ReturnType<OpCase['make']>): Status {
  return (reference.ops[opCase.op as keyof Ops] as (args: unknown) => Status)(args);
}

/** The first thing that is wrong, or null. */
function wrong(writer: CaseWriter, opCase: OpCase, result: Result): string | null {
  const status = opCase.status ?? { code: 'ok', position: -1 };
  if (result.code !== status.code || result.position !== status.position) {
    return `${result.code} at ${result.position}, expected ${status.code} at ${status.position}`;
  }
  if (status.code !== 'ok') return null;
  const actual = opCase.make();
  const arrays = writer.case(opCase, actual);
  writer.takeBytes();
  for (const [id, bytes] of result.arrays) {
    const array = arrays[id - 1];
    if (array?.byteLength !== bytes.length)
      return `array ${id} has ${bytes.length} bytes; was it exported by this version?`;
    bytes.copy(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  }
  const expected = opCase.make();
  run(opCase, expected);
  const reference = opCase.outputs(expected);
  return opCase
    .outputs(actual)
    .reduce<string | null>((first, output, i) => first ?? mismatch(output, reference[i]), null);
}

/** Of each op, and whether the last record is whole. */
export function compareResults(bytes: Buffer): { comparisons: Comparison[]; isComplete: boolean } {
  const writer = new CaseWriter(loadSchema());
  const cases = new Map(allCases().map((opCase) => [`${opCase.op} ${opCase.title}`, opCase]));
  const comparisons = new Map<string, Comparison>();
  let isComplete = true;
  try {
    for (const result of readResults(bytes, writer.schema.enums.StatusCode)) {
      const opCase = cases.get(`${result.op} ${result.title}`);
      const why = opCase === undefined ? 'no such case here' : wrong(writer, opCase, result);
      const comparison = comparisons.get(result.op) ?? { op: result.op, passed: 0, failures: [] };
      comparisons.set(result.op, comparison);
      if (why === null) comparison.passed += 1;
      else comparison.failures.push(`${result.title}: ${why}`);
    }
  } catch (error) {
    if (!(error instanceof Truncated)) throw error;
    isComplete = false;
  }
  return { comparisons: [...comparisons.values()], isComplete };
}

/** How many cases of each op there are. */
export function caseCounts(): Map<OpName, number> {
  const counts = new Map<OpName, number>();
  for (const { op } of allCases()) counts.set(op, (counts.get(op) ?? 0) + 1);
  return counts;
}
