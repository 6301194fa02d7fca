/** Stages 3 and 7 of a channel: sums over later entries before the statistics, and after them. */
import type { ChannelArgs, TurnStatisticsArgs } from '../../ops.js';
import { discounted, divideBySqrtTerms, gae } from '../math/accumulate.js';
import type { Entries } from './channel_signal.js';
import type { CreditLayout } from './credit_layout.js';
import { type TurnTree, treeCredit } from './turn_tree.js';

/** Stage 3. `tree` is there where the channel says tree. */
export function accumulateSignal(
  args: TurnStatisticsArgs,
  channel: ChannelArgs,
  layout: CreditLayout,
  tree: TurnTree | null,
  signal: Entries,
): Entries {
  switch (channel.accumulate) {
    case 'none':
      return signal;
    case 'discounted':
      return discountSignal(args, channel, layout, signal);
    case 'gae':
      return estimateAdvantages(args, channel, layout, signal);
    case 'tree':
      return tree === null ? signal : treeCredit(args, channel, layout, tree, channel.trajectorySignal);
  }
}

/**
 * Sums over later entries. An absent turn adds 0 and stays absent; what follows it still reaches the turns before it. An
 * absent loss token becomes present: rewards are sparse there.
 */
function discountSignal(
  { outcome }: TurnStatisticsArgs,
  channel: ChannelArgs,
  layout: CreditLayout,
  { level, values, present }: Entries,
): Entries {
  const sums = values.slice();
  const after = present.slice();
  forEachRun(channel, layout, (run, m, isLast) => {
    const beyond = isLast && channel.bootstrap === 'outcome' && outcome !== null ? outcome[m] : 0;
    const own = Float64Array.from(run, (entry) => (present[entry] ? values[entry] : 0));
    write(sums, run, discounted(own, channel.gamma, beyond));
    if (level === 'token') for (const entry of run) after[entry] = 1;
  });
  return { level, values: sums, present: after };
}

/** Every entry has an advantage, with or without a signal of its own. */
function estimateAdvantages(
  args: TurnStatisticsArgs,
  channel: ChannelArgs,
  layout: CreditLayout,
  { level, values, present }: Entries,
): Entries {
  const { values: stateValues, gamma, lambda } = channel;
  const advantages = new Float64Array(values.length);
  const after = new Uint8Array(values.length);
  forEachRun(channel, layout, (run, m, isLast) => {
    const own = Float64Array.from(run, (entry) => (present[entry] ? values[entry] : 0));
    const v = Float64Array.from(run, (entry) => stateValues?.[entry] ?? 0);
    write(advantages, run, gae(own, v, gamma, lambda, isLast ? valueBeyond(args, channel, m, v[v.length - 1]) : 0));
    for (const entry of run) after[entry] = 1;
  });
  return { level, values: advantages, present: after };
}

/** V after the last entry: 0 where the trajectory ended, V of the last state where it was cut off, or as given. */
function valueBeyond(args: TurnStatisticsArgs, { bootstrap }: ChannelArgs, m: number, lastValue: number): number {
  if (bootstrap === 'carry') return args.truncated?.[m] === 1 ? lastValue : 0;
  const given = bootstrap === 'given' ? (args.bootstrapValues?.[m] ?? 0) : 0;
  return Number.isNaN(given) ? 0 : given;
}

/**
 * The runs of entries that a recursion goes through: the whole trajectory, or with observation reset the loss tokens of
 * each of its turns. Excluded trajectories are left out.
 */
function forEachRun(
  { level, observation }: ChannelArgs,
  layout: CreditLayout,
  visit: (run: readonly number[], m: number, isLast: boolean) => void,
): void {
  layout.entries[level].forEach((entries, m) => {
    if (layout.excluded[m]) return;
    const turns = layout.entries.turn[m];
    const runs = level === 'token' && observation === 'reset' ? turns.map((k) => layout.tokensOfTurn[k]) : [entries];
    const filled = runs.filter((run) => run.length > 0);
    filled.forEach((run, i) => {
      visit(run, m, i === filled.length - 1);
    });
  });
}

/** Stage 7, what a channel contributes: z or its sum over later entries, or its tree's value of every turn. Absent = 0. */
export function accumulateAfter(
  args: TurnStatisticsArgs,
  channel: ChannelArgs,
  layout: CreditLayout,
  tree: TurnTree | null,
  z: Entries,
): Entries {
  if (channel.then === 'tree' && tree !== null) {
    const leafValues = z.values.map((value, m) => (z.present[m] ? value : Number.NaN));
    return withZeros(treeCredit(args, channel, layout, tree, leafValues));
  }
  const result = withZeros(z);
  if (channel.then === 'none') return result;
  layout.entries[channel.level].forEach((entries, m) => {
    if (layout.excluded[m]) return;
    const own = Float64Array.from(entries, (entry) => result.values[entry]);
    const here = Uint8Array.from(entries, (entry) => z.present[entry]);
    const sums = discounted(own, channel.thenGamma);
    write(result.values, entries, channel.thenDivide === 'sqrt-terms' ? divideBySqrtTerms(sums, here) : sums);
  });
  return result;
}

function withZeros({ level, values, present }: Entries): Entries {
  return { level, values: values.map((value, entry) => (present[entry] ? value : 0)), present };
}

function write(to: Float64Array, entries: readonly number[], values: Float64Array): void {
  entries.forEach((entry, i) => {
    to[entry] = values[i];
  });
}
