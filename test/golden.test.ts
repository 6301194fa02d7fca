/** Golden vectors (test/golden/README.md) through the public API: turns, advantages, clip scales, losses and gradients. */
import { describe, expect, test } from 'vitest';
import {
  type A2tgpoOptions,
  a2tgpo,
  type Credit,
  type Estimator,
  type EstimatorInput,
  estimateAdvantages,
  estimator,
  grpo,
  policyLossSync,
  segmentTurns,
  type Turns,
} from '../lib/index.js';
import { GOLDEN_SEEDS, type GoldenBatch, type GoldenLoss, type LossOptions, loadGolden } from './golden/load.js';
import { DEVICES } from './support/backends.js';
import { deviation } from './support/numbers.js';

/** 13 digits: half a unit of the 13th is 5e-13 of the scale at worst. */
const TOLERANCE = 1e-12;
/** grad.logProbs is float32: half a unit of 2^-24 of each element, and TOLERANCE before it. */
const GRADIENT_TOLERANCE = 6e-8;

const ADVANTAGES: Record<string, Estimator> = {
  grpo: grpo({ singleton: 'raw' }),
  'dr-grpo': grpo({ scale: 'none', singleton: 'raw' }),
};
for (const mode of ['joint', 'separate', 'turn-group', 'turn-group-v1d'] as const) {
  for (const [gamma, alpha] of [
    [1, 0.3],
    [0.9, 0.5],
  ]) {
    const options: A2tgpoOptions = { mode, gamma, ...(mode === 'turn-group-v1d' ? { alpha } : {}) };
    ADVANTAGES[`a2tgpo.${mode}.gamma${gamma.toFixed(1)}`] = a2tgpo(options);
  }
}

const LEVELS: Record<NonNullable<LossOptions['level']>, NonNullable<EstimatorInput['ratio']>> = {
  token: { level: 'token' },
  turn: { level: 'turn', form: 'true' },
  'turn-sg': { level: 'turn', form: 'straight-through' },
  seq: { level: 'sequence', form: 'true' },
  'seq-sg': { level: 'sequence', form: 'straight-through' },
};

/** The estimator of one golden loss; its advantages are given, so that its channels do not act. */
function lossEstimator({ level = 'token', lo = 0.2, hi = 0.2, dual_c, agg = 'token-mean' }: LossOptions): Estimator {
  return estimator({
    name: 'golden',
    channels: grpo().channels,
    ratio: LEVELS[level],
    gate: { kind: 'ppo', low: lo, high: hi, dual: dual_c ?? null },
    aggregate: agg as Exclude<Estimator['aggregate'], object>,
  });
}

function spread({ actionMask }: GoldenBatch, turns: Turns, values: Float64Array, outside: number): Float64Array {
  const tokens = new Float64Array(actionMask.length).fill(outside);
  values.forEach((value, k) => {
    for (let n = turns.starts[k]; n < turns.ends[k]; n++) if (actionMask[n] === 1) tokens[n] = value;
  });
  return tokens;
}

describe.each(DEVICES)('%s', (device) => {
  describe.each(GOLDEN_SEEDS)('batch-%i', (seed) => {
    const golden = loadGolden(seed);
    const { trajectoryOffsets, turnIds, actionMask, groups, outcome, informationGain } = golden;
    const turnsOf = () => segmentTurns({ trajectoryOffsets, turnIds, actionMask }, { device });

    function creditOf(name: string, turns: Turns): Credit {
      const needsGain = name.startsWith('a2tgpo');
      const input = { turns, groups, outcome, ...(needsGain ? { informationGain } : {}) };
      return estimateAdvantages(input, ADVANTAGES[name], { device });
    }

    test.each(Object.keys(ADVANTAGES))('advantages of %s', (name) => {
      const turns = turnsOf();
      const credit = creditOf(name, turns);
      const { tokens, clipScale } = golden.advantages[name];
      expect(deviation(spread(golden, turns, credit.advantages, 0), tokens)).toBeLessThan(TOLERANCE);
      if (clipScale === null) expect(credit.clipScale.every((scale) => scale === 1)).toBe(true);
      else expect(deviation(spread(golden, turns, credit.clipScale, 1), clipScale)).toBeLessThan(TOLERANCE);
    });

    test('grpo and each mode of a2tgpo that the file has are tested', () => {
      const inFile = Object.keys(golden.advantages).filter((name) => /^(a2tgpo|grpo$|dr-grpo$)/.test(name));
      expect(Object.keys(ADVANTAGES).sort()).toEqual(inFile.sort());
    });

    function runLoss({ logProbs, options }: GoldenLoss) {
      const clipScale = options.useClipScale ? golden.advantages['a2tgpo.turn-group-v1d.gamma1.0'].clipScale : null;
      const batch = {
        logProbs: golden.logProbs[logProbs],
        oldLogProbs: golden.logProbs.old,
        turns: turnsOf(),
        actionMask,
        trajectoryOffsets,
        advantages: golden.lossAdvantages,
        ...(clipScale ? { clipScale } : {}),
      };
      return policyLossSync(batch, lossEstimator(options), { device });
    }

    const losses = Object.keys(golden.losses).filter((name) => name.startsWith('ppo.') || name.startsWith('a2tgpo'));

    test.each(losses)('loss and gradient of %s', (name) => {
      const expected = golden.losses[name];
      const { loss, grad, metrics } = runLoss(expected);
      const terms = metrics.tokens * Math.max(...expected.dLogProbs.map(Math.abs));
      expect(Math.abs(loss - expected.loss)).toBeLessThan(TOLERANCE * Math.max(terms, Math.abs(expected.loss)));
      expected.dLogProbs.forEach((value, n) => {
        expect(Math.abs(grad.logProbs[n] - value)).toBeLessThanOrEqual(
          GRADIENT_TOLERANCE * Math.abs(value) + terms * 1e-15,
        );
      });
      expect(metrics.clipFraction).toBeCloseTo(expected.clipFraction ?? Number.NaN, 12);
      expect(metrics.backend).toBe(device);
    });

    test('the whole of A²TGPO, from raw signals to the gradient, equals credit first and loss second', () => {
      const turns = turnsOf();
      const a = a2tgpo();
      const tokens = { logProbs: golden.logProbs.near, oldLogProbs: golden.logProbs.old, turns, actionMask };
      const whole = policyLossSync({ ...tokens, groups, outcome, informationGain }, a, { device });
      const credit = creditOf('a2tgpo.turn-group-v1d.gamma1.0', turns);
      const second = policyLossSync({ ...tokens, credit }, a, { device });
      expect(second.loss).toBe(whole.loss);
      expect(second.grad.logProbs).toEqual(whole.grad.logProbs);
      const given = policyLossSync(
        {
          ...tokens,
          advantages: golden.advantages['a2tgpo.turn-group-v1d.gamma1.0'].tokens,
          clipScale: golden.advantages['a2tgpo.turn-group-v1d.gamma1.0'].clipScale!,
        },
        a,
        { device },
      );
      expect(Math.abs(given.loss - whole.loss)).toBeLessThan(TOLERANCE);
    });
  });
});
