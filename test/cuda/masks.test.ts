/** Masks and credit on a device: what a host array would be refused for is refused there, before anything is computed. */
import { expect, test } from 'vitest';
import { gatherLogProbsSync, gspo, policyLossSync, type segmentTurns } from '../../lib/index.js';
import { expectInvalid } from '../support/errors.js';
import { ESTIMATORS } from '../support/estimators.js';
import { describeCuda, upload } from '../support/on_device.js';
import { fromLogits, sample, signals } from '../support/sample.js';

const from = sample({ seed: 77 });
const run = policyLossSync as unknown as (batch: object, estimator: unknown) => { loss: number };
const logits = () => upload(from.logits, 'f32', [from.tokens, from.width]);
const batch = () => ({ ...fromLogits(from), ...signals(from), logits: logits() });
const first = from.actionMask.indexOf(1);

describeCuda('masks and credit on the device', () => {
  test('a mask of 0 and 255', () => {
    const actionMask = upload(
      from.actionMask.map((one) => 255 * one),
      'u8',
    );
    const expected = { code: 'ERR_RANGE', path: `actionMask[${first}]`, expected: '0 or 1', received: '255' } as const;
    expectInvalid(() => run({ ...batch(), actionMask }, ESTIMATORS.a2tgpo), expected);
    const { targets } = fromLogits(from) as { targets: Int32Array };
    expectInvalid(() => gatherLogProbsSync({ logits: logits(), targets, actionMask } as never), expected);
  });

  test('a mask whose ones lie elsewhere than those of the turns, as many of them', () => {
    const mask = from.actionMask.slice();
    const other = mask.findIndex((one, n) => one === 0 && n > first);
    expect(other).toBeGreaterThan(first);
    mask[first] = 0;
    mask[other] = 1;
    const wrong = { ...batch(), actionMask: upload(mask, 'u8') };
    expectInvalid(() => run(wrong, ESTIMATORS.a2tgpo), { code: 'ERR_TURNS', path: 'turns.tokens[0]' });
  });

  test('a clip scale that is not a number', () => {
    const { turns, actionMask, targets, oldLogProbs } = batch() as never as Record<string, never> & {
      turns: ReturnType<typeof segmentTurns>;
    };
    const advantages = Float64Array.from({ length: turns.count }, (_, k) => k - 1);
    const clipScale = new Float64Array(turns.count).fill(1);
    clipScale[1] = Number.NaN;
    const given = { logits: logits(), turns, actionMask, targets, oldLogProbs, advantages };
    const expected = { code: 'ERR_NON_FINITE', path: 'clipScale[1]' } as const;
    expectInvalid(() => run({ ...given, clipScale: upload(clipScale, 'f64') }, ESTIMATORS.a2tgpo), expected);
  });

  test('trajectories as turns: an empty one is one too', () => {
    const vocabulary = 5;
    const values = Float32Array.from({ length: 5 * vocabulary }, (_, i) => Math.sin(i));
    const common = {
      targets: Int32Array.of(0, 1, 2, 3, 4),
      oldLogProbs: new Float32Array(5).fill(-1.5),
      trajectoryOffsets: Int32Array.of(0, 2, 2, 4, 5),
      advantages: [1, 5, -1, 0.5],
    };
    const mask = Uint8Array.of(1, 1, 0, 1, 1);
    const there = { ...common, logits: upload(values, 'f32', [5, vocabulary]), actionMask: upload(mask, 'u8') };
    const here = { ...common, logits: values, actionMask: mask };
    expect(run(there, gspo()).loss).toBeCloseTo(run(here, gspo()).loss, 6);
  });
});
