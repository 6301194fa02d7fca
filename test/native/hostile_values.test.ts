/**
 * Extreme numbers in every array of the ops: what the reference makes of them, the add-on makes of them. Nothing non-finite
 * becomes a plausible number on the way, and ids are names: their size means nothing.
 */
import { describe, expect, test } from 'vitest';

import type { Status, TurnStatisticsArgs } from '../../lib/ops.js';
import { reference } from '../../lib/reference/index.js';
import { channel, statisticsArgs, turnsOf } from '../reference/fixtures.js';
import { expectSameBits } from '../support/numbers.js';
import { NO_WHITEN } from '../support/records.mjs';
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
  M,
  N,
  OK,
  SURROGATE_OUTPUTS,
  surrogateArgs,
  surrogateFields,
} from './hostile_args.js';

const { ops } = native.backends.cpu;
const { NaN: NONE, POSITIVE_INFINITY: INF } = Number;
const LEAST = -(2 ** 31);
const MOST = 2 ** 31 - 1;

const EXTREMES: Record<string, number> = {
  NaN: NONE,
  Infinity: INF,
  '-Infinity': -INF,
  '1e308': 1e308,
  '-1e308': -1e308,
  '-0': -0,
  '5e-324': 5e-324,
};

interface Filled<Args> {
  make: () => Args;
  fields: (args: Args) => Field[];
  outputs: readonly string[];
  run: (args: Args) => Status;
  oracle: (args: Args) => Status;
}

/** Where one is finite, so is the other, and near it; which of the non-finite numbers it is depends on the order of sums. */
function agrees(actual: number, expected: number): boolean {
  if (!Number.isFinite(actual) || !Number.isFinite(expected))
    return !Number.isFinite(actual) && !Number.isFinite(expected);
  return Math.abs(actual - expected) <= 1e-6 * Math.max(Math.abs(actual), Math.abs(expected)) + 1e-12;
}

/** What follows from an infinity that is seen in another output: how z = ±Infinity bounds the clip range, how it is counted. */
function follows(args: object, output: string, i: number): boolean {
  if (output !== 'clipScale' && output !== 'groupStats') return false;
  const seen = (name: string): Float64Array => Reflect.get(args, name);
  if (output === 'clipScale') return !Number.isFinite(seen('normalizedSignal')[i]);
  return !seen('advantages').every(Number.isFinite) || !seen('ratioTargets').every(Number.isFinite);
}

/** One element, every second and all of them, in each array of floats. */
function fillAll<Args extends object>({ make, fields, outputs, run, oracle }: Filled<Args>): void {
  const floats = fields(make()).filter(
    (field) => !(field.get() instanceof Int32Array || field.get() instanceof Uint8Array),
  );

  describe.each(floats.map(({ path }) => path))('%s', (path) => {
    test.each(Object.keys(EXTREMES))('%s: as the reference', (name) => {
      for (const places of [(i: number) => i === 1, (i: number) => i % 2 === 0, () => true]) {
        const filled = (): Args => {
          const args = make();
          const array = fields(args)
            .find((field) => field.path === path)!
            .get();
          for (let i = 0; i < array.length; i++) if (places(i)) array[i] = EXTREMES[name];
          return args;
        };
        const [actual, again, expected] = [filled(), filled(), filled()];
        const status = run(actual);
        expect(status).toEqual(oracle(expected));
        expect(run(again)).toEqual(status);
        if (status.code !== 'ok') continue;
        for (const output of outputs) {
          const [a, b, c] = [actual, again, expected].map((args): Arrays => Reflect.get(args as object, output));
          expectSameBits(b, a, output);
          const wrong = Array.from(a.keys()).filter((i) => !follows(actual, output, i) && !agrees(a[i], c[i]));
          expect(wrong.map((i) => `${output}[${i}] = ${a[i]}, reference ${c[i]}`)).toEqual([]);
        }
      }
    });
  });
}

describe('turnStatistics', () => {
  fillAll({
    // Whitening spreads one infinity over the batch, and hides where it came from.
    make: () => ({ ...creditArgs(), whiten: NO_WHITEN }),
    fields: creditFields,
    outputs: CREDIT_OUTPUTS,
    run: ops.turnStatistics,
    oracle: reference.ops.turnStatistics,
  });
});

describe('surrogate', () => {
  const oracle = reference.ops.surrogate;
  fillAll({ make: surrogateArgs, fields: surrogateFields, outputs: SURROGATE_OUTPUTS, run: ops.surrogate, oracle });
});

describe('surrogate, non-finite log-probs let through', () => {
  const make = () => ({ ...surrogateArgs(), nonFinite: 'propagate' as const });
  const oracle = reference.ops.surrogate;
  fillAll({ make, fields: surrogateFields, outputs: SURROGATE_OUTPUTS, run: ops.surrogate, oracle });
});

describe('surrogate, coupled', () => {
  const oracle = reference.ops.surrogate;
  fillAll({ make: coupledArgs, fields: surrogateFields, outputs: SURROGATE_OUTPUTS, run: ops.surrogate, oracle });
});

test('surrogate: nothing to divide by gives no gradient, whatever else there is', () => {
  for (const extreme of Object.values(EXTREMES)) {
    const args = { ...surrogateArgs(), nonFinite: 'propagate' as const };
    args.denominators = { tokens: 0, turns: 0, sequences: 0, prompts: 0 };
    for (const name of ['advantages', 'ratioTargets', 'tokenWeights', 'entropy', 'logProbs'] as const) {
      args[name]!.fill(extreme);
    }
    expect(ops.surrogate(args)).toEqual(OK);
    expectSameBits(args.coefficients, new Float64Array(N), 'coefficients');
    for (const c of args.entropyCoefficients!) expect(c === 0).toBe(true);
  }
});

describe('logitsGradient', () => {
  const names = gradientFields(gradientArgs())
    .map(({ path }) => path)
    .filter((path) => !['targets', 'actionMask'].includes(path));

  test.each(names)('%s: a row that is not finite says so, and its neighbours do not see it', (path) => {
    const right = gradientArgs();
    expect(ops.logitsGradient(right)).toEqual(OK);
    const { width } = right.gradient;
    for (const [name, extreme] of Object.entries(EXTREMES)) {
      const make = () => {
        const args = gradientArgs();
        gradientFields(args)
          .find((field) => field.path === path)!
          .get()[3] = extreme;
        return args;
      };
      const [args, expected] = [make(), make()];
      expect(ops.logitsGradient(args)).toEqual(OK);
      expect(reference.ops.logitsGradient(expected)).toEqual(OK);
      for (let n = 0; n < N; n++) {
        const row = args.gradient.data.slice(n * width, (n + 1) * width);
        if (n !== 3) {
          expectSameBits(row, right.gradient.data.slice(n * width, (n + 1) * width), `${name}, row ${n}`);
        } else {
          const own = expected.gradient.data.slice(n * width, (n + 1) * width);
          const wrong = Array.from(own.keys()).filter((v) =>
            Number.isFinite(own[v])
              ? Math.abs(row[v] - own[v]) >= 1e-5 * Math.max(1, Math.abs(own[v]))
              : Number.isFinite(row[v]),
          );
          expect(wrong.map((v) => `${name}: [${v}] = ${row[v]}, reference ${own[v]}`)).toEqual([]);
        }
      }
    }
  });

  test('rows without coefficients are zeros, whatever their entropy; masked rows as well', () => {
    for (const extreme of Object.values(EXTREMES)) {
      const args = gradientArgs();
      const { width } = args.gradient;
      args.coefficients![2] = 0;
      args.entropyCoefficients![2] = -0;
      args.actionMask![5] = 0;
      for (const n of [2, 5]) {
        args.entropy![n] = extreme;
        args.logSumExp[n] = extreme;
        args.logits.data.fill(NONE, n * width, (n + 1) * width);
      }
      args.coefficients![5] = extreme;
      args.entropyCoefficients![5] = extreme;
      expect(ops.logitsGradient(args)).toEqual(OK);
      for (const n of [2, 5]) {
        expectSameBits(args.gradient.data.slice(n * width, (n + 1) * width), new Float32Array(width), `row ${n}`);
      }
      expect(args.gradient.data.every(Number.isFinite)).toBe(true);
    }
  });
});

describe('ids at both ends of int32', () => {
  /** Other names for 0, 1, 2, ... */
  const NAMES = [LEAST, MOST, -1, 0, MOST - 1, LEAST + 1, 1, 2 ** 30, -(2 ** 30), 7, 65_536];

  test.each(['groups', 'nodes', 'keys', 'turns.index', 'all'])('turnStatistics: %s', (which) => {
    const [plain, renamed] = [creditArgs(), creditArgs()];
    for (const args of [plain, renamed]) {
      // Ids 0, 1, 2, ... that come back, so that there are names for all.
      for (let k = 0; k < args.nodes!.length; k++) args.nodes![k] = k % 2 === 0 ? 0 : 1 + (k >> 1);
      args.channels = [
        ...args.channels,
        channel({ level: 'turn', turnSignal: args.channels[1].turnSignal, group: 'prompt-turn' }),
      ];
      args.groupStats = new Float64Array(6 * args.channels.length);
    }
    for (const { path, get } of creditFields(renamed)) {
      const array = get();
      const isId = array instanceof Int32Array && !/^turns\.(?!index)/.test(path);
      if (!isId || !(which === 'all' || path.endsWith(which))) continue;
      array.set(array.map((id) => NAMES[id]));
    }
    expect(ops.turnStatistics(plain)).toEqual(OK);
    expect(ops.turnStatistics(renamed)).toEqual(OK);
    for (const output of CREDIT_OUTPUTS) expectSameBits(renamed[output]!, plain[output]!, output);
  });

  test('surrogate: groups', () => {
    const [plain, renamed] = [coupledArgs(), coupledArgs()];
    renamed.groups = renamed.groups!.map((id) => NAMES[id]);
    for (const args of [plain, renamed]) expect(ops.surrogate(args)).toEqual(OK);
    for (const output of SURROGATE_OUTPUTS) expectSameBits(renamed[output]!, plain[output]!, output);
  });

  test('a broken tree is named by its first turn, whatever its ids', () => {
    for (const id of [LEAST, -1, 0, MOST]) {
      const args = creditArgs();
      // Turn 5 is turn 1's node, and comes after another node of the same prompt... of its own trajectory.
      args.groups.fill(id);
      args.nodes!.set([id, 3, 4, id, 5, 6, 7, 8]);
      expect(ops.turnStatistics(args)).toEqual({ code: 'tree-broken', position: 3 });
      expect(reference.ops.turnStatistics(args)).toEqual({ code: 'tree-broken', position: 3 });
    }
    expect(M).toBe(4);
  });
});

describe('signals whose statistics overflow', () => {
  const outcome = Float64Array.of(1e200, -1e200, 1e200, -1e200);
  const small = Float64Array.of(1, 2, 3, 4);
  const std = { center: 'mean', scale: 'std', eps: 1e-6 } as const;

  function advantages(given: Partial<TurnStatisticsArgs> & Pick<TurnStatisticsArgs, 'channels'>): Float64Array {
    const args = statisticsArgs({
      turns: turnsOf([
        [1, 1],
        [1, 1],
      ]),
      groups: new Int32Array(2),
      outcome: Float64Array.of(1, 2),
      ...given,
    });
    expect(ops.turnStatistics(args)).toEqual(OK);
    return args.advantages;
  }

  const reward = (given: Parameters<typeof channel>[0]) => channel({ level: 'turn', turnSignal: outcome, ...given });

  test.each<[string, Partial<TurnStatisticsArgs> & Pick<TurnStatisticsArgs, 'channels'>]>([
    ['the variance', { channels: [reward(std)] }],
    ['the variance, joined', { channels: [reward(std)], combine: 'join' }],
    ['the variance, summed later', { channels: [reward({ ...std, then: 'discounted', thenDivide: 'sqrt-terms' })] }],
    ['the variance of the batch', { channels: [reward({ ...std, scale: 'batch-std' })] }],
    [
      'the sum with a coarser signal',
      {
        channels: [
          reward({
            turnSignal: outcome.map(() => 1.7e308),
            trajectorySignal: Float64Array.of(1e308, 1e308),
            place: 'every',
          }),
        ],
      },
    ],
    [
      'the variance, whitened',
      { channels: [reward({})], whiten: { kind: 'standardize', over: 'turn', ddof: 0, eps: 1e-6, varianceFloor: 0 } },
    ],
    ['the variance, center none', { channels: [reward({ ...std, center: 'none' })] }],
    [
      'the mean',
      {
        channels: [reward({ ...std, scale: 'none', turnSignal: Float64Array.of(1.7e308, 1.7e308, 1.7e308, 1.6e308) })],
      },
    ],
    ['the standard deviation that scales', { channels: [reward({ matchOutcomeStd: true, stdFloor: 1e-6, ...std })] }],
    [
      'the standard deviation to scale to',
      {
        channels: [reward({ turnSignal: small, matchOutcomeStd: true, stdFloor: 1e-6, ...std })],
        outcome: Float64Array.of(1e200, -1e200),
      },
    ],
    [
      'the return',
      {
        channels: [
          reward({ accumulate: 'discounted', ...std, turnSignal: Float64Array.of(1.7e308, 1.7e308, 1.7e308, 1.7e308) }),
        ],
      },
    ],
  ])('%s: not silently 0', (_, given) => {
    for (const advantage of advantages(given)) expect(Number.isFinite(advantage)).toBe(false);
  });

  /** A whole group without a spread is infinite all over: equal, but not for whitening to call 0. */
  describe.each(Object.entries({ cpu: ops, reference: reference.ops }))('%s, whitened', (_, { turnStatistics }) => {
    test.each(['center', 'standardize'] as const)('%s: not silently 0', (kind) => {
      for (const trajectorySignal of [
        Float64Array.of(1e308, -1e308),
        Float64Array.of(INF, INF),
        Float64Array.of(-INF, -INF),
      ]) {
        const args = statisticsArgs({
          turns: turnsOf([[1], [1]]),
          groups: new Int32Array(2),
          channels: [channel({ trajectorySignal, ...std })],
          whiten: { kind, over: 'turn', ddof: 0, eps: 1e-6, varianceFloor: 0 },
        });
        expect(turnStatistics(args)).toEqual(OK);
        for (const advantage of args.advantages) expect(Number.isFinite(advantage)).toBe(false);
      }
    });
  });

  test('in range: finite', () => {
    for (const z of advantages({ channels: [reward({ ...std, turnSignal: small })] }))
      expect(Number.isFinite(z)).toBe(true);
    const z = advantages({ channels: [reward({ ...std, turnSignal: outcome.map((x) => x / 1e60) })] });
    expect([...z]).toEqual([1, -1, 1, -1]);
  });
});
