/** Every advantage of the golden vectors, as an op record: A²TGPO, GRPO, RLOO, OPO, REINFORCE++, GAE, SIOP, GiGPO ... */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { ChannelArgs, TurnStatisticsArgs, TurnsArgs } from '../../lib/ops.js';
import { GOLDEN_SEEDS, type GoldenBatch, type GoldenSeed, loadGolden } from '../golden/load.js';
import { channel, deviation, ops, segmentArgs, segmented, statisticsArgs } from './fixtures.js';

/** Golden numbers have 13 digits, inputs included: half a unit of the 13th digit is 5e-13 of the scale at worst. */
const TOLERANCE = 1e-12;
/** The generator's whitening divides by n + 1e-8 as verl does: with at least 100 loss tokens, up to 1e-10 of the result. */
const WHITEN_TOLERANCE = 1e-10;

/** A golden batch with what only some of its estimators read. */
interface Credit extends GoldenBatch {
  turns: TurnsArgs;
  /** [N] state values */
  values: Float64Array;
  /** [K] */
  steps: Float64Array;
  /** [K] */
  anchors: Int32Array;
}

type Estimator = Pick<TurnStatisticsArgs, 'channels'> & Partial<TurnStatisticsArgs>;

function loadCredit(seed: GoldenSeed): Credit {
  const batch = loadGolden(seed);
  const { trajectoryOffsets, turnIds, actionMask } = batch;
  const path = new URL(`../golden/batch-${seed}.json`, import.meta.url);
  const file: { val: number[][]; step: number[][]; anchor: number[][] } = JSON.parse(readFileSync(path, 'utf8'));
  return {
    ...batch,
    turns: segmented(segmentArgs({ by: 'turn-ids', trajectoryOffsets, turnIds, actionMask, room: turnIds.length })),
    values: Float64Array.from(file.val.flat()),
    steps: Float64Array.from(file.step.flat()),
    anchors: Int32Array.from(file.anchor.flat()),
  };
}

/** z of verl and its forks: sample standard deviation, eps beside it, a group of one as it is. */
const Z1: Partial<ChannelArgs> = { center: 'mean', scale: 'std', ddof: 1, eps: 1e-6, singleton: 'raw' };
/** z of the A²TGPO release. */
const Z0: Partial<ChannelArgs> = { ...Z1, ddof: 0, varianceFloor: 1e-8, singleton: 'zero' };

/** The settings of an A²TGPO preset as the paper's release has them; alpha acts in turn-group-v1d only. */
function a2tgpo({ outcome, informationGain }: Credit, mode: string, gamma: number, alpha: number): Estimator {
  const outcomes = channel({ ...Z0, trajectorySignal: outcome });
  const gains = channel({ ...Z0, level: 'turn', turnSignal: informationGain });
  switch (mode) {
    case 'joint':
      return { channels: [{ ...gains, trajectorySignal: outcome, then: 'discounted', thenGamma: gamma }] };
    case 'separate':
      return { channels: [gains, outcomes], combine: 'join', joinGamma: gamma };
    case 'turn-group': {
      const accumulated = { accumulate: 'discounted', gamma, bootstrap: 'outcome', group: 'prompt-turn' } as const;
      return {
        channels: [
          { ...gains, ...accumulated, matchOutcomeStd: true, stdFloor: 1e-6 },
          { ...outcomes, weight: 1.5 },
        ],
      };
    }
    case 'turn-group-v1d': {
      const then = { then: 'discounted', thenGamma: gamma, thenDivide: 'sqrt-terms' } as const;
      return {
        channels: [{ ...gains, group: 'prompt-turn', ...then, weight: alpha, lastWeight: alpha }, outcomes],
        clipScaleBeta: 0.3,
      };
    }
    default:
      throw new Error(mode);
  }
}

function estimatorsOf(batch: Credit): Record<string, Estimator> {
  const { outcome, informationGain, steps, actionMask } = batch;
  const outcomes = (given: Partial<ChannelArgs>) => channel({ singleton: 'raw', trajectorySignal: outcome, ...given });
  // Turn rewards as the golden `tr` has them: the information gain, and the outcome on the last turn.
  const rewards = { trajectorySignal: outcome, turnSignal: informationGain };
  const returns = (gamma: number, given: Partial<ChannelArgs>) =>
    channel({ level: 'turn', turnSignal: steps, accumulate: 'discounted', gamma, ...given });

  const whiten = { kind: 'standardize', over: 'token', ddof: 1, eps: 0, varianceFloor: 1e-8 } as const;
  const perToken = (given: Partial<ChannelArgs>): Estimator => ({
    channels: [channel({ level: 'token', trajectorySignal: outcome, group: 'batch', ...given })],
    resultLevel: 'token',
    actionMask,
    whiten,
  });
  const reinforce = (observation: 'skip' | 'reset') => perToken({ accumulate: 'discounted', gamma: 0.98, observation });
  const gigpo = (scale: 'none' | 'std'): Estimator => ({
    channels: [
      outcomes({ ...Z1, scale }),
      returns(0.95, { ...Z1, scale, singleton: 'zero', group: 'prompt-key', keys: batch.anchors }),
    ],
  });
  return {
    grpo: { channels: [outcomes(Z1)] },
    'dr-grpo': { channels: [outcomes({ ...Z1, scale: 'none' })] },
    rloo: { channels: [outcomes({ center: 'leave-one-out' })] },
    opo: { channels: [outcomes({ center: 'length-weighted' })] },
    'reinforce-pp.skip': reinforce('skip'),
    'reinforce-pp.reset': reinforce('reset'),
    'reinforce-pp-baseline': { channels: [outcomes({ center: 'mean' })], whiten },
    gae: perToken({ accumulate: 'gae', gamma: 0.99, lambda: 0.95, values: batch.values }),
    siop: {
      channels: [
        channel({
          ...Z1,
          ...rewards,
          level: 'turn',
          singleton: 'zero',
          leastStd: 1e-6,
          then: 'discounted',
          thenGamma: 0.95,
        }),
      ],
    },
    matchtir: {
      channels: [
        channel({ ...Z1, ...rewards, weight: 0.5, lastWeight: 0.5 }),
        channel({
          ...Z1,
          ...rewards,
          level: 'turn',
          accumulate: 'discounted',
          gamma: 0.9,
          group: 'prompt-turn',
          weight: 0.5,
          lastWeight: 0.5,
        }),
      ],
    },
    trloo: { channels: [returns(0.9, { group: 'prompt-turn', center: 'leave-one-out', singleton: 'raw' })] },
    'gigpo.mean': gigpo('none'),
    'gigpo.mean-std': gigpo('std'),
    hgpo: {
      combine: 'weighted-mean',
      channels: [0, 1, 2].map((level) => {
        const keys = historyKeys(batch, level);
        const z = { ...Z1, ddof: 0, singleton: 'zero' } as const;
        return returns(0.95, { ...z, group: 'prompt-key', keys, weight: level + 1, lastWeight: level + 1 });
      }),
    },
  };
}

/** One key per sequence of a turn's last `level` + 1 anchors; a turn with fewer before it has a key of its own. */
function historyKeys({ turns, anchors }: Credit, level: number): Int32Array {
  return Int32Array.from(turns.index, (index, k) =>
    index < level ? -1 - k : anchors.slice(k - level, k + 1).reduce((key, anchor) => 4 * key + anchor, 0),
  );
}

function run(batch: Credit, estimator: Estimator): TurnStatisticsArgs {
  const args = statisticsArgs({ turns: batch.turns, groups: batch.groups, outcome: batch.outcome, ...estimator });
  expect(ops.turnStatistics(args)).toEqual({ code: 'ok', position: -1 });
  return args;
}

/** A result [N] as it is, one of [K] spread to loss tokens, `outside` where there is none. */
function toTokens(batch: Credit, { turns, resultLevel }: TurnStatisticsArgs, values: Float64Array, outside: number) {
  if (resultLevel === 'token') return values;
  const tokens = new Float64Array(batch.actionMask.length).fill(outside);
  values.forEach((value, k) => {
    for (let n = turns.starts[k]; n < turns.ends[k]; n++) if (batch.actionMask[n] === 1) tokens[n] = value;
  });
  return tokens;
}

describe.each(GOLDEN_SEEDS)('batch-%i', (seed) => {
  const batch = loadCredit(seed);
  const estimators = estimatorsOf(batch);
  for (const mode of ['joint', 'separate', 'turn-group', 'turn-group-v1d']) {
    estimators[`a2tgpo.${mode}.gamma1.0`] = a2tgpo(batch, mode, 1, 0.3);
    estimators[`a2tgpo.${mode}.gamma0.9`] = a2tgpo(batch, mode, 0.9, 0.5);
  }

  test('every golden advantage is here', () => {
    expect(Object.keys(estimators).sort()).toEqual(Object.keys(batch.advantages).sort());
  });

  test.each(Object.entries(estimators))('%s', (name, estimator) => {
    const args = run(batch, estimator);
    const golden = batch.advantages[name];
    const tolerance = estimator.whiten === undefined ? TOLERANCE : WHITEN_TOLERANCE;
    expect(deviation(toTokens(batch, args, args.advantages, 0), golden.tokens)).toBeLessThan(tolerance);
    if (golden.clipScale !== null) {
      expect(deviation(toTokens(batch, args, args.clipScale, 1), golden.clipScale)).toBeLessThan(TOLERANCE);
    }
  });

  test('a prompt of constant outcomes gets exactly 0', () => {
    for (const name of ['grpo', 'dr-grpo', 'rloo', 'opo']) {
      const args = run(batch, estimators[name]);
      const ofGroup2 = args.advantages.filter((_, k) => batch.groups[args.turns.trajectory[k]] === 2);
      expect(ofGroup2.length).toBeGreaterThan(0);
      expect(ofGroup2.every((advantage) => advantage === 0)).toBe(true);
    }
  });

  test('gamma and alpha change the result, so that a setting without effect cannot pass', () => {
    const { tokens } = batch.advantages['a2tgpo.turn-group-v1d.gamma0.9'];
    for (const other of [a2tgpo(batch, 'turn-group-v1d', 1, 0.5), a2tgpo(batch, 'turn-group-v1d', 0.9, 0.3)]) {
      const args = run(batch, other);
      expect(deviation(toTokens(batch, args, args.advantages, 0), tokens)).toBeGreaterThan(1e-3);
    }
  });
});
