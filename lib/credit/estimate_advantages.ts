import { type Device, selectBackend } from '../backend/select.js';
import { checkAttached, float64, type Integers, type Mask, privateCopy } from '../check/arrays.js';
import { Fields } from '../check/fields.js';
import { readLayout } from '../data/layout.js';
import type { Turns } from '../data/turns.js';
import { InvalidInputError } from '../errors.js';
import { estimator as checkEstimator, withCustom } from '../estimator/estimator.js';
import { creditInputs, isPerToken } from '../estimator/inputs.js';
import type { Estimator, EstimatorInput } from '../estimator/types.js';
import { assignCredit } from './assign_credit.js';
import { Credit, type TrajectoryIds } from './credit.js';
import { type CustomFunctions, readCustom } from './custom.js';
import { countDenominators } from './denominators.js';
import { packSignals } from './packed.js';
import { type CreditRows, mergeRows } from './rows.js';
import { type CreditSignals, checkSignals, readSignals, refuseUnused, type Signals, signalsOnHost } from './signals.js';
import { groupStats } from './turn_statistics.js';

export interface EstimateAdvantagesInput extends CreditSignals {
  /** From segmentTurns. May be left out, with trajectoryOffsets, where the estimator needs no turns: a trajectory is then one turn. */
  turns?: Turns | undefined;
  /** [M+1] checked against turns. */
  trajectoryOffsets?: Integers | undefined;
  /** [N] checked against turns. */
  actionMask?: Mask | undefined;
  /** [N] Only for estimators that penalise the KL divergence in the reward. */
  oldLogProbs?: Float32Array | undefined;
  refLogProbs?: Float32Array | undefined;
  /** [M] ids that are unique over all parts of a data-parallel batch. Default: positions. */
  trajectoryIds?: TrajectoryIds | undefined;
}

export interface EstimateAdvantagesOptions extends CustomFunctions {
  device?: Device | undefined;
}

/**
 * Phase A: credit per turn from rollout data alone, over whole groups. Float64; the same bits for any order of trajectories.
 *
 * @throws InvalidInputError for a missing signal, one without effect, wrong lengths, infinities, a finite gain on a last turn that
 * carries the outcome, and ERR_SINGLETON where the estimator says so.
 */
function estimate(
  input: EstimateAdvantagesInput,
  estimator: EstimatorInput,
  options: EstimateAdvantagesOptions = {},
): Credit {
  const checked = checkEstimator(estimator);
  const fields = new Fields(input, '', 'input');
  const layout = readLayout(fields, undefined);
  const logProbs = { oldLogProbs: fields.take('oldLogProbs'), refLogProbs: fields.take('refLogProbs') };
  for (const [path, value] of Object.entries(logProbs)) refuseUnused(path, value, checked);
  const signals = signalsOnHost(readSignals(fields, checked, layout, undefined, logProbs));
  checkSignals(signals, checked);
  const rawIds = fields.take('trajectoryIds');
  fields.end();
  const ids = rawIds === undefined ? positions(signals.groups.length) : readIds(rawIds, signals.groups.length);
  // A Credit outlives the call, and the caller may fill these arrays with the next batch.
  return run(packSignals(signals, creditInputs(checked)), ids, checked, options);
}

/**
 * Credit over the union of several parts: `rows` as `credit.rows()` gives them, from any number of ranks in any order. Repeated
 * trajectories (same id, same content) count once. The result's trajectories are ordered by id: take a rank's own, in its own order, by
 * `.slice(ids)`.
 */
function fromRows(
  rows: CreditRows | readonly CreditRows[],
  estimator: EstimatorInput,
  options: EstimateAdvantagesOptions = {},
): Credit {
  const checked = checkEstimator(estimator);
  const { signals, ids } = mergeRows(Array.isArray(rows) ? rows : [rows as CreditRows], checked);
  return run(signals, ids, checked, options);
}

export const estimateAdvantages = Object.assign(estimate, { fromRows });

function run(signals: Signals, trajectoryIds: Float64Array, estimator: Estimator, options: EstimateAdvantagesOptions) {
  const optionFields = new Fields(options, 'options');
  const backend = selectBackend(optionFields.take('device'));
  const custom = readCustom(optionFields, estimator);
  optionFields.end();
  const { statistics, ...values } = assignCredit(signals, estimator, backend, custom);
  return new Credit({
    estimator: withCustom(estimator, custom.stages),
    level: isPerToken(estimator) ? 'token' : 'turn',
    signals,
    trajectoryIds,
    ...values,
    denominators: countDenominators(signals.turns, signals.groups),
    groupStats: groupStats(statistics, estimator),
  });
}

function positions(count: number): Float64Array {
  return Float64Array.from({ length: count }, (_, m) => m);
}

function readIds(value: unknown, count: number): Float64Array {
  if (ArrayBuffer.isView(value)) checkAttached(value, 'trajectoryIds');
  const real = value instanceof Int32Array ? Float64Array.from(value) : value;
  const ids = privateCopy(float64(real, 'trajectoryIds', '[M]', count));
  const seen = new Set<number>();
  ids.forEach((id, m) => {
    if (Number.isSafeInteger(id) && !seen.has(id)) {
      seen.add(id);
      return;
    }
    const expected = 'a unique integer';
    throw new InvalidInputError({ code: 'ERR_RANGE', path: `trajectoryIds[${m}]`, expected, received: String(id) });
  });
  return ids;
}
