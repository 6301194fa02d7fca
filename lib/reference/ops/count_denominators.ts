/** Counts that losses are averaged over. */
import type { DenominatorsArgs, TurnsArgs } from '../../ops.js';

/** @param groups [M] prompt of each trajectory; null: prompts are not counted */
export function countDenominators({ tokens, trajectory }: TurnsArgs, groups: Int32Array | null): DenominatorsArgs {
  const prompts = new Set<number>();
  const counts = { tokens: 0, turns: 0, sequences: 0 };
  let last = -1;
  for (let k = 0; k < tokens.length; k++) {
    if (tokens[k] === 0) continue;
    counts.tokens += tokens[k];
    counts.turns++;
    if (trajectory[k] !== last) {
      counts.sequences++;
      if (groups) prompts.add(groups[trajectory[k]]);
    }
    last = trajectory[k];
  }
  return { ...counts, prompts: prompts.size };
}
