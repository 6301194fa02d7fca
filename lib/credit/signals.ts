/** Reads and checks the inputs of credit assignment against what the estimator needs. */
import { type Integers, int32, type Reals, signal } from '../check/arrays.js';
import type { Fields } from '../check/fields.js';
import { type Layout, requireTurns } from '../data/layout.js';
import type { Turns } from '../data/turns.js';
import { InvalidInputError } from '../errors.js';
import type { Estimator } from '../estimator/estimator.js';
import { lastTurnCarriesOutcome, needs } from '../estimator/plan.js';

/** The signals of a batch, by name. Those that the estimator does not use are refused. */
export interface CreditSignals {
  /** [M] prompt id of each trajectory: any 32-bit integers, any order, groups of any size. */
  groups: Integers;
  /** [M] outcome reward; NaN = unscored, the trajectory stays out. */
  outcome?: Reals | undefined;
  /** [K] information gain of each turn; NaN = no signal. */
  informationGain?: Reals | undefined;
  /** [K] reward of each turn; NaN = no signal. */
  turnRewards?: Reals | undefined;
}

/** Checked signals in the types that ops take. */
export interface Signals {
  turns: Turns;
  groups: Int32Array;
  outcome: Float64Array | null;
  turnRewards: Float64Array | null;
  informationGain: Float64Array | null;
}

export function readSignals(fields: Fields, estimator: Estimator, layout: Layout): Signals {
  const { turns } = layout;
  const needed = needs(estimator);
  if (needed.turns) requireTurns(layout, estimator.name);
  const trajectories = layout.trajectoryOffsets ? layout.trajectoryOffsets.length - 1 : undefined;
  const groups = int32(fields.required('groups', 'prompt ids [M]'), 'groups', '[M]', trajectories);
  const least = turns.count > 0 ? turns.trajectory[turns.count - 1] + 1 : 0;
  if (least > groups.length) {
    const expected = `length of at least ${least} (turns.trajectory)`;
    const received = `length ${groups.length}`;
    throw new InvalidInputError({ code: 'ERR_LENGTH', path: 'groups', expected, received });
  }
  const read = (name: 'outcome' | 'turnRewards' | 'informationGain', shape: string, length: number) => {
    if (needed[name]) return signal(fields.required(name, `numbers ${shape}`), name, shape, length);
    if (!fields.has(name)) return null;
    const expected = `no ${name}: the estimator "${estimator.name}" does not use it`;
    throw new InvalidInputError({ code: 'ERR_NO_EFFECT', path: name, expected, received: name });
  };
  const signals: Signals = {
    turns,
    groups,
    outcome: read('outcome', '[M]', groups.length),
    turnRewards: read('turnRewards', '[K]', turns.count),
    informationGain: read('informationGain', '[K]', turns.count),
  };
  checkLastTurns(signals, estimator);
  return signals;
}

/** Where the last turn carries the outcome, a gain of its own would have no effect. */
export function checkLastTurns({ informationGain, turns }: Signals, estimator: Estimator): void {
  if (!informationGain || !lastTurnCarriesOutcome(estimator)) return;
  for (let k = 0; k < turns.count; k++) {
    const last = k + 1 === turns.count || turns.trajectory[k + 1] !== turns.trajectory[k];
    if (!last || Number.isNaN(informationGain[k])) continue;
    throw new InvalidInputError({
      code: 'ERR_NO_EFFECT',
      path: `informationGain[${k}]`,
      expected: 'NaN on the last turn of a trajectory (it carries the outcome)',
      received: String(informationGain[k]),
      hint: `Trajectory ${turns.trajectory[k]}. It counts where the estimator's signal has lastTurn: "signal"`,
    });
  }
}
