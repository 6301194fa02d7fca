/** segmentTurns through the public API: every source gives the same turns, for every batch. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { segmentTurns, type Turns } from '../lib/index.js';
import { DEVICES } from './support/backends.js';
import { property } from './support/property.js';
import { randomLayout } from './support/turns.js';

const plain = ({ count, starts, ends, tokens, trajectory, index }: Turns) => ({
  count,
  starts: [...starts],
  ends: [...ends],
  tokens: [...tokens],
  trajectory: [...trajectory],
  index: [...index],
});

describe.each(DEVICES)('%s', (device) => {
  test('two trajectories, from each source', () => {
    // Trajectory 0: tokens 0-5, turns [1, 3) and [4, 6). Trajectory 1: tokens 6-8, turn [6, 8).
    const trajectoryOffsets = [0, 6, 9];
    const expected = {
      count: 3,
      starts: [1, 4, 6],
      ends: [3, 6, 8],
      tokens: [2, 2, 2],
      trajectory: [0, 0, 1],
      index: [0, 1, 0],
    };
    const sources = [
      { turnIds: [-1, 0, 0, -1, 1, 1, 0, 0, -1] },
      { actionMask: [0, 1, 1, 0, 1, 1, 1, 1, 0] },
      { actionMask: [false, true, true, false, true, true, true, true, false] },
      { tokens: [9, 1, 2, 9, 1, 2, 1, 2, 9], delimiters: { open: 1, close: 2 } },
      { spans: { starts: [1, 4, 6], ends: [3, 6, 8] } },
    ];
    for (const source of sources) {
      expect(plain(segmentTurns({ trajectoryOffsets, ...source }, { device }))).toEqual(expected);
    }
  });

  test('the mask counts loss tokens inside a turn', () => {
    const { tokens, starts, ends } = segmentTurns(
      { trajectoryOffsets: [0, 5], turnIds: [0, 0, 0, 1, 1], actionMask: [1, 0, 1, 0, 0] },
      { device },
    );
    expect({ tokens: [...tokens], starts: [...starts], ends: [...ends] }).toEqual({
      tokens: [2, 0],
      starts: [0, 3],
      ends: [3, 5],
    });
  });

  test('an id is an index, whatever is missing before it', () => {
    expect([...segmentTurns({ trajectoryOffsets: [0, 4], turnIds: [2, 2, 5, 7] }, { device }).index]).toEqual([
      2, 5, 7,
    ]);
  });

  test('neighbouring turns of mask runs: only explicit ids tell them apart', () => {
    const ids = segmentTurns({ trajectoryOffsets: [0, 4], turnIds: [0, 0, 1, 1] }, { device });
    const runs = segmentTurns({ trajectoryOffsets: [0, 4], actionMask: [1, 1, 1, 1] }, { device });
    expect([ids.count, runs.count]).toEqual([2, 1]);
  });

  test('a truncated turn ends with its trajectory where that is asked for', () => {
    const input = {
      trajectoryOffsets: [0, 3, 5],
      tokens: [9, 1, 9, 1, 2],
      delimiters: { open: 1, close: 2, unclosed: 'end' as const },
    };
    expect(plain(segmentTurns(input, { device }))).toMatchObject({ starts: [1, 3], ends: [3, 5], trajectory: [0, 1] });
  });

  test('nothing', () => {
    expect(plain(segmentTurns({ trajectoryOffsets: [0], actionMask: [] }, { device }))).toMatchObject({
      count: 0,
      starts: [],
    });
    expect(segmentTurns({ trajectoryOffsets: [0, 0, 0], turnIds: [] }, { device }).count).toBe(0);
  });

  test('the result is frozen and owns its arrays', () => {
    const starts = Int32Array.of(0);
    const turns = segmentTurns({ trajectoryOffsets: [0, 2], spans: { starts, ends: [2] } }, { device });
    starts[0] = 1;
    expect(turns.starts[0]).toBe(0);
    expect(Object.isFrozen(turns)).toBe(true);
  });

  const layouts = fc.tuple(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 0, max: 12 }));
  property('turn ids, spans and delimiters agree', layouts, ([seed, trajectories]) => {
    const { turns, trajectoryOffsets, turnIds, actionMask } = randomLayout(seed, trajectories);
    const expected = {
      count: turns.starts.length,
      ...Object.fromEntries(Object.entries(turns).map(([name, a]) => [name, [...a]])),
    };
    const options = { device };
    expect(plain(segmentTurns({ trajectoryOffsets, turnIds, actionMask }, options))).toEqual(expected);
    const spans = { starts: turns.starts, ends: turns.ends };
    expect(plain(segmentTurns({ trajectoryOffsets, spans, actionMask }, options))).toEqual(expected);
    // Delimiters need two tokens: shorter turns cannot be written with them.
    if (turns.starts.some((start, k) => turns.ends[k] - start < 2)) return;
    const tokens = new Int32Array(turnIds.length);
    turns.starts.forEach((start, k) => {
      tokens[start] = 1;
      tokens[turns.ends[k] - 1] = 2;
    });
    expect(
      plain(segmentTurns({ trajectoryOffsets, tokens, delimiters: { open: 1, close: 2 }, actionMask }, options)),
    ).toEqual(expected);
  });
});
