/** Stages of credit that the caller computes: functions are call options, never part of an estimator. */
import { float64, privateCopies, privateCopy, type Reals } from '../check/arrays.js';
import { describe } from '../check/describe.js';
import type { Fields } from '../check/fields.js';
import type { Turns } from '../data/turns.js';
import { InvalidInputError } from '../errors.js';
import type { SignalArrays } from '../estimator/plan.js';
import { hasClipRange } from '../estimator/stages/gate.js';
import type { CustomStage, Estimator } from '../estimator/types.js';
import type { CreditValues } from './credit.js';
import type { Signals } from './signals.js';

/** What a custom function is told: copies, so that writing into them changes nothing. */
export interface CustomContext {
  /** As the estimator assigned them: [K], or per loss token where a channel is per token. */
  readonly advantages: Float64Array;
  readonly clipScale: Float64Array;
  readonly normalizedSignal: Float64Array;
  /** Per-token estimators: spans of the loss tokens alone, one after another. */
  readonly turns: Turns;
  /** [M] */
  readonly groups: Int32Array;
  /** The batch's arrays by path: `outcome`, `informationGain`, `signals.format`. */
  readonly arrays: SignalArrays;
}

export interface CustomFunctions {
  /** Replaces the advantages: one finite number each. */
  advantage?: ((context: CustomContext) => Reals) | undefined;
  /** Replaces the clip scales c >= 0: each range is [1 - low c, 1 + high c]. Sees the advantages that `advantage` gave. */
  clipRange?: ((context: CustomContext) => Reals) | undefined;
}

export interface Custom extends CustomFunctions {
  stages: CustomStage[];
}

export function readCustom(fields: Fields, estimator: Estimator): Custom {
  const read = <Name extends CustomStage>(name: Name): CustomFunctions[Name] => {
    const value = fields.take(name);
    if (value === undefined || typeof value === 'function') return value as CustomFunctions[Name];
    const expected = 'a function of the credit that returns numbers';
    throw new InvalidInputError({ code: 'ERR_TYPE', path: name, expected, received: describe(value) });
  };
  const custom = { advantage: read('advantage'), clipRange: read('clipRange') };
  if (custom.clipRange && !hasClipRange(estimator.gate)) {
    const expected = 'no clipRange: the gate has no clip range';
    const received = `a function with the gate ${estimator.gate.kind}`;
    throw new InvalidInputError({ code: 'ERR_NO_EFFECT', path: 'clipRange', expected, received });
  }
  return { ...custom, stages: (['advantage', 'clipRange'] as const).filter((stage) => custom[stage]) };
}

/** Credit of an estimator that is marked as made by functions needs them again: the rest of it is another method. */
export function checkCustom({ custom: marked = [] }: Estimator, { stages }: Custom): void {
  const missing = marked.find((stage) => !stages.includes(stage));
  if (missing === undefined) return;
  throw new InvalidInputError({
    code: 'ERR_ESTIMATOR',
    path: missing,
    expected: `the function ${missing}, with which the credit of this estimator was made`,
    received: 'none',
  });
}

export function applyCustom(custom: Custom, values: CreditValues, signals: Signals, { gate }: Estimator): CreditValues {
  const call = (stage: CustomStage, current: CreditValues) => {
    const context = {
      advantages: current.advantages.slice(),
      clipScale: current.clipScale.slice(),
      normalizedSignal: current.normalizedSignal.slice(),
      turns: privateCopies(signals.turns),
      groups: signals.groups.slice(),
      arrays: privateCopies(signals.arrays),
    };
    const result: unknown = custom[stage]?.(context);
    if (result instanceof Promise) {
      // Nobody will look at it any more: a rejection must not end the process.
      result.catch(() => {});
      const expected = 'numbers, not a Promise: functions of the credit are synchronous';
      throw new InvalidInputError({ code: 'ERR_TYPE', path: `${stage}()`, expected, received: 'a Promise' });
    }
    const returned = privateCopy(float64(result, `${stage}()`, 'one per turn or token', current.advantages.length));
    const least = stage === 'clipRange' ? 0 : -Infinity;
    const at = returned.findIndex((value) => !Number.isFinite(value) || value < least);
    if (at < 0) return returned;
    const expected = stage === 'clipRange' ? 'a finite number of at least 0' : 'a finite number';
    throw new InvalidInputError({
      code: Number.isFinite(returned[at]) ? 'ERR_RANGE' : 'ERR_NON_FINITE',
      path: `${stage}()[${at}]`,
      expected,
      received: String(returned[at]),
    });
  };
  let current = values;
  if (custom.advantage) current = { ...current, advantages: call('advantage', current) };
  if (gate.kind === 'log-sum-exp') checkConstant(current.advantages, signals.turns);
  if (custom.clipRange) current = { ...current, clipScale: call('clipRange', current) };
  return current;
}

/** The gate labels whole trajectories: it would see the first turn's advantage alone. */
function checkConstant(advantages: Float64Array, { trajectory, count }: Turns): void {
  for (let k = 1; k < count; k++) {
    if (trajectory[k] !== trajectory[k - 1] || advantages[k] === advantages[k - 1]) continue;
    throw new InvalidInputError({
      code: 'ERR_RANGE',
      path: `advantage()[${k}]`,
      expected: `${advantages[k - 1]}, as all of trajectory ${trajectory[k]} (the gate log-sum-exp labels trajectories)`,
      received: String(advantages[k]),
    });
  }
}
