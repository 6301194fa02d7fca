/** Stage 5 of a channel: transform, centre and scale of its groups. */
import { type ChannelArgs, GROUP_STAT_SLOTS, type TurnStatisticsArgs } from '../../ops.js';
import { groupMoments, normalizeGroup } from '../math/normalize.js';
import { rankGauss } from '../math/rank_gauss.js';
import type { Entries } from './channel_signal.js';
import { type CreditLayout, lossWeights } from './credit_layout.js';
import type { Group, Grouping } from './group_members.js';

/** z of every present entry, its group at a time; NaN where there is no signal. */
export function normalizeGroups(
  args: TurnStatisticsArgs,
  channel: ChannelArgs,
  layout: CreditLayout,
  { groups, sameAs }: Grouping,
  { level, values, present }: Entries,
): Entries {
  const transformed = transformGroups(channel, groups, values);
  const weights = lossWeights(args, layout, level);
  const batchVariance = channel.scale === 'batch-std' ? varianceOfAll(channel, groups, transformed) : 0;
  const z = new Float64Array(values.length).fill(Number.NaN);
  for (const { entries, members } of groups) {
    // A group of one is raw or 0, whatever the transform would make of it.
    const source = members.length === 1 ? values : transformed;
    const normalized = normalizeGroup(pick(source, entries), channel, {
      members: pick(source, members),
      weights: pick(weights, members),
      batchVariance,
      ...(channel.baseline === null ? {} : { baselines: pick(channel.baseline, entries) }),
    });
    entries.forEach((entry, i) => {
      z[entry] = normalized[i];
    });
  }
  return { level, values: z.map((own, entry) => (present[entry] ? z[sameAs[entry]] : own)), present };
}

/** The values that the statistics are over and that are normalised: x' = x, or the normal quantile of its rank. */
function transformGroups(channel: ChannelArgs, groups: readonly Group[], values: Float64Array): Float64Array {
  if (channel.transform === 'none') return values;
  const transformed = values.slice();
  for (const { entries } of groups) {
    rankGauss(pick(values, entries)).forEach((x, i) => {
      transformed[entries[i]] = x;
    });
  }
  return transformed;
}

/** Over every member of every group, groups of one included; 0 for fewer than two, as for equal ones. */
function varianceOfAll({ ddof }: ChannelArgs, groups: readonly Group[], values: Float64Array): number {
  const all = pick(
    values,
    groups.flatMap(({ members }) => members),
  );
  return groupMoments(all, ddof).variance;
}

/** Counts of the channel's groups, before the transform. */
export function writeGroupStats(
  args: TurnStatisticsArgs,
  c: number,
  { values }: Entries,
  groups: readonly Group[],
): void {
  const sizes = groups.map(({ members }) => members.length);
  const equal = groups.filter(
    ({ members }) => members.length > 1 && members.every((entry) => values[entry] === values[members[0]]),
  );
  const stats = {
    groups: groups.length,
    singletons: sizes.filter((size) => size === 1).length,
    zeroVariance: equal.length,
    members: sizes.reduce((sum, size) => sum + size, 0),
    smallest: sizes.reduce((smallest, size) => Math.min(smallest, size), sizes[0] ?? 0),
    largest: sizes.reduce((largest, size) => Math.max(largest, size), 0),
  };
  GROUP_STAT_SLOTS.forEach((slot, i) => {
    args.groupStats[c * GROUP_STAT_SLOTS.length + i] = stats[slot];
  });
}

function pick(values: Float64Array, entries: readonly number[]): Float64Array {
  return Float64Array.from(entries, (entry) => values[entry]);
}
