/** Stage 4 of a channel: which entries are normalised together. Groups of any size, in any order. */
import type { ChannelArgs, TurnStatisticsArgs } from '../../ops.js';

/**
 * Present entries by group, groups in the order of their first entry.
 *
 *   batch: all;   prompt: groups[m];   prompt-turn: (groups[m], turns.index[k]), for an outcome channel groups[m]
 *
 * @param present [K], or [M] for an outcome channel
 */
export function groupMembers(args: TurnStatisticsArgs, channel: ChannelArgs, present: Uint8Array): number[][] {
  const promptOf = numbering();
  const turnOf = numbering();
  const groupOf = numbering();
  const perTurn = channel.signal !== 'outcome';
  const members: number[][] = [];
  for (let entry = 0; entry < present.length; entry++) {
    if (!present[entry]) continue;
    const prompt =
      channel.group === 'batch' ? 0 : promptOf(args.groups[perTurn ? args.turns.trajectory[entry] : entry]);
    const turn = channel.group === 'prompt-turn' && perTurn ? turnOf(args.turns.index[entry]) : 0;
    // Both are dense numbers below the count of entries, so the product cannot leave the exact integers.
    const group = groupOf(turn * present.length + prompt);
    if (group === members.length) members.push([]);
    members[group].push(entry);
  }
  return members;
}

/** Numbers keys 0, 1, ... in the order in which they are first seen. */
function numbering(): (key: number) => number {
  const numbers = new Map<number, number>();
  return (key) => {
    let number = numbers.get(key);
    if (number === undefined) {
      number = numbers.size;
      numbers.set(key, number);
    }
    return number;
  };
}
