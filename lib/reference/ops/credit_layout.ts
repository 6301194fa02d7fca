/** Which entries (trajectories, turns, loss tokens) there are, and which lies in which. */
import type { Level, TurnStatisticsArgs } from '../../ops.js';

export interface CreditLayout {
  /** Length of the arrays of a level: M, K, N. N is 0 where nothing is per token. */
  size: Record<Level, number>;
  /** Entries of each trajectory in order [M]; of level token its loss tokens. */
  entries: Record<Level, number[][]>;
  /** Loss tokens of each turn [K]; empty where nothing is per token. */
  tokensOfTurn: number[][];
  /** Turn of each entry; -1 of a token outside the loss, and of a trajectory. */
  turnOf: Record<Level, Int32Array>;
  /** Trajectory of each entry; -1 of a token outside the loss. */
  trajectoryOf: Record<Level, Int32Array>;
  /** [M] 1 = its outcome is NaN: it is in no statistic, its advantages are 0. */
  excluded: Uint8Array;
}

/** @param perToken whether the loss tokens are wanted; `checkTurnStatistics` has seen that the mask is there then */
export function creditLayout({ turns, groups, outcome, actionMask }: TurnStatisticsArgs, perToken: boolean) {
  const { starts, ends, trajectory } = turns;
  const trajectories = Int32Array.from(groups.keys());
  const mask = perToken && actionMask !== null ? actionMask : new Uint8Array(0);
  const layout: CreditLayout = {
    size: { sequence: groups.length, turn: starts.length, token: mask.length },
    entries: {
      sequence: Array.from(trajectories, (m) => [m]),
      turn: listsOf(groups.length),
      token: listsOf(groups.length),
    },
    tokensOfTurn: listsOf(starts.length),
    turnOf: {
      sequence: new Int32Array(groups.length).fill(-1),
      turn: Int32Array.from(starts.keys()),
      token: new Int32Array(mask.length).fill(-1),
    },
    trajectoryOf: { sequence: trajectories, turn: trajectory, token: new Int32Array(mask.length).fill(-1) },
    excluded: Uint8Array.from(groups, (_, m) => (outcome !== null && Number.isNaN(outcome[m]) ? 1 : 0)),
  };
  for (let k = 0; k < starts.length; k++) {
    layout.entries.turn[trajectory[k]].push(k);
    if (!perToken) continue;
    for (let n = starts[k]; n < ends[k]; n++) {
      if (mask[n] !== 1) continue;
      layout.tokensOfTurn[k].push(n);
      layout.entries.token[trajectory[k]].push(n);
      layout.turnOf.token[n] = k;
      layout.trajectoryOf.token[n] = trajectory[k];
    }
  }
  return layout;
}

function listsOf(count: number): number[][] {
  return Array.from({ length: count }, () => []);
}

/** Entries of a level inside one unit of a coarser level (or of the same one), in order. */
export function entriesWithin(layout: CreditLayout, level: Level, outer: Level, unit: number): readonly number[] {
  if (outer === 'sequence') return layout.entries[level][unit];
  return level === 'token' && outer === 'turn' ? layout.tokensOfTurn[unit] : [unit];
}

/** The unit of a level that holds an entry of a finer level (or of the same one); -1 for a token outside the loss. */
export function unitOf(layout: CreditLayout, level: Level, inner: Level, entry: number): number {
  if (level === 'sequence') return layout.trajectoryOf[inner][entry];
  return level === 'turn' ? layout.turnOf[inner][entry] : entry;
}

/** Loss tokens of each entry of a level; 0 for excluded trajectories and tokens outside the loss. */
export function lossWeights({ turns }: TurnStatisticsArgs, layout: CreditLayout, level: Level): Float64Array {
  const weights = new Float64Array(layout.size[level]);
  layout.entries[level].forEach((entries, m) => {
    if (layout.excluded[m]) return;
    for (const entry of entries) weights[entry] = level === 'turn' ? turns.tokens[entry] : 1;
    if (level === 'sequence') weights[m] = layout.entries.turn[m].reduce((sum, k) => sum + turns.tokens[k], 0);
  });
  return weights;
}
