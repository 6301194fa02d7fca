/** The tokens that enter the loss, in token order, and the units they belong to. */
import type { Level, SurrogateArgs } from '../../ops.js';

export interface LossTokens {
  /** Loss tokens [L]. */
  tokens: Int32Array;
  /** Turn of each loss token [L]. */
  turns: Int32Array;
  /** Loss tokens of each turn's trajectory [K]: |y|. */
  sequenceTokens: Float64Array;
}

export function listLossTokens(args: SurrogateArgs): LossTokens {
  const { starts, ends } = args.turns;
  const tokens: number[] = [];
  const turns: number[] = [];
  for (let k = 0; k < starts.length; k++) {
    for (let n = starts[k]; n < ends[k]; n++) {
      if (args.actionMask[n] !== 1) continue;
      tokens.push(n);
      turns.push(k);
    }
  }
  return {
    tokens: Int32Array.from(tokens),
    turns: Int32Array.from(turns),
    sequenceTokens: countSequenceTokens(args),
  };
}

/** Bounds [S + 1] in the list of the units of a level: unit s is loss tokens bounds[s] .. bounds[s + 1]. None is empty. */
export function unitBounds({ turns }: LossTokens, { trajectory }: SurrogateArgs['turns'], level: Level): Int32Array {
  const bounds: number[] = [];
  let open = -1;
  turns.forEach((k, i) => {
    const unit = level === 'token' ? i : level === 'turn' ? k : trajectory[k];
    if (unit !== open) bounds.push(i);
    open = unit;
  });
  bounds.push(turns.length);
  return Int32Array.from(bounds);
}

function countSequenceTokens({ turns }: SurrogateArgs): Float64Array {
  const perTrajectory = new Map<number, number>();
  turns.trajectory.forEach((m, k) => {
    perTrajectory.set(m, (perTrajectory.get(m) ?? 0) + turns.tokens[k]);
  });
  return Float64Array.from(turns.trajectory, (m) => perTrajectory.get(m) ?? 0);
}
