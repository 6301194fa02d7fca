/** The tokens that enter the loss, in token order, cut into the segments that share a ratio. */
import type { SurrogateArgs } from '../../ops.js';

export interface LossTokens {
  /** Loss tokens [L]. */
  tokens: Int32Array;
  /** Turn of each loss token [L]. */
  turns: Int32Array;
  /** Bounds of the segments in the list [S + 1]; no segment is empty. */
  segments: number[];
  /** Loss tokens of each turn's trajectory [K]: |y|. */
  sequenceTokens: Float64Array;
}

export function listLossTokens(args: SurrogateArgs): LossTokens {
  const { starts, ends, trajectory } = args.turns;
  const tokens: number[] = [];
  const turns: number[] = [];
  const segments: number[] = [];
  let openSegment = -1;
  for (let k = 0; k < starts.length; k++) {
    for (let n = starts[k]; n < ends[k]; n++) {
      if (args.actionMask[n] !== 1) continue;
      const segment = args.ratio.level === 'token' ? n : args.ratio.level === 'turn' ? k : trajectory[k];
      if (segment !== openSegment) segments.push(tokens.length);
      openSegment = segment;
      tokens.push(n);
      turns.push(k);
    }
  }
  segments.push(tokens.length);
  return {
    tokens: Int32Array.from(tokens),
    turns: Int32Array.from(turns),
    segments,
    sequenceTokens: countSequenceTokens(args),
  };
}

function countSequenceTokens({ turns }: SurrogateArgs): Float64Array {
  const perTrajectory = new Map<number, number>();
  turns.trajectory.forEach((m, k) => {
    perTrajectory.set(m, (perTrajectory.get(m) ?? 0) + turns.tokens[k]);
  });
  return Float64Array.from(turns.trajectory, (m) => perTrajectory.get(m) ?? 0);
}
