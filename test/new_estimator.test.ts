/** The worked example of a method of one's own, against numbers worked out by hand. */
import { describe, expect, test } from 'vitest';
import { batch, progress, squashed } from '../examples/new_estimator.js';
import { estimateAdvantages, estimator } from '../lib/index.js';
import { DEVICES } from './support/backends.js';

describe.each(DEVICES)('progress (%s)', (device) => {
  test('credit by hand', () => {
    const { advantages } = estimateAdvantages(batch, progress(), { device });
    // G = (0.5 + 0.5 * 1, 1) and (0, 0); of two, "less the mean of the others" is the difference: ±1 at both turns.
    // Outcomes 1 and 0: mean 0.5, sample deviation sqrt(0.5), z = ±0.5 / (0.7071... + 1e-6), weight 0.5.
    const outcome = (0.5 * 0.5) / (Math.SQRT1_2 + 1e-6);
    const expected = [1 + outcome, 1 + outcome, -1 - outcome, -1 - outcome];
    for (const [k, advantage] of advantages.entries()) expect(advantage).toBeCloseTo(expected[k], 14);
  });

  test('squashed by a function, and the record says so', () => {
    const plain = estimateAdvantages(batch, progress(), { device }).advantages;
    const credit = estimateAdvantages(batch, progress(), { device, advantage: squashed });
    expect(credit.advantages).toEqual(plain.map(Math.tanh));
    expect(credit.estimator.custom).toEqual(['advantage']);
    expect(() => estimator(JSON.parse(JSON.stringify(credit.estimator)))).toThrow(/functions advantage/);
  });
});
