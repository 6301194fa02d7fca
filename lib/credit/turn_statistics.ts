import { turnsArgs } from '../data/layout.js';
import { InvalidInputError } from '../errors.js';
import { creditPlan } from '../estimator/plan.js';
import { nameOf } from '../estimator/stages/signal.js';
import type { Estimator } from '../estimator/types.js';
import { opError } from '../op_error.js';
import { GROUP_STAT_SLOTS, type GroupStatSlot, type Status, type TurnStatisticsArgs } from '../ops.js';
import { type Column, isOnHost, lengthOf, operand, operandOrNull } from '../tensor/column.js';
import { Workspace } from '../tensor/workspace.js';
import type { BatchSignals } from './signals.js';

/** Counts over the groups of one channel. */
export interface GroupStats extends Readonly<Record<GroupStatSlot, number>> {
  /** The terms of the channel's signal, joined by "+". */
  readonly signal: string;
}

/** The results of the op that a loss reads. */
export interface CreditColumns {
  advantages: Column<'f64'>;
  clipScale: Column<'f64'>;
  ratioTargets: Column<'f64'> | null;
}

/** The op's record for these signals, with fresh result buffers: those of [N] where the batch is, the small ones of [K] in host memory. */
export function turnStatisticsArgs(
  signals: BatchSignals,
  estimator: Estimator,
  memory = new Workspace('cpu'),
): { args: TurnStatisticsArgs; results: CreditColumns } {
  const { turns, groups, actionMask, arrays } = signals;
  const plan = creditPlan(estimator, arrays);
  const given = (path: string) => operandOrNull(arrays[path] ?? null);
  const result = (): Column<'f64'> =>
    plan.resultLevel === 'token' && actionMask
      ? memory.scratch('f64', lengthOf(actionMask))
      : new Float64Array(turns.count);
  const advantages = result();
  const clipScale = result();
  const ratioTargets = estimator.channels.some(({ use }) => use === 'ratio-target') ? result() : null;
  const args = {
    turns: turnsArgs(turns),
    groups: operand(groups),
    outcome: given('outcome') as Float64Array | null,
    actionMask: operandOrNull(actionMask),
    oldLogProbs: given('oldLogProbs') as Float32Array | null,
    refLogProbs: given('refLogProbs') as Float32Array | null,
    turnEntropies: given('turnEntropies') as Float64Array | null,
    nodes: given('nodes') as Int32Array | null,
    bootstrapValues: given('bootstrapValues') as Float64Array | null,
    truncated: given('truncated') as Uint8Array | null,
    ...plan,
    advantages: operand(advantages),
    clipScale: operand(clipScale),
    ratioTargets: operandOrNull(ratioTargets),
    normalizedSignal: operand(result()),
    groupStats: new Float64Array(plan.channels.length * GROUP_STAT_SLOTS.length),
  };
  return { args, results: { advantages, clipScale, ratioTargets } };
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

/** Statistics of nearly equal values can overflow where eps is tiny. On a device the loss is not finite then. */
export function checkFiniteCredit({ advantages, ratioTargets }: Omit<CreditColumns, 'clipScale'>): void {
  for (const [name, values] of Object.entries({ advantages, ratioTargets })) {
    if (values === null || !isOnHost(values)) continue;
    const at = values.findIndex((value) => !Number.isFinite(value));
    if (at < 0) continue;
    throw new InvalidInputError({
      code: 'ERR_NON_FINITE',
      path: `${name}[${at}]`,
      expected: 'finite credit',
      received: String(values[at]),
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
