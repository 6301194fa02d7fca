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
import type { SignalArrays, SignalColumns } from '../estimator/plan.js';
import type { Estimator } from '../estimator/types.js';
import type { Level } from '../ops.js';
import { type Column, isOnHost, lengthOf, type OnDevice, onHost, readColumn } from '../tensor/column.js';
import type { TensorDevice } from '../tensor/tensor.js';

/** The signals of a batch, by name. Those that the estimator does not use are refused. */
export interface CreditSignals<At extends TensorDevice = 'cpu'> {
  /** [M] prompt id of each trajectory: any 32-bit integers, any order, groups of any size. */
  groups: Integers | OnDevice<'int32', At>;
  /** [M] outcome reward; NaN = unscored, the trajectory stays out. */
  outcome?: Reals | OnDevice<'f64', At> | undefined;
  /** [K] information gain of each turn; NaN = no signal. */
  informationGain?: Reals | OnDevice<'f64', At> | undefined;
  /** [K] reward of each turn; NaN = no signal. */
  turnRewards?: Reals | OnDevice<'f64', At> | undefined;
  /** [N] reward of each token; NaN = no signal. */
  tokenRewards?: Reals | OnDevice<'f64', At> | undefined;
  /** Signals of the caller's own, by the names that the estimator's terms give; of their level's length; NaN = no signal. */
  signals?: Readonly<Record<string, Reals | OnDevice<'f64', At>>> | undefined;
  /** Group keys by the names that the estimator gives: [K], or [M] where the channel has one value per trajectory. */
  keys?: Readonly<Record<string, Integers | OnDevice<'int32', At>>> | undefined;
  /**
   * [K] node of each turn in its prompt's tree: turns of one prompt with the same id are the same turn, shared by several trajectories. Default: every turn
   * is a node of its own.
   */
  nodes?: Integers | OnDevice<'int32', At> | undefined;
  /** Critic's value per unit of the channel that has `gae`: [N] or [K]. */
  values?: Reals | OnDevice<'f64', At> | undefined;
  /** [M] value of what follows the trajectory (gae with bootstrap 'given'); NaN = it ended. */
  bootstrapValues?: Reals | OnDevice<'f64', At> | undefined;
  /** [M] 1 = cut off before its end (gae with bootstrap 'carry'). */
  truncated?: Mask | OnDevice<'u8', At> | undefined;
  /** What `center: given` takes off, per unit of its channel: [M], [K] or [N]. */
  baseline?: Reals | OnDevice<'f64', At> | undefined;
  /** [K] mean token entropy of each turn under the rollout policy. */
  turnEntropies?: Reals | OnDevice<'f64', At> | undefined;
}

/** Checked signals in the types that ops take. */
export interface BatchSignals {
  turns: Turns;
  groups: Column<'int32'>;
  /** [N] effective; null where nothing of the credit is per token. */
  actionMask: Column<'u8'> | null;
  /** By path (`outcome`, `signals.format`); exactly those that the estimator needs. */
  arrays: SignalColumns;
}

/** The same in host memory. */
export interface Signals extends BatchSignals {
  groups: Int32Array;
  actionMask: Uint8Array | null;
  arrays: SignalArrays;
}

export function signalsOnHost({ turns, groups, actionMask, arrays }: BatchSignals): Signals {
  return {
    turns,
    groups: onHost(groups),
    actionMask: actionMask && onHost(actionMask),
    arrays: Object.fromEntries(Object.entries(arrays).map(([path, column]) => [path, onHost(column)])),
  };
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
  at: TensorDevice = 'cpu',
): BatchSignals {
  const { turns } = layout;
  if (worksOnTurns(estimator)) requireTurns(layout, estimator.name);
  const trajectories = layout.trajectoryOffsets ? lengthOf(layout.trajectoryOffsets) - 1 : undefined;
  const groups = readArray(
    fields.required('groups', 'prompt ids [M]'),
    'groups',
    { level: 'sequence', kind: 'key' },
    trajectories,
    at,
  ) as Column<'int32'>;
  const groupCount = lengthOf(groups);
  const least = turns.count > 0 ? turns.trajectory[turns.count - 1] + 1 : 0;
  if (least > groupCount) {
    const expected = `length of at least ${least} (turns.trajectory)`;
    const received = `length ${groupCount}`;
    throw new InvalidInputError({ code: 'ERR_LENGTH', path: 'groups', expected, received });
  }
  const given = givenArrays(fields, logProbs, estimator);
  const inputs = creditInputs(estimator);
  const perToken = readsTokens(estimator);
  const count = tokens ?? (perToken ? lengthOfTokens(given, inputs, layout) : 0);
  const lengths: Record<Level, number> = { sequence: groupCount, turn: turns.count, token: count };
  const arrays: Record<string, SignalColumns[string]> = {};
  for (const [path, input] of inputs) {
    const value = given.get(path);
    if (value !== undefined || !input.optional) arrays[path] = readArray(value, path, input, lengths[input.level], at);
  }
  return { turns, groups, actionMask: perToken ? effectiveMask(layout, count) : null, arrays };
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
  const known = trajectoryOffsets ? onHost(trajectoryOffsets).at(-1) : actionMask ? lengthOf(actionMask) : undefined;
  if (known !== undefined) return known;
  for (const [path, { level }] of inputs) {
    const value = given.get(path) as { length?: unknown } | undefined;
    if (level === 'token' && typeof value?.length === 'number') return value.length;
  }
  return turns.count > 0 ? turns.ends[turns.count - 1] : 0;
}

const SHAPES: Readonly<Record<Level, string>> = { sequence: '[M]', turn: '[K]', token: '[N]' };

const DTYPES = { signal: 'f64', key: 'int32', flag: 'u8', 'log-prob': 'f32' } as const;

function readArray(
  value: unknown,
  path: string,
  input: CreditInput,
  length: number | undefined,
  at: TensorDevice,
): SignalColumns[string] {
  const wanted = { dtype: DTYPES[input.kind], shape: SHAPES[input.level], length, at };
  return readColumn(value, path, wanted, () => readHostArray(value, path, input, length));
}

function readHostArray(value: unknown, path: string, { level, kind }: CreditInput, length: number | undefined) {
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

/** What the arrays must say together: those that can be looked at. */
export function checkSignals(signals: BatchSignals, estimator: Estimator): void {
  checkLastTurns(signals, estimator);
  checkNodes(signals, estimator);
  checkComplete(signals, estimator);
}

/** Siblings are compared node by node: turns that are one node must have one value, or the result would depend on which comes first. */
function checkNodes({ turns, groups, arrays: columns }: BatchSignals, estimator: Estimator): void {
  const arrays = hostArrays(columns);
  const { nodes } = arrays;
  if (!nodes || !isOnHost(groups) || !estimator.channels.some(({ group }) => group.kind === 'parent')) return;
  const firstOf = new Map<string, number>();
  const perTurn = [...creditInputs(estimator)].flatMap(([path, { level, kind }]) => {
    const values = arrays[path];
    return values && level === 'turn' && kind === 'signal' ? [{ path, values }] : [];
  });
  for (let k = 0; k < turns.count; k++) {
    const node = `${groups[turns.trajectory[k]]} ${nodes[k]}`;
    const first = firstOf.get(node) ?? k;
    firstOf.set(node, first);
    for (const { path, values } of perTurn) {
      if (Object.is(values[k], values[first]) || values[k] === values[first]) continue;
      throw new InvalidInputError({
        code: 'ERR_TURNS',
        path: `${path}[${k}]`,
        expected: `${values[first]}, as at turn ${first}: both are node ${nodes[k]}`,
        received: String(values[k]),
      });
    }
  }
}

/** Where the last turn carries the outcome, a gain of its own would have no effect. */
function checkLastTurns({ arrays, turns }: BatchSignals, estimator: Estimator): void {
  const { informationGain } = hostArrays(arrays);
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
function checkComplete(signals: BatchSignals, estimator: Estimator): void {
  const arrays = hostArrays(signals.arrays);
  // Without the outcomes nobody knows which trajectories are scored.
  if (signals.arrays.outcome && !arrays.outcome) return;
  for (const [path, { level, complete, kind }] of creditInputs(estimator)) {
    if (!complete && kind !== 'log-prob') continue;
    const values = arrays[path];
    if (!values) continue;
    for (const [unit, trajectory] of unitsOf(signals, level)) {
      if (Number.isFinite(values[unit]) || Number.isNaN(arrays.outcome?.[trajectory] ?? 0)) continue;
      const expected = 'a finite number';
      const received = describe(values[unit]);
      throw new InvalidInputError({ code: 'ERR_NON_FINITE', path: `${path}[${unit}]`, expected, received });
    }
  }
}

/** Those in host memory. */
function hostArrays(arrays: SignalColumns): Readonly<Record<string, SignalArrays[string] | undefined>> {
  return Object.fromEntries(Object.entries(arrays).filter(([, column]) => isOnHost(column))) as SignalArrays;
}

/** Positions of a level's units in its arrays, with their trajectories. */
function* unitsOf({ turns, groups, actionMask }: BatchSignals, level: Level): Generator<[number, number]> {
  if (level === 'sequence') {
    for (let m = 0; m < lengthOf(groups); m++) yield [m, m];
    return;
  }
  const mask = actionMask !== null && isOnHost(actionMask) ? actionMask : null;
  for (let k = 0; k < turns.count; k++) {
    if (level === 'turn') yield [k, turns.trajectory[k]];
    for (let n = turns.starts[k]; level === 'token' && n < turns.ends[k]; n++) {
      if (mask?.[n] === 1) yield [n, turns.trajectory[k]];
    }
  }
}
