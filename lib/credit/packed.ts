/**
 * Arrays of whole trajectories, picked and put together. Per-token ones hold the loss tokens only, one after another: a Credit then does not depend
 * on where in a batch its trajectories stood, nor on how much lay between their turns.
 */
import { pick, privateCopies, privateCopy } from '../check/arrays.js';
import type { Turns } from '../data/turns.js';
import type { Level } from '../ops.js';
import type { Signals } from './signals.js';

/** Private copies of everything, per-token arrays reduced to the loss tokens. */
export function packSignals(signals: Signals, levels: ReadonlyMap<string, { level: Level }>): Signals {
  const { turns, groups, actionMask, arrays } = signals;
  const tokens = actionMask === null ? [] : lossTokens(turns, actionMask);
  const packed = Object.entries(arrays).map(([path, values]) => {
    const positions = levels.get(path)?.level === 'token' ? tokens : null;
    return [path, positions ? pick(values, positions) : privateCopy(values)];
  });
  return {
    turns: actionMask === null ? privateCopies(turns) : packedTurns(turns),
    groups: privateCopy(groups),
    actionMask: actionMask === null ? null : new Uint8Array(tokens.length).fill(1),
    arrays: Object.fromEntries(packed),
  };
}

/** Positions of the loss tokens, turn by turn. */
export function lossTokens(turns: Turns, actionMask: Uint8Array): number[] {
  const tokens: number[] = [];
  for (let k = 0; k < turns.count; k++) {
    for (let n = turns.starts[k]; n < turns.ends[k]; n++) if (actionMask[n] === 1) tokens.push(n);
  }
  return tokens;
}

/** [K] end of each turn's loss tokens where those stand one after another. */
export function packedEnds(turns: Turns): Int32Array {
  let end = 0;
  return turns.tokens.map((tokens) => {
    end += tokens;
    return end;
  });
}

/** Turns of the same sizes, one right after another. */
export function packedTurns(turns: Turns): Turns {
  const ends = packedEnds(turns);
  return { ...privateCopies(turns), starts: ends.map((end, k) => end - turns.tokens[k]), ends };
}

/** [M+1] first turn of each trajectory, K at the end. */
export function firstTurns(turns: Turns, trajectories: number): Int32Array {
  const first = new Int32Array(trajectories + 1);
  for (let k = 0; k < turns.count; k++) first[turns.trajectory[k] + 1]++;
  for (let m = 0; m < trajectories; m++) first[m + 1] += first[m];
  return first;
}

/** What trajectories in this order own: turns, packed loss tokens, and themselves. */
export interface Picked {
  positions: Readonly<Record<Level, readonly number[]>>;
  /** New trajectory of each picked turn. */
  trajectory: Int32Array;
}

/** @param ends `packedEnds` of the turns */
export function pickTrajectories(turns: Turns, first: Int32Array, ends: Int32Array, picked: readonly number[]): Picked {
  const turn: number[] = [];
  const token: number[] = [];
  const trajectory: number[] = [];
  for (const [i, m] of picked.entries()) {
    for (let k = first[m]; k < first[m + 1]; k++) {
      turn.push(k);
      trajectory.push(i);
      for (let n = ends[k] - turns.tokens[k]; n < ends[k]; n++) token.push(n);
    }
  }
  return { positions: { sequence: picked, turn, token }, trajectory: Int32Array.from(trajectory) };
}

/** The signals of some trajectories, in this order. */
export function pickSignals(
  { turns, groups, actionMask, arrays }: Signals,
  { positions, trajectory }: Picked,
  levels: ReadonlyMap<string, { level: Level }>,
): Signals {
  const kept: Turns = {
    count: trajectory.length,
    starts: pick(turns.starts, positions.turn),
    ends: pick(turns.ends, positions.turn),
    tokens: pick(turns.tokens, positions.turn),
    index: pick(turns.index, positions.turn),
    trajectory,
  };
  const pickedArrays = Object.entries(arrays).map(([path, values]) => [
    path,
    pick(values, positions[levels.get(path)?.level ?? 'sequence']),
  ]);
  return {
    turns: actionMask === null ? kept : packedTurns(kept),
    groups: pick(groups, positions.sequence),
    actionMask: actionMask === null ? null : new Uint8Array(positions.token.length).fill(1),
    arrays: Object.fromEntries(pickedArrays),
  };
}
