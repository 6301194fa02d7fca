/** Reads and checks the inputs of credit assignment against what the estimator needs. */
import { float32, type Integers, int32, type Mask, mask, type Reals, signal } from '../check/arrays.js';
import { describe } from '../check/describe.js';
import { Fields } from '../check/fields.js';
import { effectiveMask, type Layout, requireTurns } from '../data/layout.js';
import type { Turns } from '../data/turns.js';
import { InvalidInputError } from '../errors.js';
import {
  type CreditInput,
  creditInputs,
  INPUT_NAMES,
  lastTurnCarriesOutcome,
  readsTokens,
  worksOnTurns,
} from '../estimator/inputs.js';
import type { SignalArrays } from '../estimator/plan.js';
import type { Estimator } from '../estimator/types.js';
import type { Level } from '../ops.js';

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
  /** [N] reward of each token; NaN = no signal. */
  tokenRewards?: Reals | undefined;
  /** Signals of the caller's own, by the names that the estimator's terms give; of their level's length; NaN = no signal. */
  signals?: Readonly<Record<string, Reals>> | undefined;
  /** Group keys by the names that the estimator gives: [K], or [M] where the channel has one value per trajectory. */
  keys?: Readonly<Record<string, Integers>> | undefined;
  /**
   * [K] node of each turn in its prompt's tree: turns of one prompt with the same id are the same turn, shared by several trajectories. Default: every turn
   * is a node of its own.
   */
  nodes?: Integers | undefined;
  /** Critic's value per unit of the channel that has `gae`: [N] or [K]. */
  values?: Reals | undefined;
  /** [M] value of what follows the trajectory (gae with bootstrap 'given'); NaN = it ended. */
  bootstrapValues?: Reals | undefined;
  /** [M] 1 = cut off before its end (gae with bootstrap 'carry'). */
  truncated?: Mask | undefined;
  /** What `center: given` takes off, per unit of its channel: [M], [K] or [N]. */
  baseline?: Reals | undefined;
  /** [K] mean token entropy of each turn under the rollout policy. */
  turnEntropies?: Reals | undefined;
}

/** Checked signals in the types that ops take. */
export interface Signals {
  turns: Turns;
  groups: Int32Array;
  /** [N] effective; null where nothing of the credit is per token. */
  actionMask: Uint8Array | null;
  /** By path (`outcome`, `signals.format`); exactly those that the estimator needs. */
  arrays: SignalArrays;
}

/** Log-probs of the batch, for estimators that penalise the KL divergence in the reward. */
export interface RolloutLogProbs {
  oldLogProbs: unknown;
  refLogProbs: unknown;
}

export function readSignals(
  fields: Fields,
  estimator: Estimator,
  layout: Layout,
  tokens: number | undefined,
  logProbs: RolloutLogProbs,
): Signals {
  const { turns } = layout;
  if (worksOnTurns(estimator)) requireTurns(layout, estimator.name);
  const trajectories = layout.trajectoryOffsets ? layout.trajectoryOffsets.length - 1 : undefined;
  const groups = int32(fields.required('groups', 'prompt ids [M]'), 'groups', '[M]', trajectories);
  const least = turns.count > 0 ? turns.trajectory[turns.count - 1] + 1 : 0;
  if (least > groups.length) {
    const expected = `length of at least ${least} (turns.trajectory)`;
    const received = `length ${groups.length}`;
    throw new InvalidInputError({ code: 'ERR_LENGTH', path: 'groups', expected, received });
  }
  const given = givenArrays(fields, logProbs, estimator);
  const inputs = creditInputs(estimator);
  const perToken = readsTokens(estimator);
  const count = tokens ?? (perToken ? lengthOfTokens(given, inputs, layout) : 0);
  const lengths: Record<Level, number> = { sequence: groups.length, turn: turns.count, token: count };
  const arrays: Record<string, SignalArrays[string]> = {};
  for (const [path, input] of inputs) {
    const value = given.get(path);
    if (value !== undefined || !input.optional) arrays[path] = readArray(value, path, input, lengths[input.level]);
  }
  const signals: Signals = { turns, groups, actionMask: perToken ? effectiveMask(layout, count) : null, arrays };
  checkSignals(signals, estimator);
  return signals;
}

/** What the caller gave, by path; refuses what the estimator does not use. */
function givenArrays(fields: Fields, logProbs: RolloutLogProbs, estimator: Estimator): Map<string, unknown> {
  const given = new Map<string, unknown>(Object.entries(logProbs));
  const add = (path: string, value: unknown) => {
    refuseUnused(path, value, estimator);
    if (value !== undefined) given.set(path, value);
  };
  for (const name of INPUT_NAMES) {
    const value = fields.take(name);
    if (name !== 'signals' && name !== 'keys') add(name, value);
    else if (value !== undefined) addNamed(name, value, add);
  }
  return given;
}

export function refuseUnused(path: string, value: unknown, estimator: Estimator): void {
  if (value === undefined || creditInputs(estimator).has(path)) return;
  const expected = `no ${path}: the estimator "${estimator.name}" does not use it`;
  throw new InvalidInputError({ code: 'ERR_NO_EFFECT', path, expected, received: path });
}

function addNamed(name: string, value: unknown, add: (path: string, value: unknown) => void): void {
  const fields = new Fields(value, name);
  for (const key of fields.keys()) add(fields.at(key), fields.take(key));
}

/** N, where nothing else tells it. */
function lengthOfTokens(
  given: Map<string, unknown>,
  inputs: ReadonlyMap<string, CreditInput>,
  { trajectoryOffsets, actionMask, turns }: Layout,
): number {
  const known = trajectoryOffsets?.[trajectoryOffsets.length - 1] ?? actionMask?.length;
  if (known !== undefined) return known;
  for (const [path, { level }] of inputs) {
    const value = given.get(path) as { length?: unknown } | undefined;
    if (level === 'token' && typeof value?.length === 'number') return value.length;
  }
  return turns.count > 0 ? turns.ends[turns.count - 1] : 0;
}

const SHAPES: Readonly<Record<Level, string>> = { sequence: '[M]', turn: '[K]', token: '[N]' };

function readArray(value: unknown, path: string, { level, kind }: CreditInput, length: number): SignalArrays[string] {
  const shape = SHAPES[level];
  if (value === undefined) {
    const expected = `${kind === 'key' ? 'integers' : 'numbers'} ${shape}`;
    throw new InvalidInputError({ code: 'ERR_MISSING', path, expected, received: 'undefined' });
  }
  switch (kind) {
    case 'signal':
      return signal(value, path, shape, length);
    case 'key':
      return int32(value, path, shape, length);
    case 'flag':
      return mask(value, path, length, shape);
    case 'log-prob':
      return float32(value, path, shape, length);
  }
}

/** What the arrays must say together. */
export function checkSignals(signals: Signals, estimator: Estimator): void {
  checkLastTurns(signals, estimator);
  checkNodes(signals, estimator);
  checkComplete(signals, estimator);
}

/** Siblings are compared node by node: turns that are one node must have one value, or the result would depend on which comes first. */
function checkNodes({ turns, groups, arrays }: Signals, estimator: Estimator): void {
  const { nodes } = arrays;
  if (!nodes || !estimator.channels.some(({ group }) => group.kind === 'parent')) return;
  const firstOf = new Map<string, number>();
  const perTurn = [...creditInputs(estimator)].filter(([, { level, kind }]) => level === 'turn' && kind === 'signal');
  for (let k = 0; k < turns.count; k++) {
    const node = `${groups[turns.trajectory[k]]} ${nodes[k]}`;
    const first = firstOf.get(node) ?? k;
    firstOf.set(node, first);
    for (const [path] of perTurn) {
      if (Object.is(arrays[path][k], arrays[path][first]) || arrays[path][k] === arrays[path][first]) continue;
      throw new InvalidInputError({
        code: 'ERR_TURNS',
        path: `${path}[${k}]`,
        expected: `${arrays[path][first]}, as at turn ${first}: both are node ${nodes[k]}`,
        received: String(arrays[path][k]),
      });
    }
  }
}

/** Where the last turn carries the outcome, a gain of its own would have no effect. */
function checkLastTurns({ arrays, turns }: Signals, estimator: Estimator): void {
  const { informationGain } = arrays;
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

/** A critic's value or a baseline must be there wherever it is taken off: NaN would mean that nothing is known of the unit. */
function checkComplete(signals: Signals, estimator: Estimator): void {
  for (const [path, { level, complete, kind }] of creditInputs(estimator)) {
    if (!complete && kind !== 'log-prob') continue;
    const values = signals.arrays[path];
    for (const [unit, trajectory] of unitsOf(signals, level)) {
      if (Number.isFinite(values[unit]) || Number.isNaN(signals.arrays.outcome?.[trajectory] ?? 0)) continue;
      const expected = 'a finite number';
      const received = describe(values[unit]);
      throw new InvalidInputError({ code: 'ERR_NON_FINITE', path: `${path}[${unit}]`, expected, received });
    }
  }
}

/** Positions of a level's units in its arrays, with their trajectories. */
function* unitsOf({ turns, groups, actionMask }: Signals, level: Level): Generator<[number, number]> {
  if (level === 'sequence') {
    for (let m = 0; m < groups.length; m++) yield [m, m];
    return;
  }
  for (let k = 0; k < turns.count; k++) {
    if (level === 'turn') yield [k, turns.trajectory[k]];
    for (let n = turns.starts[k]; level === 'token' && n < turns.ends[k]; n++) {
      if (actionMask?.[n] === 1) yield [n, turns.trajectory[k]];
    }
  }
}
