/** What turnStatistics refuses: sizes that do not fit, arrays that are missing, settings in places they do not have. */
import { type ChannelArgs, GROUP_STAT_SLOTS, type Level, type Status, type TurnStatisticsArgs } from '../../ops.js';
import { INVALID, OK } from './status.js';
import { areSpansWithin, areTurns } from './turn_layout.js';

/** Sizes, the order of turns, and that every array a channel asks for is there and every setting in its place. */
export function checkTurnStatistics(args: TurnStatisticsArgs): Status {
  const { turns, groups } = args;
  if (!areTurns(turns) || turns.trajectory.some((m) => m >= groups.length)) return INVALID;
  if (readsTokens(args) && !(areSpansWithin(turns, tokenCount(args)) && countsItsTokens(args))) return INVALID;
  const isValid =
    hasPlaces(args) &&
    hasSizes(args) &&
    hasInputs(args) &&
    args.channels.every((channel) => hasChannelPlaces(channel) && hasChannelInputs(args, channel)) &&
    !outputsOverlap(args);
  return isValid ? OK : INVALID;
}

/** Whether anything is per token, so that the mask says which tokens there are. */
export function readsTokens({ resultLevel, channels }: TurnStatisticsArgs): boolean {
  return (
    resultLevel === 'token' || channels.some(({ level, tokenSignal }) => level === 'token' || tokenSignal !== null)
  );
}

/** N; a missing mask is as good as an empty one. */
function tokenCount({ actionMask }: TurnStatisticsArgs): number {
  return actionMask?.length ?? 0;
}

/** Whether each span holds exactly the loss tokens that `turns.tokens` says. */
function countsItsTokens({ turns, actionMask }: TurnStatisticsArgs): boolean {
  return turns.starts.every((start, k) => {
    const ones = actionMask?.subarray(start, turns.ends[k]).filter((mask) => mask === 1).length ?? 0;
    return ones === turns.tokens[k];
  });
}

/** Settings that mean something only at one level. */
function hasPlaces({ resultLevel, channels, combine, whiten, normalizedChannel }: TurnStatisticsArgs): boolean {
  const isPerToken = resultLevel === 'token';
  if (resultLevel === 'sequence' || (!isPerToken && channels.some(({ level }) => level === 'token'))) return false;
  if (combine === 'join' && isPerToken) return false;
  const whitens = whiten.kind !== 'none';
  if (whitens && whiten.over !== 'token' && isPerToken) return false;
  return normalizedChannel < channels.length;
}

function hasChannelPlaces({ level, accumulate, then, group, members, transform, klPenalty }: ChannelArgs): boolean {
  if (accumulate === 'tree' && level !== 'turn') return false;
  if (then === 'tree' && level !== 'sequence') return false;
  if (group === 'parent' && level !== 'turn') return false;
  if (transform === 'rank-gauss' && members !== 'all') return false;
  return klPenalty.coef === 0 || level === 'token';
}

function sizeOf(args: TurnStatisticsArgs, level: Level): number {
  if (level === 'sequence') return args.groups.length;
  return level === 'turn' ? args.turns.starts.length : tokenCount(args);
}

/** Every array that is there has its size. */
function hasSizes(args: TurnStatisticsArgs): boolean {
  const fits = (array: { length: number } | null, level: Level) =>
    array === null || array.length === sizeOf(args, level);
  const results = [args.advantages, args.clipScale, args.ratioTargets, args.normalizedSignal];
  const perTrajectory = [args.outcome, args.bootstrapValues, args.truncated];
  const perTurn = [args.turnEntropies, args.nodes];
  const ofChannel = (channel: ChannelArgs) =>
    fits(channel.trajectorySignal, 'sequence') &&
    fits(channel.turnSignal, 'turn') &&
    fits(channel.tokenSignal, 'token') &&
    fits(channel.values, channel.level) &&
    fits(channel.baseline, channel.level) &&
    fits(channel.keys, channel.level === 'sequence' ? 'sequence' : 'turn');
  return (
    results.every((array) => fits(array, args.resultLevel)) &&
    perTrajectory.every((array) => fits(array, 'sequence')) &&
    perTurn.every((array) => fits(array, 'turn')) &&
    args.groupStats.length === args.channels.length * GROUP_STAT_SLOTS.length &&
    args.channels.every(ofChannel)
  );
}

/** Whether an array that is read is there. A missing array of length 0 is as good as an empty one. */
function has(args: TurnStatisticsArgs, array: { length: number } | null, level: Level): boolean {
  return (array?.length ?? 0) === sizeOf(args, level);
}

function hasInputs(args: TurnStatisticsArgs): boolean {
  const readsEntropies = args.modulation.kind === 'entropy' || args.channels.some(readsSoftmax);
  const readsTargets = args.channels.some(({ use }) => use === 'ratio-target');
  return (
    (!readsEntropies || has(args, args.turnEntropies, 'turn')) &&
    (!readsTargets || has(args, args.ratioTargets, args.resultLevel))
  );
}

function readsSoftmax({ accumulate, then, treeBackup }: ChannelArgs): boolean {
  return (accumulate === 'tree' || then === 'tree') && treeBackup === 'child-softmax';
}

function hasChannelInputs(args: TurnStatisticsArgs, channel: ChannelArgs): boolean {
  const { level, accumulate, bootstrap } = channel;
  const isGae = accumulate === 'gae';
  const bootstrapsOutcome = accumulate === 'discounted' && bootstrap === 'outcome';
  const readsOutcome = channel.matchOutcomeStd || bootstrapsOutcome || channel.gateTemperature > 0;
  const needs: (readonly [boolean, { length: number } | null, Level])[] = [
    [readsOutcome, args.outcome, 'sequence'],
    [accumulate === 'tree', channel.trajectorySignal, 'sequence'],
    [isGae, channel.values, level],
    [isGae && bootstrap === 'carry', args.truncated, 'sequence'],
    [isGae && bootstrap === 'given', args.bootstrapValues, 'sequence'],
    [channel.group === 'prompt-key', channel.keys, level === 'sequence' ? 'sequence' : 'turn'],
    [channel.center === 'given', channel.baseline, level],
    [channel.klPenalty.coef !== 0, args.oldLogProbs, 'token'],
    [channel.klPenalty.coef !== 0, args.refLogProbs, 'token'],
  ];
  return needs.every(([isRead, array, of]) => !isRead || has(args, array, of));
}

/** Whether a result shares memory with an input or another result: it would be overwritten before it is read. */
function outputsOverlap(args: TurnStatisticsArgs): boolean {
  const outputs = [args.advantages, args.clipScale, args.ratioTargets, args.normalizedSignal, args.groupStats];
  const inputs: (ArrayBufferView | null)[] = [
    ...Object.values(args.turns),
    args.groups,
    args.outcome,
    args.actionMask,
    args.oldLogProbs,
    args.refLogProbs,
    args.turnEntropies,
    args.nodes,
    args.bootstrapValues,
    args.truncated,
    ...args.channels.flatMap(({ trajectorySignal, turnSignal, tokenSignal, values, keys, baseline }) => [
      trajectorySignal,
      turnSignal,
      tokenSignal,
      values,
      keys,
      baseline,
    ]),
  ];
  return outputs.some(
    (output, i) =>
      inputs.some((input) => overlap(output, input)) || outputs.slice(i + 1).some((other) => overlap(output, other)),
  );
}

function overlap(a: ArrayBufferView | null, b: ArrayBufferView | null): boolean {
  if (a === null || b === null || a.buffer !== b.buffer) return false;
  return a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength;
}
