/** Advantages and clip scales of the whole A²TGPO family, GRPO and Dr.GRPO against the golden vectors. */
import { describe, expect, test } from 'vitest';
import type { ChannelArgs, TurnStatisticsArgs } from '../../lib/ops.js';
import { GOLDEN_SEEDS, type GoldenBatch, loadGolden } from '../golden/load.js';
import { channel, deviation, ops, segmentArgs, segmented, statisticsArgs } from './fixtures.js';

/** Golden numbers have 13 digits, inputs included: half a unit of the 13th digit is 5e-13 of the scale at worst. */
const TOLERANCE = 1e-12;

type Estimator = Pick<TurnStatisticsArgs, 'channels'> & Partial<TurnStatisticsArgs>;

const normalized: Partial<ChannelArgs> = {
  center: 'mean',
  scale: 'std',
  ddof: 0,
  eps: 1e-6,
  varianceFloor: 1e-8,
  singleton: 'zero',
};

/** The settings of a preset as the paper's release has them; alpha acts in turn-group-v1d only. */
function a2tgpo(mode: string, gamma: number, alpha: number): Estimator {
  const outcome = channel({ ...normalized, signal: 'outcome' });
  switch (mode) {
    case 'joint':
      return { channels: [channel({ ...normalized, signal: 'joined', then: 'discounted', thenGamma: gamma })] };
    case 'separate':
      return {
        channels: [channel({ ...normalized, signal: 'information-gain' }), outcome],
        combine: 'join',
        joinGamma: gamma,
      };
    case 'turn-group':
      return {
        channels: [
          channel({
            ...normalized,
            signal: 'information-gain',
            matchOutcomeStd: true,
            stdFloor: 1e-6,
            accumulate: 'discounted',
            gamma,
            bootstrap: 'outcome',
            group: 'prompt-turn',
          }),
          { ...outcome, weight: 1.5 },
        ],
      };
    case 'turn-group-v1d':
      return {
        channels: [
          channel({
            ...normalized,
            signal: 'information-gain',
            group: 'prompt-turn',
            then: 'discounted',
            thenGamma: gamma,
            thenDivide: 'sqrt-terms',
            weight: alpha,
            lastWeight: alpha,
          }),
          outcome,
        ],
        normalizedChannel: 0,
        clipScaleBeta: 0.3,
      };
    default:
      throw new Error(mode);
  }
}

const grpo = channel({ ...normalized, ddof: 1, varianceFloor: 0, singleton: 'raw' });

const estimators: Record<string, Estimator> = {
  grpo: { channels: [grpo] },
  'dr-grpo': { channels: [{ ...grpo, scale: 'none' }] },
};
for (const mode of ['joint', 'separate', 'turn-group', 'turn-group-v1d']) {
  for (const [gamma, alpha] of [
    [1, 0.3],
    [0.9, 0.5],
  ]) {
    estimators[`a2tgpo.${mode}.gamma${gamma.toFixed(1)}`] = a2tgpo(mode, gamma, alpha);
  }
}

function run(batch: GoldenBatch, estimator: Estimator): TurnStatisticsArgs {
  const { trajectoryOffsets, turnIds, actionMask, groups, outcome, informationGain } = batch;
  const turns = segmented(
    segmentArgs({ by: 'turn-ids', trajectoryOffsets, turnIds, actionMask, room: turnIds.length }),
  );
  const args = statisticsArgs({ turns, groups, outcome, informationGain, ...estimator });
  expect(ops.turnStatistics(args)).toEqual({ code: 'ok', position: -1 });
  return args;
}

/** [K] to [N], `outside` where there is no loss token. */
function toTokens(batch: GoldenBatch, { turns }: TurnStatisticsArgs, values: Float64Array, outside: number) {
  const tokens = new Float64Array(batch.actionMask.length).fill(outside);
  values.forEach((value, k) => {
    for (let n = turns.starts[k]; n < turns.ends[k]; n++) if (batch.actionMask[n] === 1) tokens[n] = value;
  });
  return tokens;
}

describe.each(GOLDEN_SEEDS)('batch-%i', (seed) => {
  const batch = loadGolden(seed);

  test.each(Object.entries(estimators))('%s', (name, estimator) => {
    const args = run(batch, estimator);
    const golden = batch.advantages[name];
    expect(deviation(toTokens(batch, args, args.advantages, 0), golden.tokens)).toBeLessThan(TOLERANCE);
    if (golden.clipScale !== null) {
      expect(deviation(toTokens(batch, args, args.clipScale, 1), golden.clipScale)).toBeLessThan(TOLERANCE);
    }
  });

  test('a prompt of constant outcomes gets exactly 0', () => {
    const args = run(batch, estimators.grpo);
    const ofGroup2 = args.advantages.filter((_, k) => batch.groups[args.turns.trajectory[k]] === 2);
    expect(ofGroup2.length).toBeGreaterThan(0);
    expect(ofGroup2.every((advantage) => advantage === 0)).toBe(true);
  });

  test('gamma and alpha change the result, so that a setting without effect cannot pass', () => {
    const name = 'a2tgpo.turn-group-v1d.gamma0.9';
    for (const other of [a2tgpo('turn-group-v1d', 1, 0.5), a2tgpo('turn-group-v1d', 0.9, 0.3)]) {
      const args = run(batch, other);
      expect(deviation(toTokens(batch, args, args.advantages, 0), batch.advantages[name].tokens)).toBeGreaterThan(1e-3);
    }
  });
});
