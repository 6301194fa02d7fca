import type { Estimator } from '../estimator/types.js';
import type { Backend, TurnStatisticsArgs } from '../ops.js';
import type { CreditValues } from './credit.js';
import { applyCustom, type Custom, checkCustom } from './custom.js';
import type { Signals } from './signals.js';
import { checkFiniteCredit, statisticsError, turnStatisticsArgs } from './turn_statistics.js';

/** Phase A on a backend, then the caller's functions. */
export function assignCredit(
  signals: Signals,
  estimator: Estimator,
  backend: Backend,
  custom: Custom,
): CreditValues & { statistics: TurnStatisticsArgs } {
  checkCustom(estimator, custom);
  const { args: statistics } = turnStatisticsArgs(signals, estimator);
  const status = backend.ops.turnStatistics(statistics);
  if (status.code !== 'ok') throw statisticsError(status, backend.name);
  checkFiniteCredit(statistics);
  const { advantages, clipScale, ratioTargets, normalizedSignal } = statistics;
  return {
    statistics,
    ...applyCustom(custom, { advantages, clipScale, ratioTargets, normalizedSignal }, signals, estimator),
  };
}
