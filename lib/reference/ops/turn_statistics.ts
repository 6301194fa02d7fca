/**
 * Credit assignment: grouped, normalised, accumulated turn signals, and from them advantages and clip scales. Works on
 * [K] and [M] arrays only; the same bits for any order of trajectories, because every statistic is a reproducible sum.
 *
 *   signal → accumulate → group → center, scale (z) → then accumulate → weight, summed over channels
 *
 * Sources of the stages: A²TGPO, arXiv 2605.06200 and its release; GRPO, arXiv 2402.03300. See lib/reference/math.
 */
import { type ChannelArgs, GROUP_STAT_SLOTS, type Status, type TurnStatisticsArgs } from '../../ops.js';
import { discounted, divideBySqrtTerms } from '../math/accumulate.js';
import { clipScale } from '../math/clip_scale.js';
import { normalizeGroup } from '../math/normalize.js';
import { type Entries, readSignal } from './channel_signal.js';
import { groupMembers } from './group_members.js';
import { failed, INVALID, OK } from './status.js';
import { areTurns } from './turn_layout.js';

export function turnStatistics(args: TurnStatisticsArgs): Status {
  const status = checkTurnStatistics(args);
  if (status.code !== 'ok') return status;
  const ranges = turnRanges(args);
  args.normalizedSignal.fill(Number.NaN);
  args.clipScale.fill(1);
  args.advantages.fill(0);

  for (let c = 0; c < args.channels.length; c++) {
    const channel = args.channels[c];
    const signal = readSignal(args, channel, ranges);
    const members = groupMembers(args, channel, signal.present);
    const alone = channel.singleton === 'throw' ? members.filter((group) => group.length === 1) : [];
    // Groups are in the order of their first member, so the first group of one is the smallest position.
    if (alone.length > 0) return failed('group-of-one', alone[0][0]);

    const normalized = normalizeMembers(signal, members, channel);
    writeGroupStats(args, c, signal, members);
    if (c === args.normalizedChannel) exposeNormalized(args, channel, normalized);
    addChannel(args, channel, normalized, ranges);
  }
  if (args.combine === 'join') {
    for (const [first, last] of ranges) {
      args.advantages.set(discounted(args.advantages.subarray(first, last), args.joinGamma), first);
    }
  }
  return OK;
}

/** Sizes, the order of turns, and that every signal a channel asks for is there. */
export function checkTurnStatistics(args: TurnStatisticsArgs): Status {
  const { turns, groups, outcome, turnRewards, informationGain, channels } = args;
  const turnCount = turns.starts.length;
  if (!areTurns(turns) || turns.trajectory.some((m) => m >= groups.length)) return INVALID;
  if (outcome !== null && outcome.length !== groups.length) return INVALID;
  const perTurn = [turnRewards, informationGain, args.advantages, args.clipScale, args.normalizedSignal];
  if (perTurn.some((array) => array !== null && array.length !== turnCount)) return INVALID;
  if (args.groupStats.length !== channels.length * GROUP_STAT_SLOTS.length) return INVALID;
  if (args.normalizedChannel >= channels.length) return INVALID;
  return channels.every((channel) => hasInputs(args, channel)) ? OK : INVALID;
}

/** Whether every array that the channel reads is there. A missing array of length 0 is as good as an empty one. */
function hasInputs(args: TurnStatisticsArgs, channel: ChannelArgs): boolean {
  const { signal, matchOutcomeStd, accumulate, bootstrap } = channel;
  const bootstraps = accumulate === 'discounted' && bootstrap === 'outcome';
  const readsOutcome = signal === 'outcome' || signal === 'joined' || matchOutcomeStd || bootstraps;
  const readsGain = signal === 'information-gain' || signal === 'joined';
  if (readsOutcome && args.outcome === null && args.groups.length > 0) return false;
  if (args.turns.starts.length === 0) return true;
  return !(readsGain && args.informationGain === null) && !(signal === 'turn-reward' && args.turnRewards === null);
}

/** [first, last) turn of each trajectory m; empty for one without turns. */
function turnRanges({ turns, groups }: TurnStatisticsArgs): [number, number][] {
  const ranges: [number, number][] = [];
  let next = 0;
  for (let m = 0; m < groups.length; m++) {
    const first = next;
    while (next < turns.trajectory.length && turns.trajectory[next] === m) next++;
    ranges.push([first, next]);
  }
  return ranges;
}

/** z of every present entry, its group at a time; NaN where there is no signal. */
function normalizeMembers({ values, present }: Entries, groups: number[][], channel: ChannelArgs): Entries {
  const z = new Float64Array(values.length).fill(Number.NaN);
  for (const group of groups) {
    const normalized = normalizeGroup(
      Float64Array.from(group, (entry) => values[entry]),
      channel,
    );
    group.forEach((entry, i) => {
      z[entry] = normalized[i];
    });
  }
  return { values: z, present };
}

function writeGroupStats(args: TurnStatisticsArgs, c: number, { values }: Entries, groups: number[][]): void {
  const sizes = groups.map((group) => group.length);
  const equal = groups.filter(
    (group) => group.length > 1 && group.every((entry) => values[entry] === values[group[0]]),
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

/** The channel's z per turn (NaN where there is no signal), and the clip scale made from it before any accumulation. */
function exposeNormalized(args: TurnStatisticsArgs, { signal }: ChannelArgs, { values }: Entries): void {
  args.turns.trajectory.forEach((m, k) => {
    const entry = signal === 'outcome' ? m : k;
    args.normalizedSignal[k] = values[entry];
    args.clipScale[k] = clipScale(values[entry], args.clipScaleBeta);
  });
}

/** Adds weight · value of one channel to the advantages of every turn it speaks to. */
function addChannel(args: TurnStatisticsArgs, channel: ChannelArgs, z: Entries, ranges: [number, number][]): void {
  ranges.forEach(([first, last], m) => {
    if (args.outcome !== null && Number.isNaN(args.outcome[m])) return;
    const accumulated = channel.signal === 'outcome' ? null : accumulateAfter(z, channel, first, last);
    for (let k = first; k < last; k++) {
      const isLast = k === last - 1;
      // Joined channels form one sequence of signals, in which the outcome stands on the last turn only.
      if (accumulated === null && args.combine === 'join' && !isLast) continue;
      const value = accumulated === null ? z.values[m] : accumulated[k - first];
      args.advantages[k] += (isLast ? channel.lastWeight : channel.weight) * value;
    }
  });
}

/** The channel's value on turns [first, last) of one trajectory: z, or its discounted sum over later turns. */
function accumulateAfter(
  { values, present }: Entries,
  channel: ChannelArgs,
  first: number,
  last: number,
): Float64Array {
  const here = present.subarray(first, last);
  const z = values.slice(first, last).map((value, i) => (here[i] ? value : 0));
  if (channel.then === 'none') return z;
  const sums = discounted(z, channel.thenGamma);
  return channel.thenDivide === 'sqrt-terms' ? divideBySqrtTerms(sums, here) : sums;
}
