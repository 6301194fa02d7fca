import { turnsArgs } from '../data/layout.js';
import { InvalidInputError } from '../errors.js';
import { creditPlan } from '../estimator/plan.js';
import { nameOf } from '../estimator/stages/signal.js';
import type { Estimator } from '../estimator/types.js';
import { opError } from '../op_error.js';
import { GROUP_STAT_SLOTS, type GroupStatSlot, type Status, type TurnStatisticsArgs } from '../ops.js';
import type { Signals } from './signals.js';

/** Counts over the groups of one channel. */
export interface GroupStats extends Readonly<Record<GroupStatSlot, number>> {
  /** The terms of the channel's signal, joined by "+". */
  readonly signal: string;
}

/** The op's record for these signals, with fresh result buffers. */
export function turnStatisticsArgs(signals: Signals, estimator: Estimator): TurnStatisticsArgs {
  const { turns, groups, actionMask, arrays } = signals;
  const plan = creditPlan(estimator, arrays);
  const count = plan.resultLevel === 'token' ? (actionMask?.length ?? 0) : turns.count;
  const result = () => new Float64Array(count);
  return {
    turns: turnsArgs(turns),
    groups,
    outcome: (arrays.outcome ?? null) as Float64Array | null,
    actionMask,
    oldLogProbs: (arrays.oldLogProbs ?? null) as Float32Array | null,
    refLogProbs: (arrays.refLogProbs ?? null) as Float32Array | null,
    turnEntropies: (arrays.turnEntropies ?? null) as Float64Array | null,
    nodes: (arrays.nodes ?? null) as Int32Array | null,
    bootstrapValues: (arrays.bootstrapValues ?? null) as Float64Array | null,
    truncated: (arrays.truncated ?? null) as Uint8Array | null,
    ...plan,
    advantages: result(),
    clipScale: result(),
    ratioTargets: estimator.channels.some(({ use }) => use === 'ratio-target') ? result() : null,
    normalizedSignal: result(),
    groupStats: new Float64Array(plan.channels.length * GROUP_STAT_SLOTS.length),
  };
}

export function groupStats({ groupStats: stats }: TurnStatisticsArgs, { channels }: Estimator): readonly GroupStats[] {
  const width = GROUP_STAT_SLOTS.length;
  const rows = channels.map(({ signal }, c) => {
    const slots = Object.fromEntries(GROUP_STAT_SLOTS.map((slot, i) => [slot, stats[c * width + i]]));
    const name = signal.terms.map(nameOf).join('+');
    return Object.freeze({ signal: name, ...(slots as Record<GroupStatSlot, number>) });
  });
  return Object.freeze(rows);
}

/** Statistics of nearly equal values can overflow where eps is tiny. */
export function checkFiniteCredit({ advantages, ratioTargets }: TurnStatisticsArgs): void {
  for (const [name, values] of Object.entries({ advantages, ratioTargets })) {
    const at = values?.findIndex((value) => !Number.isFinite(value)) ?? -1;
    if (at < 0) continue;
    throw new InvalidInputError({
      code: 'ERR_NON_FINITE',
      path: `${name}[${at}]`,
      expected: 'finite credit',
      received: String(values?.[at]),
      hint: 'eps and varianceFloor are too small for the signals of its group',
    });
  }
}

/** Statuses that only turnStatistics gives. */
export function statisticsError({ code, position }: Status, device: string): Error {
  if (code === 'group-of-one') {
    return new InvalidInputError({
      code: 'ERR_SINGLETON',
      path: 'groups',
      expected: 'at least two members in every group (singleton: "throw")',
      received: `a group of one, at turn, token or trajectory ${position}`,
    });
  }
  if (code === 'tree-broken') {
    return new InvalidInputError({
      code: 'ERR_TURNS',
      path: `nodes[${position}]`,
      expected: 'one parent for every node (the node of the turn before), each node once in a trajectory',
      received: 'a node that was seen elsewhere in the tree',
    });
  }
  return opError('turnStatistics', { code, position }, device);
}
