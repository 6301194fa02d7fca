/** Stages of credit that the caller computes: functions are call options, never part of an estimator. */
import { float64, type Reals } from '../check/arrays.js';
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

export function applyCustom(custom: Custom, values: CreditValues, signals: Signals): CreditValues {
  const call = (stage: CustomStage, current: CreditValues) => {
    const context = {
      advantages: current.advantages.slice(),
      clipScale: current.clipScale.slice(),
      normalizedSignal: current.normalizedSignal.slice(),
      turns: copyAll(signals.turns),
      groups: signals.groups.slice(),
      arrays: copyAll(signals.arrays),
    };
    const result = custom[stage]?.(context);
    const returned = float64(result, `${stage}()`, 'one per turn or token', current.advantages.length).slice();
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
  if (custom.clipRange) current = { ...current, clipScale: call('clipRange', current) };
  return current;
}

function copyAll<T extends object>(record: T): T {
  const entries = Object.entries(record).map(([name, value]) => [
    name,
    ArrayBuffer.isView(value) ? (value as Int32Array).slice() : value,
  ]);
  return Object.fromEntries(entries) as T;
}
