/**
 * Credit assignment: signals of trajectories, turns and tokens, grouped, normalised and accumulated, and from them
 * advantages and clip scales. Works on [M], [K] and [N] arrays only; the same bits for any order of trajectories, because
 * every statistic is a reproducible sum.
 *
 *   signal → accumulate → group → transform, center, scale (z) → then accumulate → cap, gate → weight, combined over
 *   channels → modulate → whiten
 *
 * Each stage has a file here and its formulas, with their sources, in lib/reference/math.
 */
import type { ChannelArgs, Status, TurnStatisticsArgs } from '../../ops.js';
import { accumulateAfter, accumulateSignal } from './channel_accumulate.js';
import { normalizeGroups, writeGroupStats } from './channel_normalize.js';
import { readSignal } from './channel_signal.js';
import { checkTurnStatistics, readsTokens } from './check_turn_statistics.js';
import { addChannel, capAndGate, exposeNormalized, finishCombination } from './combine_channels.js';
import { creditLayout } from './credit_layout.js';
import { modulateAdvantages, whitenAdvantages } from './finish_advantages.js';
import { groupMembers } from './group_members.js';
import { failed, OK } from './status.js';
import { buildTurnTree } from './turn_tree.js';

export { checkTurnStatistics };

export function turnStatistics(args: TurnStatisticsArgs): Status {
  const status = checkTurnStatistics(args);
  if (status.code !== 'ok') return status;
  const layout = creditLayout(args, readsTokens(args));
  const tree = args.channels.some(readsTree) ? buildTurnTree(args, layout) : null;
  if (tree !== null && tree.brokenAt >= 0) return failed('tree-broken', tree.brokenAt);
  args.normalizedSignal.fill(Number.NaN);
  args.clipScale.fill(1);
  args.advantages.fill(0);
  args.ratioTargets?.fill(0);
  const weightSums = new Float64Array(args.advantages.length);

  for (let c = 0; c < args.channels.length; c++) {
    const channel = args.channels[c];
    const signal = accumulateSignal(args, channel, layout, tree, readSignal(args, channel, layout));
    const grouping = groupMembers(args, channel, layout, tree, signal);
    // Groups are in the order of their first entry, so the first group of one is the smallest position.
    const alone = grouping.groups.find(({ members }) => members.length === 1);
    if (channel.singleton === 'throw' && alone !== undefined) return failed('group-of-one', alone.entries[0]);

    const z = normalizeGroups(args, channel, layout, grouping, signal);
    writeGroupStats(args, c, signal, grouping.groups);
    if (c === args.normalizedChannel) exposeNormalized(args, layout, z);
    const values = capAndGate(args, channel, layout, accumulateAfter(args, channel, layout, tree, z));
    addChannel(args, channel, layout, values, weightSums);
  }
  finishCombination(args, layout, weightSums);
  modulateAdvantages(args, layout);
  whitenAdvantages(args, layout);
  return OK;
}

function readsTree({ accumulate, group, then }: ChannelArgs): boolean {
  return accumulate === 'tree' || group === 'parent' || then === 'tree';
}
