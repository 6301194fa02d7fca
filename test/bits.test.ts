/** What a row's bits may depend on: the row, V, dtype, temperature and SIMD target. Not neighbours, address, threads, or fusion. */
import { afterAll, describe, expect, test } from 'vitest';
import { selectBackend } from '../lib/backend/select.js';
import { configure, info } from '../lib/index.js';
import type { DTypeOfLogits, GatherLogProbsArgs, LogitsGradientArgs, Ops, PolicyLossArgs } from '../lib/ops.js';
import { DTYPES } from './cases/logits.js';
import { policyLossArgs, policyLossResults } from './cases/policy_loss.js';
import { RATIOS } from './cases/surrogate.js';
import { describeTargets, supportedTargets } from './support/backends.js';
import { encode, expectSameBits, type Numbers, ulp32 } from './support/numbers.js';
import { random } from './support/random.js';

const ROWS = 9;
/** A vector's tail, many vectors, and two column segments. */
const WIDTHS = [7, 100, 1003, 16411];

const THREADS = [1, 2, 3, 8];

/** Of test/cases/policy_loss.ts: what the loss is made of. A name that is not there fails. */
const LOSSES = [
  'bonus',
  'negative bonus, detached',
  'weights',
  'weights and bonus',
  'gamma',
  'quadratic in the log-ratio',
  'mask by Bernoulli KL',
  'l1-target',
  'coupled, with a bonus',
  'clipped tokens',
];

interface Matrix {
  data: Float32Array | Uint16Array;
  dtype: DTypeOfLogits;
  width: number;
  targets: Int32Array;
}

function matrix(dtype: DTypeOfLogits, width: number): Matrix {
  const { normal, integer } = random(width);
  const values = Float64Array.from({ length: ROWS * width }, () => 3 * normal());
  return {
    data: encode(values, dtype),
    dtype,
    width,
    targets: Int32Array.from({ length: ROWS }, () => integer(width)),
  };
}

interface RowResults {
  gather: GatherLogProbsArgs;
  gradient: LogitsGradientArgs;
  /** With an entropy bonus. */
  bonus: LogitsGradientArgs;
}

/** Gathers and differentiates rows [first, last) of the matrix, whose elements start at `offset` of a buffer. */
function run(ops: Ops, { data, dtype, width, targets }: Matrix, first = 0, last = ROWS, offset = 0): RowResults {
  const own = data.subarray(first * width, last * width);
  const Elements = dtype === 'f32' ? Float32Array : Uint16Array;
  const at = (source: typeof own) => {
    const moved = new Elements(source.length + offset + 1).subarray(offset, offset + source.length);
    moved.set(source);
    return moved;
  };
  const count = last - first;
  const gather: GatherLogProbsArgs = {
    logits: { data: at(own), dtype, width },
    targets: targets.slice(first, last),
    actionMask: null,
    temperature: 0.7,
    nonFinite: 'throw',
    logProbs: new Float32Array(count),
    logSumExp: new Float64Array(count),
    entropy: new Float32Array(count),
  };
  expect(ops.gatherLogProbs(gather).code).toBe('ok');
  const gradient: LogitsGradientArgs = {
    logits: gather.logits,
    targets: gather.targets,
    actionMask: null,
    logProbs: gather.logProbs,
    logSumExp: gather.logSumExp!,
    coefficients: new Float64Array(count).fill(-0.3),
    entropy: null,
    entropyCoefficients: null,
    temperature: 0.7,
    gradScale: 1,
    gradient: { data: at(own), dtype, width },
    underflowed: null,
  };
  expect(ops.logitsGradient(gradient).code).toBe('ok');
  const bonus: LogitsGradientArgs = {
    ...gradient,
    entropy: gather.entropy,
    entropyCoefficients: new Float64Array(count).fill(0.2),
    gradient: { data: at(own), dtype, width },
    underflowed: new Float64Array(1),
  };
  expect(ops.logitsGradient(bonus).code).toBe('ok');
  return { gather, gradient, bonus };
}

function expectSameRows(actual: RowResults, expected: RowResults, first: number, width: number): void {
  const count = actual.gather.targets.length;
  for (const name of ['logProbs', 'logSumExp', 'entropy'] as const) {
    expectSameBits(actual.gather[name]!, expected.gather[name]!.slice(first, first + count), name);
  }
  for (const name of ['gradient', 'bonus'] as const) {
    const rows = expected[name].gradient.data.slice(first * width, (first + count) * width);
    expectSameBits(actual[name].gradient.data, rows, name);
  }
}

describeTargets(() => {
  const ops = () => selectBackend('cpu').ops;

  describe.each(DTYPES)('%s', (dtype) => {
    test.each(WIDTHS)('a row of %i alone and in a batch', (width) => {
      const rows = matrix(dtype, width);
      const whole = run(ops(), rows);
      for (let n = 0; n < ROWS; n++) expectSameRows(run(ops(), rows, n, n + 1), whole, n, width);
      expectSameRows(run(ops(), rows, 3, 8), whole, 3, width);
    });

    test.each(WIDTHS)('rows of %i at every address', (width) => {
      const rows = matrix(dtype, width);
      const whole = run(ops(), rows);
      for (let offset = 1; offset <= 8; offset++) expectSameRows(run(ops(), rows, 0, ROWS, offset), whole, 0, width);
    });

    test('a constant added without loss of a digit changes a log-prob by no more than rounding', () => {
      const { normal } = random(1);
      const base = Float64Array.from({ length: ROWS * 100 }, () => Math.round(4 * normal()) / 2);
      const shifted = (by: number): Matrix => ({
        ...matrix(dtype, 100),
        data: encode(
          base.map((z) => z + by),
          dtype,
        ),
      });
      const [a, b] = [run(ops(), shifted(0)), run(ops(), shifted(64))];
      a.gather.logProbs.forEach((logProb, n) => {
        expect(Math.abs(b.gather.logProbs[n] - logProb)).toBeLessThanOrEqual(2 * ulp32(logProb));
      });
    });
  });

  describe.each(Object.keys(RATIOS))('fused step, %s', (ratio) => {
    const variant = { ratio, width: 33, trajectories: 12, withStatistics: true, deferred: false, withKl: true };

    test.each(DTYPES)('%s: equals the ops one after another', (dtype) => {
      for (const inPlace of [false, true]) {
        for (const nonFinite of ['throw', 'check-first', 'propagate'] as const) {
          const make = () => policyLossArgs({ ...variant, dtype, inPlace, nonFinite });
          const [fused, composed] = [make(), make()];
          expect(ops().policyLoss(fused).code).toBe('ok');
          runComposed(ops(), composed);
          expectSameResults(fused, composed);
        }
      }
    });

    test('deferred, long rows: equals the ops one after another', () => {
      const make = () =>
        policyLossArgs({
          ...variant,
          dtype: 'bf16',
          inPlace: true,
          nonFinite: 'throw',
          deferred: true,
          trajectories: 2,
          width: 16411,
        });
      const [fused, composed] = [make(), make()];
      expect(ops().policyLoss(fused).code).toBe('ok');
      runComposed(ops(), composed);
      expectSameResults(fused, composed);
    });

    test('the same bits with 1, 2, 3 and 8 threads', () => {
      const make = () =>
        policyLossArgs({ ...variant, dtype: 'f32', inPlace: true, nonFinite: 'throw', trajectories: 40 });
      const results = THREADS.map((threads) => withThreads(threads, () => fused(make())));
      for (const args of results.slice(1)) expectSameResults(args, results[0]);
    });

    test.each([5, 16_411])('the first bad row of %i columns is named, whatever the threads', (width) => {
      const args = policyLossArgs({ ...variant, dtype: 'f32', inPlace: false, nonFinite: 'throw', width });
      const active = Array.from(args.surrogate.actionMask.keys()).filter((n) => args.surrogate.actionMask[n] === 1);
      const bad = [active[9], active[10], active[30], active[active.length - 1]];
      for (const n of bad) args.gather.logits.data[n * width + 3] = Number.NaN;
      // Log-probs are looked at after all logits.
      args.surrogate.oldLogProbs[active[2]] = Number.NaN;
      for (const threads of THREADS) {
        const status = withThreads(threads, () => ops().policyLoss(args));
        expect(status).toEqual({ code: 'non-finite-logits', position: bad[0] });
      }
    });

    function fused(args: PolicyLossArgs): PolicyLossArgs {
      expect(ops().policyLoss(args).code).toBe('ok');
      return args;
    }
  });

  describe.each(LOSSES)('fused step, loss: %s', (loss) => {
    const usual = { loss, width: 33, withStatistics: true, deferred: false, withKl: true, inPlace: true } as const;
    // A gate that couples trajectories brings its own ratio.
    const ratios = loss.startsWith('coupled') ? ['sequence true'] : ['token', 'turn true', 'sequence straight-through'];

    test.each(DTYPES)('%s: equals the ops one after another', (dtype) => {
      for (const ratio of ratios) {
        const make = () => policyLossArgs({ ...usual, ratio, dtype, nonFinite: 'throw', trajectories: 40 });
        const [fused, composed] = [make(), make()];
        expect(ops().policyLoss(fused).code).toBe('ok');
        runComposed(ops(), composed);
        expectSameResults(fused, composed);
      }
    });

    test('the same bits with 1, 2, 3 and 8 threads', () => {
      for (const ratio of ratios) {
        const results = THREADS.map((threads) => {
          const args = policyLossArgs({ ...usual, ratio, dtype: 'bf16', nonFinite: 'throw', trajectories: 40 });
          expect(withThreads(threads, () => ops().policyLoss(args)).code).toBe('ok');
          return args;
        });
        for (const args of results.slice(1)) expectSameResults(args, results[0]);
      }
    });
  });

  // Turns and trajectories of 0.2 to 5 MB: below and above what one thread takes alone, and more than a window of them.
  test.each([
    ['token', 'usual'],
    ['turn straight-through', 'usual'],
    ['sequence true', 'usual'],
    ['token', 'bonus'],
    ['sequence true', 'weights and bonus'],
  ])('long rows, %s, %s: the same bits with 1, 2 and 3 threads, fused or not', { timeout: 60_000 }, (ratio, loss) => {
    const variant = {
      withStatistics: true,
      withKl: false,
      deferred: false,
      inPlace: true,
      nonFinite: 'throw',
    } as const;
    const args = policyLossArgs({ ...variant, ratio, loss, dtype: 'f32', trajectories: 8, width: 60_011 });
    const logits = args.gather.logits.data.slice();
    runComposed(ops(), args);
    const composed = Object.entries(policyLossResults(args)).map(([name, array]) => [name, array.slice()] as const);
    for (const threads of [1, 2, 3]) {
      args.gather.logits.data.set(logits);
      expect(withThreads(threads, () => ops().policyLoss(args)).code).toBe('ok');
      const results: Record<string, Numbers> = policyLossResults(args);
      for (const [name, expected] of composed) expectSameBits(results[name], expected, `${name}, ${threads} threads`);
    }
  });

  test.each(DTYPES)('few long rows of %s, shared by column segments: the same bits with any threads', (dtype) => {
    const rows = matrix(dtype, 50_003);
    const results = THREADS.map((threads) => withThreads(threads, () => run(ops(), rows, 0, 3)));
    for (const result of results.slice(1)) expectSameRows(result, results[0], 0, rows.width);
  });
});

function withThreads<T>(threads: number, run: () => T): T {
  configure({ threads });
  expect(info().threads).toBe(threads);
  return run();
}

const initialTarget = info().simd!.target;
const initial = info().threads;
afterAll(() => {
  if (initial !== null) configure({ threads: initial });
});

function runComposed(ops: Ops, { statistics, gather, surrogate, gradient }: PolicyLossArgs): void {
  if (statistics) expect(ops.turnStatistics(statistics).code).toBe('ok');
  expect(ops.gatherLogProbs(gather).code).toBe('ok');
  expect(ops.surrogate(surrogate).code).toBe('ok');
  expect(ops.logitsGradient(gradient).code).toBe('ok');
}

function expectSameResults(actual: PolicyLossArgs, expected: PolicyLossArgs): void {
  const results = policyLossResults(expected);
  for (const [name, array] of Object.entries(policyLossResults(actual))) {
    expectSameBits(array, results[name as keyof typeof results]!, name);
  }
}

/** Phase A and B are float64 on one thread and use no instructions that a target chooses. */
describe('SIMD-independent parts', () => {
  const ops = () => selectBackend('cpu').ops;
  const resultsOf = (args: PolicyLossArgs, target: string) => {
    configure({ simd: target });
    expect(ops().turnStatistics(args.statistics!).code).toBe('ok');
    // Log-probs that every target has alike: the gathered ones differ by the digits of its exponential.
    args.gather.logProbs.forEach((_, n, own) => {
      own[n] = args.surrogate.oldLogProbs[n] + Math.fround(Math.sin(n) / 4);
    });
    args.gather.entropy!.forEach((_, n, own) => {
      own[n] = Math.abs(Math.cos(n));
    });
    expect(ops().surrogate(args.surrogate).code).toBe('ok');
    const { advantages, clipScale, normalizedSignal, groupStats } = args.statistics!;
    const { coefficients, entropyCoefficients, metrics } = args.surrogate;
    const optional = entropyCoefficients ? { entropyCoefficients } : {};
    return { advantages, clipScale, normalizedSignal, groupStats, coefficients, metrics, ...optional };
  };

  afterAll(() => configure({ simd: initialTarget }));

  test.each(['usual', ...LOSSES])('loss: %s', (loss) => {
    const variant = {
      loss,
      dtype: 'f32',
      width: 5,
      trajectories: 30,
      nonFinite: 'throw',
      ratio: 'sequence true',
    } as const;
    const make = () =>
      policyLossArgs({ ...variant, withStatistics: true, deferred: false, withKl: true, inPlace: false });
    const [first, ...others] = supportedTargets();
    const expected: Record<string, Numbers> = resultsOf(make(), first);
    for (const target of others) {
      for (const [name, array] of Object.entries(resultsOf(make(), target))) {
        expectSameBits(array, expected[name], `${name}, ${target}`);
      }
    }
  });
});
