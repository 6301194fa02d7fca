/** The four modes of a2tgpo against numbers worked out by hand. */
import { describe, expect, test } from 'vitest';
import { type A2tgpoOptions, a2tgpo, estimateAdvantages, policyLossSync, segmentTurns } from '../../lib/index.js';
import { DEVICES } from '../support/backends.js';

const NONE = Number.NaN;

describe.each(DEVICES)('%s', (device) => {
  /**
   * One prompt, two trajectories of three turns of one token: gains (0.2, 0.5, -) and (0.6, 0.1, -), outcomes 1 and 0.
   * Of two values a > b, N is ±n with n = d / (sqrt(d² + 1e-8) + 1e-6), d = (a - b) / 2.
   */
  const turns = segmentTurns({ trajectoryOffsets: [0, 3, 6], turnIds: [0, 1, 2, 0, 1, 2] }, { device });
  const batch = { turns, groups: [3, 3], outcome: [1, 0], informationGain: [0.2, 0.5, NONE, 0.6, 0.1, NONE] };
  const n = (d: number) => d / (Math.sqrt(d * d + 1e-8) + 1e-6);
  const of = (options: A2tgpoOptions) => estimateAdvantages(batch, a2tgpo(options), { device });
  const outcome = n(0.5);

  test('turn-group-v1d: gains per (prompt, turn), later ones added, divided by the root of their number', () => {
    const { advantages, clipScale, normalizedSignal } = of({ alpha: 0.5, gamma: 1, beta: 0.4 });
    // Trajectory 0: z = (-n(0.2), +n(0.2)); the sum at turn 0 is 0, of 2 terms; at turn 1 n(0.2), of 1.
    const z = n(0.2);
    const expected = [outcome, outcome + 0.5 * z, outcome, -outcome, -outcome - 0.5 * z, -outcome];
    expected.forEach((value, k) => {
      expect(advantages[k]).toBeCloseTo(value, 14);
    });
    expect([...normalizedSignal].map((value) => value.toFixed(9))).toEqual(
      [-z, z, NONE, z, -z, NONE].map((value) => value.toFixed(9)),
    );
    // c = 1 + beta (2 sigmoid(z) - 1), beta tanh(z / 2) away from 1; the last turn has no gain.
    const c = 0.4 * Math.tanh(z / 2);
    [1 - c, 1 + c, 1, 1 + c, 1 - c, 1].forEach((value, k) => {
      expect(clipScale[k]).toBeCloseTo(value, 14);
    });
  });

  test('turn-group-v1d: gamma discounts later turns, alpha weighs them', () => {
    const { advantages } = of({ alpha: 1, gamma: 0.5 });
    // Turn 0 of trajectory 0: (-z + 0.5 z) / sqrt(2).
    expect(advantages[0]).toBeCloseTo(outcome - (0.5 * n(0.2)) / Math.SQRT2, 14);
    expect([...of({ alpha: 0 }).advantages]).toEqual([1, 1, 1, -1, -1, -1].map((sign) => sign * outcome));
  });

  test('separate: gains of the prompt, then the outcome, summed backwards', () => {
    const { advantages, clipScale } = of({ mode: 'separate', gamma: 0.5 });
    // All four gains together: mean 0.35, deviations -0.15, 0.15, 0.25, -0.25, variance 0.0425.
    const sd = Math.sqrt(0.0425 + 1e-8) + 1e-6;
    const expected = [0, 0, outcome, 0, 0, -outcome];
    for (const first of [0, 3]) {
      const sign = first === 0 ? 1 : -1;
      const [x0, x1] = first === 0 ? [-0.15, 0.15] : [0.25, -0.25];
      expected[first + 1] = x1 / sd + 0.5 * sign * outcome;
      expected[first] = x0 / sd + 0.5 * expected[first + 1];
    }
    expected.forEach((value, k) => {
      expect(advantages[k]).toBeCloseTo(value, 14);
    });
    expect([...clipScale]).toEqual([1, 1, 1, 1, 1, 1]);
  });

  test('joint: gains and outcomes of the prompt in one pool', () => {
    const { advantages } = of({ mode: 'joint' });
    // Pool 0.2, 0.5, 1, 0.6, 0.1, 0: mean 0.4, deviations -0.2, 0.1, 0.6, 0.2, -0.3, -0.4; squares sum to 0.7.
    const sd = Math.sqrt(0.7 / 6 + 1e-8) + 1e-6;
    // Suffix sums of the deviations: 0.5, 0.7, 0.6 and -0.5, -0.7, -0.4.
    [0.5, 0.7, 0.6, -0.5, -0.7, -0.4].forEach((sum, k) => {
      expect(advantages[k]).toBeCloseTo(sum / sd, 13);
    });
  });

  test('turn-group: gains scaled to the outcomes, discounted from the outcome, then normalised by turn', () => {
    const { advantages } = of({ mode: 'turn-group', gamma: 1 });
    // std(outcome) = 0.5; std of the four gains = sqrt(0.0425). D of trajectory 0: 0.7 s + 1, 0.5 s + 1; of 1: 0.7 s, 0.1 s.
    const s = 0.5 / Math.sqrt(0.0425);
    const first = n(0.5);
    const second = n((0.4 * s + 1) / 2);
    const inner = 1.5 * outcome;
    [first + inner, second + inner, outcome, -first - inner, -second - inner, -outcome].forEach((value, k) => {
      expect(advantages[k]).toBeCloseTo(value, 13);
    });
  });

  test('a group of one: 0, its raw value, or an error', () => {
    const alone = { ...batch, groups: [3, 4] };
    const [zero, raw] = (['zero', 'raw'] as const).map(
      (singleton) =>
        estimateAdvantages(alone, a2tgpo({ mode: 'separate', gamma: 0, singleton }), { device }).advantages,
    );
    // The gains of one trajectory are a group of two, ±1 around their mean; the outcome is alone.
    expect(zero[2]).toBe(0);
    expect(raw[2]).toBe(1);
  });

  test('the loss of one turn of two tokens: the mean log-ratio, straight through', () => {
    const one = {
      turns: segmentTurns({ trajectoryOffsets: [0, 2], turnIds: [0, 0] }, { device }),
      logProbs: Float32Array.of(-1, -2),
      oldLogProbs: Float32Array.of(-1.5, -2.25),
      advantages: [2],
      clipScale: [0.5],
    };
    // d = 0.5, 0.25: x = 0.375, rho = e^0.375 = 1.454991. clip [.., 1 + 0.4 * 0.5 = 1.2]: f = -2.4 for both, no gradient.
    const clipped = policyLossSync(one, a2tgpo({ clip: [0.4, 0.4] }), { device });
    expect(clipped.loss).toBeCloseTo(-2.4, 14);
    expect([...clipped.grad.logProbs]).toEqual([0, 0]);
    // clip [.., 1 + 1 * 0.5]: f = -2 rho, and -2 rho / 2 for each of the two tokens.
    const open = policyLossSync(one, a2tgpo({ clip: [1, 1] }), { device });
    expect(open.loss).toBeCloseTo(-2 * Math.exp(0.375), 14);
    expect([...open.grad.logProbs]).toEqual([Math.fround(-Math.exp(0.375)), Math.fround(-Math.exp(0.375))]);
  });

  test('defaults of the paper, in the data', () => {
    expect(a2tgpo()).toMatchObject({
      name: 'a2tgpo',
      ratio: { level: 'turn', form: 'straight-through', clamp: { low: null, high: 10 } },
      gate: { kind: 'ppo', low: 3e-3, high: 4e-3, dual: null, adapt: { channel: 0, beta: 0.3 } },
      aggregate: 'token-mean',
    });
    expect(a2tgpo().channels[0]).toMatchObject({
      weight: 0.3,
      then: { gamma: 1, divide: 'sqrt-terms' },
      group: { kind: 'prompt-turn', singleton: 'zero' },
    });
    expect(a2tgpo({ mode: 'joint' }).name).toBe('a2tgpo-joint');
  });
});
