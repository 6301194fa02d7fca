/**
 * Arrays that say where to read and write, attacked past their checks: shared with an output, or changed while a job runs. The
 * ops answer or refuse; a crash would take this file's process down.
 */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';

import type { SegmentTurnsArgs, Status } from '../../lib/ops.js';
import { segmentArgs } from '../reference/fixtures.js';
import { binaryPath, fixture, native } from './helpers.js';
import {
  type Arrays,
  CREDIT_OUTPUTS,
  coupledArgs,
  creditArgs,
  creditFields,
  type Field,
  gradientArgs,
  gradientFields,
  INVALID,
  OK,
  policyLossArgs,
  SURROGATE_OUTPUTS,
  surrogateArgs,
  surrogateFields,
} from './hostile_args.js';

const { ops } = native.backends.cpu;

/** An Int32Array, with the same values, over the first bytes of another array. */
function inside(host: Arrays, values: ArrayLike<number>): Int32Array {
  const view = new Int32Array(host.buffer, 0, values.length);
  view.set(values);
  return view;
}

/** The same values, over bytes of another array from `offset` on. */
function over(host: Arrays, array: Arrays, offset = 0): Arrays {
  const Kind = array.constructor as new (buffer: ArrayBufferLike, offset: number, length: number) => Arrays;
  const view = new Kind(host.buffer, host.byteOffset + offset, array.length);
  view.set(array);
  return view;
}

/** An output and, behind it, room that begins with its last element: what is put there meets it in one element. */
function besides(output: Float64Array, bytes: number): { output: Float64Array; room: Uint8Array } {
  const buffer = new ArrayBuffer(output.byteLength + bytes);
  return {
    output: new Float64Array(buffer, 0, output.length),
    room: new Uint8Array(buffer, output.byteLength - 8, bytes + 8),
  };
}

interface Attacked<Args> {
  make: () => Args;
  fields: (args: Args) => Field[];
  outputs: readonly (keyof Args & string)[];
  run: (args: Args) => Status;
}

/** Every array that is read, over every output: all of it, and one element of it. */
function attackOutputs<Args extends object>({ make, fields, outputs, run }: Attacked<Args>): void {
  const outputOf = (args: object, name: string): Float64Array => Reflect.get(args, name);

  test('nothing: the arguments below are right', () => {
    expect(run(make())).toEqual(OK);
    expect(fields(make()).length).toBeGreaterThan(9);
  });

  describe.each(outputs)('%s', (name) => {
    test.each(fields(make()).map(({ path }) => path))('over %s', (path) => {
      const args = make();
      const field = fields(args).find((each) => each.path === path)!;
      const own = field.get();
      field.set(over(outputOf(args, name), own));
      expect(run(args)).toEqual(INVALID);

      const { output, room } = besides(outputOf(args, name), own.byteLength);
      Reflect.set(args, name, output);
      field.set(over(room, own, 8));
      expect(run(args)).toEqual(OK);
      field.set(over(room, own));
      expect(run(args)).toEqual(INVALID);
    });

    test.each(outputs.filter((other) => other !== name))('over the output %s', (other) => {
      const args = make();
      const { output, room } = besides(outputOf(args, name), outputOf(args, other).byteLength);
      Reflect.set(args, name, output);
      Reflect.set(args, other, over(room, outputOf(args, other), 8));
      expect(run(args)).toEqual(OK);
      Reflect.set(args, other, over(room, outputOf(args, other)));
      expect(run(args)).toEqual(INVALID);
    });
  });
}

describe('outputs that overlap: turnStatistics', () => {
  attackOutputs({ make: creditArgs, fields: creditFields, outputs: CREDIT_OUTPUTS, run: ops.turnStatistics });
});

describe('outputs that overlap: surrogate', () => {
  attackOutputs({ make: surrogateArgs, fields: surrogateFields, outputs: SURROGATE_OUTPUTS, run: ops.surrogate });
});

describe('outputs that overlap: surrogate, coupled', () => {
  attackOutputs({ make: coupledArgs, fields: surrogateFields, outputs: SURROGATE_OUTPUTS, run: ops.surrogate });
});

/** Values, not places: the gradient may come out wrong, but lands inside its own memory. */
describe('a gradient over what it is made of', () => {
  test.each(gradientFields(gradientArgs()).map(({ path }) => path))('%s', (path) => {
    const args = gradientArgs();
    const guarded = new Float32Array(args.gradient.data.length + 200).fill(77);
    args.gradient.data = guarded.subarray(100, guarded.length - 100);
    const field = gradientFields(args).find((each) => each.path === path)!;
    for (const offset of [0, 4 * args.gradient.width - 8, 8 * args.gradient.width]) {
      const at = (guarded.byteOffset + 400 + offset) % 8 === 0 ? offset : offset + 4;
      field.set(over(args.gradient.data as Float32Array, field.get(), at));
      expect(['ok', 'invalid-argument', 'target-out-of-range']).toContain(ops.logitsGradient(args).code);
    }
    for (const place of [guarded.subarray(0, 100), guarded.subarray(-100)])
      expect(new Set(place)).toEqual(new Set([77]));
  });
});

describe('the step writes where another of its parts reads', () => {
  const fields = surrogateFields(surrogateArgs()).map(({ path }) => path);

  test('nothing: the arguments below are right', () => {
    expect(ops.policyLoss(policyLossArgs())).toEqual(OK);
  });

  // Read after it was written or before, it is only a value: no status is promised, no crash is.
  test.each(fields.filter((path) => !['logProbs', 'entropy', 'actionMask'].includes(path)))('%s', (path) => {
    const targets = (args: ReturnType<typeof policyLossArgs>): Arrays[] => [
      args.gather.logSumExp!,
      args.gather.logProbs,
      args.gather.entropy!,
      args.gradient.gradient.data as Float32Array,
    ];
    for (let i = 0; i < targets(policyLossArgs()).length; i++) {
      const args = policyLossArgs();
      const field = surrogateFields(args.surrogate).find((each) => each.path === path)!;
      const host = targets(args)[i];
      if (host.byteLength < field.get().byteLength) continue;
      field.set(over(host, field.get()));
      expect(ops.policyLoss(args).code).toMatch(/^(ok|invalid-argument|non-finite-log-prob)$/);
    }
  });
});

describe('outputs that overlap: segmentTurns', () => {
  const outputs = ['starts', 'ends', 'tokens', 'trajectory', 'index', 'count'] as const;

  function maskArgs(): SegmentTurnsArgs {
    return segmentArgs({
      room: 16,
      trajectoryOffsets: Int32Array.of(0, 8, 16),
      actionMask: new Uint8Array(16).fill(1),
      count: new Int32Array(16),
    });
  }

  describe.each(outputs)('%s', (output) => {
    test('trajectoryOffsets', () => {
      const args = maskArgs();
      args.trajectoryOffsets = inside(args[output], args.trajectoryOffsets);
      expect(ops.segmentTurns(args)).toEqual(INVALID);
    });

    test('actionMask', () => {
      const args = maskArgs();
      args.actionMask = new Uint8Array(args[output].buffer, 4, 16).fill(1);
      expect(ops.segmentTurns(args)).toEqual(INVALID);
    });

    test('turnIds, tokenIds and spans', () => {
      const ids = Int32Array.from({ length: 16 }, (_, n) => n * 100_000);
      const byIds: SegmentTurnsArgs = { ...maskArgs(), by: 'turn-ids' };
      expect(ops.segmentTurns({ ...byIds, turnIds: inside(byIds[output], ids) })).toEqual(INVALID);
      const byTokens: SegmentTurnsArgs = { ...maskArgs(), by: 'delimiters' };
      expect(ops.segmentTurns({ ...byTokens, tokenIds: inside(byTokens[output], ids) })).toEqual(INVALID);
      const [spanStarts, spanEnds] = [Int32Array.of(0, 8), Int32Array.of(8, 16)];
      const bySpans: SegmentTurnsArgs = { ...maskArgs(), by: 'spans', spanStarts, spanEnds };
      expect(ops.segmentTurns(bySpans)).toEqual(OK);
      for (const name of ['spanStarts', 'spanEnds'] as const) {
        const shared = inside(bySpans[output], bySpans[name] ?? []);
        expect(ops.segmentTurns({ ...bySpans, [name]: shared })).toEqual(INVALID);
      }
    });

    test('another output', () => {
      const args = maskArgs();
      const other = output === 'ends' ? 'starts' : 'ends';
      args[other] = args[output];
      expect(ops.segmentTurns(args)).toEqual(INVALID);
    });
  });

  test('nothing: the arguments are right', () => {
    expect(ops.segmentTurns(maskArgs())).toEqual(OK);
  });
});

/** In a process of its own, since what it guards against is a crash. */
function attack(task: string) {
  const child = spawnSync(process.execPath, [fixture('hostile.mjs'), binaryPath(), task], {
    encoding: 'utf8',
    timeout: 120_000,
  });
  return { code: child.status, signal: child.signal, out: child.stdout.trim(), err: child.stderr };
}

describe('memory that changes while a job runs', { timeout: 150_000 }, () => {
  test.each([
    'surrogate',
    'surrogate-weights',
    'surrogate-coupled',
    'segmentTurns',
    'turnStatistics',
    'turnStatistics-tokens',
    'turnStatistics-tree',
    'turnStatistics-ids',
    'policyLoss-token',
    'policyLoss-turn',
    'policyLoss-sequence',
    'gradient-over-ends',
  ])('%s', (task) => {
    expect(attack(task)).toMatchObject({ code: 0, signal: null, out: 'done', err: '' });
  });
});
