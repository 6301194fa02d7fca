/** Ragged turn layouts for tests. */
import type { TurnsArgs } from '../../lib/ops.js';
import { random } from './random.js';

export interface Layout {
  /** N */
  tokens: number;
  turns: TurnsArgs;
  trajectoryOffsets: Int32Array;
  actionMask: Uint8Array;
  /** [N] -1 outside every turn. */
  turnIds: Int32Array;
}

/** One token of a turn: 1 = in the loss, 0 = skipped. */
type Turn = (0 | 1)[];

/** Turns of trajectories, each turn a list of its tokens' masks, behind `gap` observation tokens each. */
export function layoutOf(trajectories: readonly (readonly Turn[])[], gap: (m: number, k: number) => number): Layout {
  const mask: number[] = [];
  const ids: number[] = [];
  const offsets = [0];
  const rows: [start: number, end: number, tokens: number, trajectory: number, index: number][] = [];
  trajectories.forEach((own, m) => {
    own.forEach((turn, k) => {
      for (let g = gap(m, k); g > 0; g--) {
        mask.push(0);
        ids.push(-1);
      }
      const start = mask.length;
      for (const loss of turn) {
        mask.push(loss);
        ids.push(k);
      }
      rows.push([start, mask.length, turn.filter((loss) => loss === 1).length, m, k]);
    });
    offsets.push(mask.length);
  });
  const column = (i: number) => Int32Array.from(rows, (row) => row[i]);
  return {
    tokens: mask.length,
    turns: { starts: column(0), ends: column(1), tokens: column(2), trajectory: column(3), index: column(4) },
    trajectoryOffsets: Int32Array.from(offsets),
    actionMask: Uint8Array.from(mask),
    turnIds: Int32Array.from(ids),
  };
}

/** `trajectories` of 1 to `mostTurns` turns of 1 to `mostTokens` tokens; about one token of eight is not in the loss. */
export function randomLayout(seed: number, trajectories: number, mostTurns = 5, mostTokens = 9): Layout {
  const { integer } = random(seed);
  const turn = (): Turn => Array.from({ length: 1 + integer(mostTokens) }, () => (integer(8) === 0 ? 0 : 1));
  return layoutOf(
    Array.from({ length: trajectories }, () => Array.from({ length: 1 + integer(mostTurns) }, turn)),
    () => integer(4),
  );
}

/** [M] with the last turn of each trajectory of K turns. */
export function isLastTurn({ trajectory }: Pick<TurnsArgs, 'trajectory'>, k: number): boolean {
  return k + 1 === trajectory.length || trajectory[k + 1] !== trajectory[k];
}

/** Counts for the loss, as the batch itself has them. */
export function denominatorsOf({ tokens, trajectory }: TurnsArgs) {
  const withLoss = Array.from(tokens.keys()).filter((k) => tokens[k] > 0);
  return {
    tokens: tokens.reduce((sum, count) => sum + count, 0),
    turns: withLoss.length,
    sequences: new Set(withLoss.map((k) => trajectory[k])).size,
    prompts: 0,
  };
}
