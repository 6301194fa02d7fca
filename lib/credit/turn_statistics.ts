import { turnsArgs } from '../data/layout.js';
import { InvalidInputError } from '../errors.js';
import type { Estimator } from '../estimator/estimator.js';
import { creditPlan } from '../estimator/plan.js';
import { opError } from '../op_error.js';
import { GROUP_STAT_SLOTS, type GroupStatSlot, type Status, type TurnStatisticsArgs } from '../ops.js';
import type { Signals } from './signals.js';

/** Counts over the groups of one channel. */
export interface GroupStats extends Readonly<Record<GroupStatSlot, number>> {
  /** The channel's signal. */
  readonly signal: string;
}

/** The op's record for these signals, with fresh result buffers. */
export function turnStatisticsArgs(signals: Signals, estimator: Estimator): TurnStatisticsArgs {
  const plan = creditPlan(estimator);
  const { count } = signals.turns;
  return {
    ...signals,
    turns: turnsArgs(signals.turns),
    ...plan,
    advantages: new Float64Array(count),
    clipScale: new Float64Array(count),
    normalizedSignal: new Float64Array(count),
    groupStats: new Float64Array(plan.channels.length * GROUP_STAT_SLOTS.length),
  };
}

export function groupStats(args: TurnStatisticsArgs): GroupStats[] {
  const width = GROUP_STAT_SLOTS.length;
  return args.channels.map(({ signal }, c) => {
    const row = args.groupStats.subarray(c * width, (c + 1) * width);
    const slots = Object.fromEntries(GROUP_STAT_SLOTS.map((slot, i) => [slot, row[i]])) as Record<
      GroupStatSlot,
      number
    >;
    return Object.freeze({ signal, ...slots });
  });
}

/** Statistics of nearly equal values can overflow where eps is tiny. */
export function checkFiniteCredit(advantages: Float64Array): void {
  const at = advantages.findIndex((advantage) => !Number.isFinite(advantage));
  if (at < 0) return;
  throw new InvalidInputError({
    code: 'ERR_NON_FINITE',
    path: `advantages[${at}]`,
    expected: 'finite credit',
    received: String(advantages[at]),
    hint: 'eps and varianceFloor are too small for the signals of its group',
  });
}

/** Statuses that only turnStatistics gives. */
export function statisticsError({ code, position }: Status, device: string): Error {
  if (code === 'group-of-one') {
    return new InvalidInputError({
      code: 'ERR_SINGLETON',
      path: 'groups',
      expected: 'at least two members in every group (singleton: "throw")',
      received: `a group of one, at turn or trajectory ${position}`,
    });
  }
  return opError('turnStatistics', { code, position }, device);
}
