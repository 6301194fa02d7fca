/** Checks of the turns record shared by the ops that read it. */
import type { TurnsArgs } from '../../ops.js';

/** Whether the five arrays describe the same K turns and trajectories come one after another. */
export function areTurns({ starts, ends, tokens, trajectory, index }: TurnsArgs): boolean {
  const count = starts.length;
  if ([ends, tokens, trajectory, index].some((array) => array.length !== count)) return false;
  return trajectory.every((m, k) => m >= (k === 0 ? 0 : trajectory[k - 1]));
}

/**
 * Whether every span lies in [0, N) after the one before it (no token is read twice) and holds as many tokens as it
 * says.
 */
export function areSpansWithin({ starts, ends, tokens }: TurnsArgs, tokenCount: number): boolean {
  return starts.every((start, k) => {
    const inOrder = start >= (k === 0 ? 0 : ends[k - 1]) && start <= ends[k] && ends[k] <= tokenCount;
    return inOrder && tokens[k] >= 0 && tokens[k] <= ends[k] - start;
  });
}
