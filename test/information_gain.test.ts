/** informationGain: the change in the policy's belief in the true answer, with numbers worked out by hand. */
import { describe, expect, test } from 'vitest';
import { informationGain, segmentTurns } from '../lib/index.js';

/** Trajectory 0 has turns 0, 1, 2; trajectory 1 has turn 3; trajectory 2 has turns 4, 5. */
const turns = segmentTurns({ trajectoryOffsets: [0, 3, 4, 6], turnIds: [0, 1, 2, 0, 0, 1] });
/** Mean log-probs: -2, -1.5, -0.25; -1; -3, -0.5. Answers of 2, 2, 1; 1; 2, 1 tokens. */
const answerLogProbs = [-1, -3, -2, -1, -0.25, -1, -2.5, -3.5, -0.5];
const answerOffsets = [0, 2, 4, 5, 6, 8, 9];

const gain = (rest: Record<string, unknown> = {}) => [
  ...informationGain({ turns, answerLogProbs, answerOffsets, ...rest }),
];

describe('log-prob mode', () => {
  test('the first turn has nothing to compare with, the last carries the outcome', () => {
    // Turn 1: -1.5 - (-2) = 0.5. All others are first or last.
    expect(gain()).toEqual([Number.NaN, 0.5, Number.NaN, Number.NaN, Number.NaN, Number.NaN]);
  });

  test('lastTurn "signal" gives the last turn its own gain', () => {
    // Turn 2: -0.25 + 1.5 = 1.25; turn 5: -0.5 + 3 = 2.5.
    expect(gain({ lastTurn: 'signal' })).toEqual([Number.NaN, 0.5, 1.25, Number.NaN, Number.NaN, 2.5]);
  });

  test('scores before the first turn give it a gain', () => {
    // Prompts: -4, none, -3.5. Turn 0: -2 + 4 = 2; turn 3 stays without; turn 4: -3 + 3.5 = 0.5.
    const promptLogProbs = [-4, -3, -4];
    const promptOffsets = [0, 1, 1, 3];
    expect(gain({ promptLogProbs, promptOffsets, lastTurn: 'signal' })).toEqual([2, 0.5, 1.25, Number.NaN, 0.5, 2.5]);
  });
});

test('probability mode takes the differences of exp', () => {
  const [, second] = gain({ mode: 'probability' });
  expect(second).toBeCloseTo(Math.exp(-1.5) - Math.exp(-2), 15);
});

test('a turn that could not be scored is left out; the next compares with the one before it', () => {
  const unscored = [0, 2, 2, 3, 4, 6, 7];
  const logProbs = [-1, -3, -0.25, -1, -2.5, -3.5, -0.5];
  // Turn 1 has no tokens; turn 2: -0.25 - (-2) = 1.75.
  const result = [...informationGain({ turns, answerLogProbs: logProbs, answerOffsets: unscored, lastTurn: 'signal' })];
  expect(result.slice(0, 3)).toEqual([Number.NaN, Number.NaN, 1.75]);
});

test('an exact 0 is a signal', () => {
  const two = segmentTurns({ trajectoryOffsets: [0, 2], turnIds: [0, 1] });
  const same = { turns: two, answerLogProbs: [-1, -1], answerOffsets: [0, 1, 2], lastTurn: 'signal' as const };
  expect([...informationGain(same)]).toEqual([Number.NaN, 0]);
});

test('float32 scores, typed offsets, and nothing at all', () => {
  const typed = { answerLogProbs: Float32Array.from(answerLogProbs), answerOffsets: Int32Array.from(answerOffsets) };
  expect(gain(typed)).toEqual(gain());
  const none = segmentTurns({ trajectoryOffsets: [0], actionMask: [] });
  expect(informationGain({ turns: none, answerLogProbs: [], answerOffsets: [0] })).toHaveLength(0);
});
