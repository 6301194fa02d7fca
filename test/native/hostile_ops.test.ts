/**
 * Arrays that say where to read and write, attacked past their checks: shared with an output, changed while a job runs,
 * or chosen to be slow. The ops answer or refuse; a crash would take this file's process down.
 */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';

import type { SegmentTurnsArgs, SurrogateArgs, TurnStatisticsArgs } from '../../lib/ops.js';
import { channel, segmentArgs, statisticsArgs, turnsOf } from '../reference/fixtures.js';
import { binaryPath, fixture, native } from './helpers.js';

const { ops } = native.backends.cpu;
const OK = { code: 'ok', position: -1 };
const INVALID = { code: 'invalid-argument', position: -1 };
const { POSITIVE_INFINITY: INF } = Number;

type Arrays = Int32Array | Uint8Array | Float32Array | Float64Array;

/** An Int32Array, with the same values, over the first bytes of another array. */
function inside(host: Arrays, values: ArrayLike<number>): Int32Array {
  const view = new Int32Array(host.buffer, 0, values.length);
  view.set(values);
  return view;
}

const count = 8;
const turns = () => turnsOf(Array.from({ length: count }, () => [2]));

function surrogateArgs(): SurrogateArgs {
  const tokens = 2 * count;
  return {
    logProbs: new Float32Array(tokens),
    oldLogProbs: new Float32Array(tokens).fill(-1),
    refLogProbs: new Float32Array(tokens).fill(-1),
    entropy: new Float32Array(tokens),
    actionMask: new Uint8Array(tokens).fill(1),
    turns: turns(),
    advantageLevel: 'turn',
    advantages: new Float64Array(count).fill(-1e9),
    clipScale: new Float64Array(count).fill(1),
    ratio: { level: 'turn', form: 'true', clampLow: -20, clampHigh: 20 },
    gate: { kind: 'ppo', low: 0.2, high: 0.2, dual: INF },
    kl: { coef: 0.1, estimator: 'k1', logRatioClamp: INF, valueClamp: INF },
    aggregate: 'token-mean',
    horizon: 1,
    denominators: { tokens, turns: count, sequences: count },
    nonFinite: 'throw',
    coefficients: new Float64Array(tokens),
    metrics: new Float64Array(native.schema.enums.Metric.length),
  };
}

function creditArgs(): TurnStatisticsArgs {
  return statisticsArgs({
    turns: turns(),
    groups: Int32Array.from({ length: count }, (_, m) => m >> 2),
    outcome: Float64Array.from({ length: count }, (_, m) => Math.sin(m) * 1e5),
    turnRewards: Float64Array.from({ length: count }, (_, k) => Math.cos(k)),
    informationGain: new Float64Array(count),
    channels: [channel({ signal: 'turn-reward', weight: 1e8 }), channel()],
  });
}

describe('outputs that overlap', () => {
  const indices = ['starts', 'ends', 'tokens', 'trajectory', 'index'] as const;

  test('nothing: the arguments below are right', () => {
    expect(ops.surrogate(surrogateArgs())).toEqual(OK);
    expect(ops.turnStatistics(creditArgs())).toEqual(OK);
    expect(ops.segmentTurns(maskArgs())).toEqual(OK);
  });

  describe.each(['coefficients', 'metrics'] as const)('surrogate: %s', (output) => {
    test.each(indices)('turns.%s', (name) => {
      const args = surrogateArgs();
      args.turns[name] = inside(args[output], args.turns[name]);
      expect(ops.surrogate(args)).toEqual(INVALID);
    });

    test.each(['logProbs', 'oldLogProbs', 'refLogProbs', 'entropy'] as const)('%s', (name) => {
      const args = surrogateArgs();
      args[name] = new Float32Array(args[output].buffer, 0, 2 * count);
      expect(ops.surrogate(args)).toEqual(INVALID);
    });

    test('actionMask', () => {
      const args = surrogateArgs();
      args.actionMask = new Uint8Array(args[output].buffer, 8, 2 * count).fill(1);
      expect(ops.surrogate(args)).toEqual(INVALID);
    });

    test.each(['advantages', 'clipScale'] as const)('%s', (name) => {
      const args = surrogateArgs();
      args[name] = args[output].subarray(0, count);
      expect(ops.surrogate(args)).toEqual(INVALID);
    });
  });

  describe.each(['advantages', 'clipScale', 'normalizedSignal', 'groupStats'] as const)(
    'turnStatistics: %s',
    (output) => {
      test.each(indices)('turns.%s', (name) => {
        const args = creditArgs();
        args.turns[name] = inside(args[output], args.turns[name]);
        expect(ops.turnStatistics(args)).toEqual(INVALID);
      });

      test.each(['groups', 'outcome', 'turnRewards', 'informationGain'] as const)('%s', (name) => {
        const args = creditArgs();
        if (name === 'groups') args.groups = inside(args[output], args.groups);
        else args[name] = args[output].subarray(0, count);
        expect(ops.turnStatistics(args)).toEqual(INVALID);
      });
    },
  );

  test('turnStatistics: one output with another', () => {
    const args = creditArgs();
    args.clipScale = args.advantages;
    expect(ops.turnStatistics(args)).toEqual(INVALID);
  });

  const outputs = ['starts', 'ends', 'tokens', 'trajectory', 'index', 'count'] as const;

  function maskArgs(): SegmentTurnsArgs {
    return segmentArgs({
      room: 16,
      trajectoryOffsets: Int32Array.of(0, 8, 16),
      actionMask: new Uint8Array(16).fill(1),
      count: new Int32Array(16),
    });
  }

  describe.each(outputs)('segmentTurns: %s', (output) => {
    test('trajectoryOffsets', () => {
      const args = maskArgs();
      args.trajectoryOffsets = inside(args[output], args.trajectoryOffsets);
      expect(ops.segmentTurns(args)).toEqual(INVALID);
    });

    test('actionMask', () => {
      const args = maskArgs();
      args.actionMask = new Uint8Array(args[output].buffer, 4, 16).fill(1);
      expect(ops.segmentTurns(args)).toEqual(INVALID);
    });

    test('turnIds, tokenIds and spans', () => {
      const ids = Int32Array.from({ length: 16 }, (_, n) => n * 100_000);
      const byIds: SegmentTurnsArgs = { ...maskArgs(), by: 'turn-ids' };
      expect(ops.segmentTurns({ ...byIds, turnIds: inside(byIds[output], ids) })).toEqual(INVALID);
      const byTokens: SegmentTurnsArgs = { ...maskArgs(), by: 'delimiters' };
      expect(ops.segmentTurns({ ...byTokens, tokenIds: inside(byTokens[output], ids) })).toEqual(INVALID);
      const [spanStarts, spanEnds] = [Int32Array.of(0, 8), Int32Array.of(8, 16)];
      const bySpans: SegmentTurnsArgs = { ...maskArgs(), by: 'spans', spanStarts, spanEnds };
      expect(ops.segmentTurns(bySpans)).toEqual(OK);
      for (const name of ['spanStarts', 'spanEnds'] as const) {
        const shared = inside(bySpans[output], bySpans[name] ?? []);
        expect(ops.segmentTurns({ ...bySpans, [name]: shared })).toEqual(INVALID);
      }
    });

    test('another output', () => {
      const args = maskArgs();
      const other = output === 'ends' ? 'starts' : 'ends';
      args[other] = args[output];
      expect(ops.segmentTurns(args)).toEqual(INVALID);
    });
  });

  test('neighbours in one buffer do not overlap', () => {
    const all = new Float64Array(3 * count);
    const args = creditArgs();
    args.advantages = all.subarray(0, count);
    args.clipScale = all.subarray(count, 2 * count);
    args.outcome = all.subarray(2 * count);
    expect(ops.turnStatistics(args)).toEqual(OK);
  });
});

/** In a process of its own, since what it guards against is a crash. */
function attack(task: string) {
  const child = spawnSync(process.execPath, [fixture('hostile.mjs'), binaryPath(), task], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { code: child.status, signal: child.signal, out: child.stdout.trim(), err: child.stderr };
}

describe('memory that changes while a job runs', () => {
  test.each([
    'surrogate',
    'segmentTurns',
    'turnStatistics',
    'policyLoss-token',
    'policyLoss-turn',
    'gradient-over-ends',
  ])('%s', (task) => {
    expect(attack(task)).toMatchObject({ code: 0, signal: null, out: 'done', err: '' });
  });
});

describe('group ids', () => {
  const many = 200_000;

  function milliseconds(groups: Int32Array): number {
    const everyTurn = new Int32Array(many).fill(1);
    const positions = everyTurn.map((_, k) => k);
    const args = statisticsArgs({
      turns: {
        starts: positions,
        ends: positions.map((k) => k + 1),
        tokens: everyTurn,
        trajectory: positions,
        index: everyTurn,
      },
      groups,
      outcome: new Float64Array(many),
      channels: [channel()],
    });
    const started = performance.now();
    expect(ops.turnStatistics(args)).toEqual(OK);
    return performance.now() - started;
  }

  /** Ids that one multiplication by the golden ratio hashes side by side. */
  function neighbours(): Int32Array {
    const ids = new Int32Array(many);
    for (let id = 1, found = 0; found < many; id += 832_040) {
      if ((id * 0.618_033_988_749_894_9) % 1 < 2 ** -3) ids[found++] = id | 0;
    }
    return ids;
  }

  test.each([
    ['k', (k: number) => k],
    ['832040 k', (k: number) => Math.imul(k, 832_040)],
    ['10946 k', (k: number) => Math.imul(k, 10_946)],
    ['65536 k', (k: number) => Math.imul(k, 65_536) | (k >>> 16)],
  ])('%s: linear time', (_, id) => {
    // Milliseconds; seconds where they collide.
    expect(milliseconds(Int32Array.from({ length: many }, (_, k) => id(k)))).toBeLessThan(1500);
  });

  test('neighbours of one product: linear time', () => {
    expect(milliseconds(neighbours())).toBeLessThan(1500);
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
      turnRewards: outcome,
      informationGain: outcome,
      ...given,
    });
    expect(ops.turnStatistics(args)).toEqual(OK);
    return args.advantages;
  }

  const reward = (given: Parameters<typeof channel>[0]) => channel({ signal: 'turn-reward', ...given });

  test.each<[string, Partial<TurnStatisticsArgs> & Pick<TurnStatisticsArgs, 'channels'>]>([
    ['the variance', { channels: [reward(std)] }],
    ['the variance, joined', { channels: [reward(std)], combine: 'join' }],
    ['the variance, summed later', { channels: [reward({ ...std, then: 'discounted', thenDivide: 'sqrt-terms' })] }],
    ['the variance, center none', { channels: [reward({ ...std, center: 'none' })] }],
    [
      'the mean',
      {
        channels: [reward({ ...std, scale: 'none' })],
        turnRewards: Float64Array.of(1.7e308, 1.7e308, 1.7e308, 1.6e308),
      },
    ],
    [
      'the standard deviation that scales',
      { channels: [channel({ signal: 'information-gain', matchOutcomeStd: true, stdFloor: 1e-6, ...std })] },
    ],
    [
      'the standard deviation to scale to',
      {
        channels: [channel({ signal: 'information-gain', matchOutcomeStd: true, stdFloor: 1e-6, ...std })],
        informationGain: small,
        outcome: Float64Array.of(1e200, -1e200),
      },
    ],
    [
      'the return',
      {
        channels: [reward({ accumulate: 'discounted', ...std })],
        turnRewards: Float64Array.of(1.7e308, 1.7e308, 1.7e308, 1.7e308),
      },
    ],
  ])('%s: not silently 0', (_, given) => {
    for (const advantage of advantages(given)) expect(Number.isFinite(advantage)).toBe(false);
  });

  test('in range: finite', () => {
    for (const z of advantages({ channels: [reward(std)], turnRewards: small })) expect(Number.isFinite(z)).toBe(true);
    const z = advantages({ channels: [reward(std)], turnRewards: outcome.map((x) => x / 1e60) });
    expect([...z]).toEqual([1, -1, 1, -1]);
  });
});
