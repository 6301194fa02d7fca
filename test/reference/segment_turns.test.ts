/** Turn spans from each kind of boundary, and every way in which they can be wrong. */
import { describe, expect, test } from 'vitest';
import type { SegmentTurnsArgs, StatusCode } from '../../lib/ops.js';
import { ops, segmentArgs, segmented } from './fixtures.js';

const i32 = (...values: number[]) => Int32Array.from(values);
const u8 = (...values: number[]) => Uint8Array.from(values);

type Given = Partial<SegmentTurnsArgs> & { room: number };

/** [start, end, tokens, trajectory, index] per turn. */
function found(given: Given): number[][] {
  const turns = segmented(segmentArgs(given));
  return Array.from(turns.starts, (start, k) => [
    start,
    turns.ends[k],
    turns.tokens[k],
    turns.trajectory[k],
    turns.index[k],
  ]);
}

function expectStatus(given: Given, code: StatusCode, position: number): void {
  expect(ops.segmentTurns(segmentArgs(given))).toEqual({ code, position });
}

describe('turn-ids', () => {
  const by = 'turn-ids';

  test('runs of one id; ids may have gaps; the trajectory ends a run', () => {
    const turnIds = i32(-1, 0, 0, 3, -1, 7, 7, 0, 0, 1);
    const spans = found({ by, room: 10, trajectoryOffsets: i32(0, 7, 7, 10), turnIds });
    expect(spans).toEqual([
      [1, 3, 2, 0, 0],
      [3, 4, 1, 0, 3],
      [5, 7, 2, 0, 7],
      [7, 9, 2, 2, 0],
      [9, 10, 1, 2, 1],
    ]);
  });

  test('tokens counts mask 1 inside the span', () => {
    const spans = found({
      by,
      room: 4,
      trajectoryOffsets: i32(0, 4),
      turnIds: i32(0, 0, 0, 1),
      actionMask: u8(1, 0, 1, 0),
    });
    expect(spans).toEqual([
      [0, 3, 2, 0, 0],
      [3, 4, 0, 0, 1],
    ]);
  });

  test.each<[string, number[], StatusCode, number]>([
    ['a smaller id', [2, 1], 'turn-order', 1],
    ['an id below -1', [0, -2], 'turn-order', 1],
    ['the id again after -1', [0, -1, 0], 'turn-split', 2],
    ['the id again after another', [0, 1, 0], 'turn-split', 2],
    ['the first of two errors', [0, -1, 0, -2], 'turn-split', 2],
  ])('%s', (_, ids, code, position) => {
    expectStatus({ by, room: 4, trajectoryOffsets: i32(0, ids.length), turnIds: i32(...ids) }, code, position);
  });

  test('a mask-1 token in no turn, before and after other errors', () => {
    const offsets = i32(0, 4);
    const given = { by, room: 4, trajectoryOffsets: offsets, turnIds: i32(0, -1, 1, 0) } as const;
    expectStatus({ ...given, actionMask: u8(1, 1, 1, 1) }, 'mask-outside-turn', 1);
    expectStatus({ ...given, actionMask: u8(1, 0, 1, 1) }, 'turn-split', 3);
  });
});

describe('action-mask', () => {
  const by = 'action-mask';

  test('maximal runs of 1, cut at trajectory boundaries', () => {
    const spans = found({ by, room: 8, trajectoryOffsets: i32(0, 4, 8), actionMask: u8(1, 0, 1, 1, 1, 0, 0, 1) });
    expect(spans).toEqual([
      [0, 1, 1, 0, 0],
      [2, 4, 2, 0, 1],
      [4, 5, 1, 1, 0],
      [7, 8, 1, 1, 1],
    ]);
  });

  test('no turn at all', () => {
    expect(found({ by, room: 3, trajectoryOffsets: i32(0, 3), actionMask: u8(0, 0, 0) })).toEqual([]);
    expect(found({ by, room: 0, trajectoryOffsets: i32(0), actionMask: u8() })).toEqual([]);
  });
});

describe('delimiters', () => {
  const by = 'delimiters';
  const given = (...tokenIds: number[]) =>
    ({
      by,
      room: tokenIds.length,
      trajectoryOffsets: i32(0, tokenIds.length),
      tokenIds: i32(...tokenIds),
    }) as const;

  test('from the open token through the close token', () => {
    expect(found(given(9, 1, 5, 2, 9, 1, 2))).toEqual([
      [1, 4, 3, 0, 0],
      [5, 7, 2, 0, 1],
    ]);
  });

  test('open at the end of its trajectory', () => {
    expectStatus(given(1, 2, 1, 5), 'turn-unclosed', 2);
    const spans = found({ ...given(1, 5, 1, 2), trajectoryOffsets: i32(0, 2, 4), unclosed: 'end' });
    expect(spans).toEqual([
      [0, 2, 2, 0, 0],
      [2, 4, 2, 1, 0],
    ]);
  });

  test('one token as both delimiters', () => {
    expect(found({ ...given(3, 5, 3, 5, 3, 3), openToken: 3, closeToken: 3 })).toEqual([
      [0, 3, 3, 0, 0],
      [4, 6, 2, 0, 1],
    ]);
  });

  test('pairing', () => {
    expectStatus(given(1, 5, 1, 2), 'turn-nested', 2);
    expectStatus(given(5, 2, 1), 'turn-unopened', 1);
    expectStatus({ ...given(5, 1, 2), actionMask: u8(1, 1, 1) }, 'mask-outside-turn', 0);
    expectStatus({ ...given(2, 5), actionMask: u8(1, 1) }, 'turn-unopened', 0);
  });
});

describe('spans', () => {
  const by = 'spans';
  const given = (spanStarts: number[], spanEnds: number[], actionMask: number[] | null = null) =>
    ({
      by,
      room: spanStarts.length,
      trajectoryOffsets: i32(0, 5, 5, 10),
      spanStarts: i32(...spanStarts),
      spanEnds: i32(...spanEnds),
      actionMask: actionMask === null ? null : u8(...actionMask),
    }) as const;

  test('index is the position in the trajectory', () => {
    expect(found(given([0, 2, 6], [2, 5, 7]))).toEqual([
      [0, 2, 2, 0, 0],
      [2, 5, 3, 0, 1],
      [6, 7, 1, 2, 0],
    ]);
  });

  test.each<[string, number[], number[], StatusCode, number]>([
    ['empty', [0, 2], [1, 2], 'turn-range', 1],
    ['reversed', [3], [2], 'turn-range', 0],
    ['negative', [-1], [2], 'turn-range', 0],
    ['beyond the end', [9], [11], 'turn-range', 0],
    ['across trajectories', [4], [6], 'turn-range', 0],
    ['unsorted', [3, 1], [4, 2], 'turn-order', 1],
    ['overlapping', [0, 1], [2, 3], 'turn-overlap', 1],
    ['twice', [0, 0], [2, 2], 'turn-overlap', 1],
  ])('%s', (_, starts, ends, code, position) => {
    expectStatus(given(starts, ends), code, position);
  });

  test('mask 1 before, between and after the spans', () => {
    const mask = (...ones: number[]) => Array.from({ length: 10 }, (_, n) => (ones.includes(n) ? 1 : 0));
    expectStatus(given([1, 6], [3, 8], mask(0, 1, 5)), 'mask-outside-turn', 0);
    expectStatus(given([1, 6], [3, 8], mask(1, 5, 9)), 'mask-outside-turn', 5);
    expectStatus(given([1, 6], [3, 8], mask(1, 7, 9)), 'mask-outside-turn', 9);
    expect(found(given([1, 6], [3, 8], mask(1, 7)))).toHaveLength(2);
  });
});

describe('invalid arguments', () => {
  const valid = { by: 'action-mask', room: 3, trajectoryOffsets: i32(0, 3), actionMask: u8(1, 0, 1) } as const;

  test.each<[string, Given]>([
    ['offsets not from 0', { ...valid, trajectoryOffsets: i32(1, 3) }],
    ['offsets not to N', { ...valid, trajectoryOffsets: i32(0, 2) }],
    ['offsets fall', { ...valid, trajectoryOffsets: i32(0, 4, 3) }],
    ['no offsets', { ...valid, trajectoryOffsets: i32() }],
    ['the deciding input is missing', { ...valid, by: 'turn-ids' }],
    ['spans of different lengths', { ...valid, by: 'spans', spanStarts: i32(0), spanEnds: i32() }],
    ['mask of another length', { ...valid, by: 'turn-ids', turnIds: i32(0, 0, 0), actionMask: u8(1) }],
    ['no room for the second turn', { ...valid, room: 1 }],
    ['one output too small', { ...valid, index: new Int32Array(1) }],
    ['no room for the count', { ...valid, count: new Int32Array(0) }],
  ])('%s', (_, given) => {
    expectStatus(given, 'invalid-argument', -1);
  });
});

// About 0.1 s on an idle core; the limit leaves room for a busy one, and a quadratic algorithm takes minutes.
test('1e5 turns', () => {
  const turnIds = Int32Array.from({ length: 1e6 }, (_, n) => Math.floor((n % 1000) / 10));
  const trajectoryOffsets = Int32Array.from({ length: 1001 }, (_, m) => m * 1000);
  const args = segmentArgs({ by: 'turn-ids', room: 1e6, trajectoryOffsets, turnIds });
  const start = performance.now();
  expect(ops.segmentTurns(args).code).toBe('ok');
  expect(args.count[0]).toBe(1e5);
  expect(performance.now() - start).toBeLessThan(3000);
});
