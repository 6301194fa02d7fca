/** Stage 4 of a channel: which entries are normalised together. Groups of any size, in any order. */
import type { ChannelArgs, TurnStatisticsArgs } from '../../ops.js';
import type { Entries } from './channel_signal.js';
import type { CreditLayout } from './credit_layout.js';
import { numbering } from './numbering.js';
import type { TurnTree } from './turn_tree.js';

export interface Group {
  /** Entries that are normalised by this group's statistics, in order. */
  entries: number[];
  /** Those of them that the statistics are over; n is their number. */
  members: number[];
}

export interface Grouping {
  /** In the order of their first entry. */
  groups: Group[];
  /** The entry whose z each entry takes: its own, or by parent that of its node's first turn. */
  sameAs: Int32Array;
}

/**
 * Present entries by group.
 *
 *   batch: all;   prompt: groups[m];   prompt-turn: (prompt, turns.index[k]), at sequence level the prompt;
 *   prompt-key: (prompt, keys[m] or keys[k]);   parent: (prompt, parent node), every node once
 */
export function groupMembers(
  args: TurnStatisticsArgs,
  channel: ChannelArgs,
  layout: CreditLayout,
  tree: TurnTree | null,
  { present }: Entries,
): Grouping {
  const promptOf = numbering();
  const keyOf = numbering();
  const groupOf = numbering();
  const sameAs = Int32Array.from(present.keys());
  const firstOfNode = new Map<number, number>();
  const groups: Group[] = [];
  const lastTrajectory: number[] = [];
  for (let entry = 0; entry < present.length; entry++) {
    if (!present[entry]) continue;
    if (channel.group === 'parent' && tree !== null) {
      const node = tree.nodeOfTurn[entry];
      const first = firstOfNode.get(node);
      if (first !== undefined) {
        sameAs[entry] = first;
        continue;
      }
      firstOfNode.set(node, entry);
    }
    const m = layout.trajectoryOf[channel.level][entry];
    const prompt = channel.group === 'batch' ? 0 : promptOf(args.groups[m]);
    const key = keyOf(subKey(args, channel, layout, tree, entry));
    // Both are dense numbers below the count of entries, so the product cannot leave the exact integers.
    const group = groupOf(key * present.length + prompt);
    if (group === groups.length) groups.push({ entries: [], members: [] });
    groups[group].entries.push(entry);
    // Entries of a trajectory stand together, so the first of each is where the trajectory changes.
    if (channel.members === 'all' || lastTrajectory[group] !== m) groups[group].members.push(entry);
    lastTrajectory[group] = m;
  }
  return { groups, sameAs };
}

/** What divides a prompt's entries further. */
function subKey(
  { turns }: TurnStatisticsArgs,
  { level, group, keys }: ChannelArgs,
  layout: CreditLayout,
  tree: TurnTree | null,
  entry: number,
): number {
  const turn = layout.turnOf[level][entry];
  switch (group) {
    case 'batch':
    case 'prompt':
      return 0;
    case 'prompt-turn':
      return level === 'sequence' ? 0 : turns.index[turn];
    case 'prompt-key':
      return keys?.[level === 'sequence' ? entry : turn] ?? 0;
    case 'parent':
      return tree === null ? 0 : tree.parent[tree.nodeOfTurn[turn]];
  }
}
