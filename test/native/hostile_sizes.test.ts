/** Every array of the ops, one element short, one too long, and absent: refused where it is read. */
import { describe, expect, test } from 'vitest';

import type { Status, TurnStatisticsArgs } from '../../lib/ops.js';
import { channel } from '../reference/fixtures.js';
import { GATE, NO_KL, WEIGHT } from '../support/records.mjs';
import { native } from './helpers.js';
import {
  type Arrays,
  CREDIT_OUTPUTS,
  coupledArgs,
  creditArgs,
  creditFields,
  type Field,
  gradientArgs,
  gradientFields,
  INVALID,
  K,
  M,
  N,
  OK,
  SURROGATE_OUTPUTS,
  surrogateArgs,
  surrogateFields,
} from './hostile_args.js';

const { ops } = native.backends.cpu;

function resized(array: Arrays, length: number): Arrays {
  const copy = new (array.constructor as new (length: number) => Arrays)(length);
  copy.set(array.subarray(0, length));
  return copy;
}

interface Sized<Args> {
  make: () => Args;
  fields: (args: Args) => Field[];
  outputs: readonly string[];
  run: (args: Args) => Status;
  /** Whose length nothing else says: groups of the loss may be those of more trajectories. */
  open?: readonly string[];
}

function resizeAll<Args extends object>({ make, fields, outputs, run, open = [] }: Sized<Args>): void {
  const withOutputs = (args: Args): Field[] => [
    ...fields(args),
    ...outputs.map((path) => ({
      path,
      needed: true,
      get: () => Reflect.get(args, path) as Arrays,
      set: (value: Arrays | null) => void Reflect.set(args, path, value),
    })),
  ];
  const statusWith = (path: string, change: (field: Field) => Arrays | null) => {
    const args = make();
    const field = withOutputs(args).find((each) => each.path === path)!;
    field.set(change(field));
    return run(args);
  };

  test('nothing: the arguments are right', () => {
    expect(run(make())).toEqual(OK);
  });

  test.each(withOutputs(make()).map(({ path, needed }) => [path, needed] as const))('%s', (path, needed) => {
    expect(statusWith(path, (field) => resized(field.get(), field.get().length - 1))).toEqual(INVALID);
    expect(statusWith(path, (field) => resized(field.get(), 0))).toEqual(INVALID);
    const longer = statusWith(path, (field) => resized(field.get(), field.get().length + 1));
    expect(longer).toEqual(open.includes(path) ? OK : INVALID);
    // The binding refuses null for a View that a record always has; what it lets through, the op refuses.
    const absent = () => statusWith(path, () => null);
    expect(absent()).toEqual(needed ? INVALID : OK);
  });
}

describe('turnStatistics', () => {
  resizeAll({ make: creditArgs, fields: creditFields, outputs: CREDIT_OUTPUTS, run: ops.turnStatistics });
});

describe('surrogate', () => {
  const outputs = SURROGATE_OUTPUTS.filter((name) => name !== 'entropyCoefficients');
  resizeAll({ make: surrogateArgs, fields: surrogateFields, outputs, run: ops.surrogate });

  test('entropyCoefficients', () => {
    for (const length of [0, N - 1, N + 1]) {
      expect(ops.surrogate({ ...surrogateArgs(), entropyCoefficients: new Float64Array(length) })).toEqual(INVALID);
    }
    expect(ops.surrogate({ ...surrogateArgs(), entropyCoefficients: null })).toEqual(OK);
  });
});

describe('surrogate, coupled', () => {
  resizeAll({ make: coupledArgs, fields: surrogateFields, outputs: [], run: ops.surrogate, open: ['groups'] });
});

describe('logitsGradient', () => {
  resizeAll({ make: gradientArgs, fields: gradientFields, outputs: [], run: ops.logitsGradient });

  test('underflowed: room for one, or not wanted', () => {
    expect(ops.logitsGradient({ ...gradientArgs(), underflowed: new Float64Array(0) })).toEqual(INVALID);
    expect(ops.logitsGradient({ ...gradientArgs(), underflowed: null })).toEqual(OK);
  });

  test('deferred: one number scales a row, so entropy cannot have another', () => {
    const deferred = { ...gradientArgs(), coefficients: null };
    expect(ops.logitsGradient(deferred)).toEqual(INVALID);
    expect(ops.logitsGradient({ ...deferred, entropyCoefficients: null })).toEqual(OK);
  });
});

describe('what only some settings read', () => {
  const base = (): TurnStatisticsArgs => ({
    ...creditArgs(),
    resultLevel: 'turn',
    actionMask: null,
    oldLogProbs: null,
    refLogProbs: null,
    turnEntropies: null,
    nodes: null,
    bootstrapValues: null,
    truncated: null,
    outcome: null,
    modulation: { kind: 'none', decay: 0, bonus: 0, bonusDecay: 0 },
    channels: [channel({ level: 'turn', turnSignal: new Float64Array(K).fill(1) })],
    normalizedChannel: 0,
    advantages: new Float64Array(K),
    clipScale: new Float64Array(K),
    normalizedSignal: new Float64Array(K),
    ratioTargets: null,
    groupStats: new Float64Array(6),
  });
  const one = (change: Parameters<typeof channel>[0], given: Partial<TurnStatisticsArgs> = {}) =>
    ops.turnStatistics({ ...base(), ...given, channels: [{ ...base().channels[0], ...change }] });
  const values = new Float64Array(K);
  const outcome = new Float64Array(M);

  test('none of them is missed where nothing reads it', () => {
    expect(one({})).toEqual(OK);
  });

  test.each<[string, () => Status, () => Status]>([
    ['gae: values', () => one({ accumulate: 'gae' }), () => one({ accumulate: 'gae', values })],
    [
      'gae, carry: truncated',
      () => one({ accumulate: 'gae', values, bootstrap: 'carry' }),
      () => one({ accumulate: 'gae', values, bootstrap: 'carry' }, { truncated: new Uint8Array(M) }),
    ],
    [
      'gae, given: bootstrapValues',
      () => one({ accumulate: 'gae', values, bootstrap: 'given' }),
      () => one({ accumulate: 'gae', values, bootstrap: 'given' }, { bootstrapValues: new Float64Array(M) }),
    ],
    [
      'discounted, outcome: outcome',
      () => one({ accumulate: 'discounted', bootstrap: 'outcome' }),
      () => one({ accumulate: 'discounted', bootstrap: 'outcome' }, { outcome }),
    ],
    ['rescaled: outcome', () => one({ matchOutcomeStd: true }), () => one({ matchOutcomeStd: true }, { outcome })],
    ['gate: outcome', () => one({ gateTemperature: 1 }), () => one({ gateTemperature: 1 }, { outcome })],
    [
      'prompt-key: keys',
      () => one({ group: 'prompt-key' }),
      () => one({ group: 'prompt-key', keys: new Int32Array(K) }),
    ],
    ['center given: baseline', () => one({ center: 'given' }), () => one({ center: 'given', baseline: values })],
    [
      'tree: trajectorySignal',
      () => one({ accumulate: 'tree' }),
      () => one({ accumulate: 'tree', trajectorySignal: outcome }),
    ],
    [
      'child-softmax: turnEntropies',
      () => one({ accumulate: 'tree', trajectorySignal: outcome, treeBackup: 'child-softmax' }),
      () =>
        one(
          { accumulate: 'tree', trajectorySignal: outcome, treeBackup: 'child-softmax' },
          { turnEntropies: new Float64Array(K) },
        ),
    ],
    [
      'ratio-target: ratioTargets',
      () => one({ use: 'ratio-target' }),
      () => one({ use: 'ratio-target' }, { ratioTargets: new Float64Array(K) }),
    ],
    [
      'token level: a result per token',
      () => one({ level: 'token' }, { actionMask: new Uint8Array(N).fill(1) }),
      () =>
        one(
          { level: 'token' },
          {
            actionMask: new Uint8Array(N).fill(1),
            resultLevel: 'token',
            advantages: new Float64Array(N),
            clipScale: new Float64Array(N),
            normalizedSignal: new Float64Array(N),
          },
        ),
    ],
    [
      'a sum over tokens: actionMask',
      () => one({ tokenSignal: new Float64Array(N) }),
      () => one({ tokenSignal: new Float64Array(N) }, { actionMask: new Uint8Array(N).fill(1) }),
    ],
  ])('%s', (_, without, withIt) => {
    expect(without()).toEqual(INVALID);
    expect(withIt()).toEqual(OK);
  });

  test('a mask with other counts than the turns', () => {
    const args = creditArgs();
    args.actionMask = new Uint8Array(N).fill(1);
    args.actionMask[3] = 0;
    expect(ops.turnStatistics(args)).toEqual(INVALID);
  });

  test('trees, parents and penalties at levels that have none', () => {
    for (const level of ['token', 'sequence'] as const) {
      expect(one({ level, turnSignal: null, trajectorySignal: outcome, accumulate: 'tree' })).toEqual(INVALID);
      expect(one({ level, turnSignal: null, trajectorySignal: outcome, group: 'parent' })).toEqual(INVALID);
    }
    expect(one({ then: 'tree' })).toEqual(INVALID);
    const logProbs = new Float32Array(N).fill(-1);
    const penalty = { klPenalty: { ...NO_KL, coef: 1 } };
    const given = { oldLogProbs: logProbs, refLogProbs: logProbs, actionMask: new Uint8Array(N).fill(1) };
    expect(one(penalty, given)).toEqual(INVALID);
  });

  test('surrogate: importance, rejection and given weights, targets, groups, entropy', () => {
    const plain = () => ({
      ...surrogateArgs(),
      weights: [],
      gate: GATE,
      rolloutLogProbs: null,
      tokenWeights: null,
      ratioTargets: null,
      entropy: null,
      entropyCoef: 0,
    });
    expect(ops.surrogate(plain())).toEqual(OK);
    for (const kind of ['importance', 'reject', 'given'] as const) {
      expect(ops.surrogate({ ...plain(), weights: [{ ...WEIGHT, kind }] })).toEqual(INVALID);
    }
    expect(ops.surrogate({ ...plain(), gate: { ...GATE, kind: 'l1-target' } })).toEqual(INVALID);
    expect(ops.surrogate({ ...plain(), entropyCoef: 0.1 })).toEqual(INVALID);
    expect(ops.surrogate({ ...coupledArgs(), weights: [{ ...WEIGHT, kind: 'given' }] })).toEqual(INVALID);
    expect(ops.surrogate({ ...coupledArgs(), ratio: { ...coupledArgs().ratio, level: 'turn' } })).toEqual(INVALID);
  });
});
