/** No memory on the device: a BackendError from wherever it is met, and nothing is left behind. */
import '../support/small_device.js';

import { expect, test } from 'vitest';
import { BackendError, info, policyLossSync, Tensor } from '../../lib/index.js';
import { thrownBy } from '../support/errors.js';
import { ESTIMATORS } from '../support/estimators.js';
import { describeCuda, disposeAll, taken, upload, uploaded } from '../support/on_device.js';
import { fromLogits, sample, signals } from '../support/sample.js';

describeCuda('out of memory', () => {
  test('of one tensor: a BackendError, and the device goes on working', async () => {
    const before = taken();
    const huge = [2 ** 45];
    for (let i = 0; i < 3; i++) {
      const error = thrownBy(() => Tensor.alloc(huge, 'f32', 'cuda'));
      expect(error).toBeInstanceOf(BackendError);
      expect(error).toMatchObject({ code: 'ERR_OUT_OF_MEMORY', device: 'cuda', op: 'Tensor.alloc' });
    }
    expect(taken()).toBe(before);
    const there = upload(Float32Array.of(7), 'f32');
    expect([...there.toHostSync().data]).toEqual([7]);
    there.dispose();
  });

  // A real device has too much memory to be filled, and gives it out in large pieces.
  test.runIf(info().cuda.device?.startsWith('Emulated'))('of a call, wherever it is met', () => {
    const from = sample({ seed: 5 });
    const batch = uploaded({ ...fromLogits(from), ...signals(from) }, ['targets', 'oldLogProbs']);
    const logits = upload(from.logits, 'f32', [from.tokens, from.width]);
    const run = () => policyLossSync({ ...batch, logits } as never, ESTIMATORS.a2tgpo);
    disposeAll(run());
    const before = taken();
    let failures = 0;
    let successes = 0;
    for (let room = 0; successes < 3; room += Math.max(512, room >> 3)) {
      using _ = Tensor.alloc([info().cuda.memory!.free - room], 'u8', 'cuda');
      const filled = taken();
      try {
        disposeAll(run());
        successes++;
      } catch (error) {
        expect(error).toMatchObject({ name: 'BackendError', code: 'ERR_OUT_OF_MEMORY', device: 'cuda' });
        failures++;
        // Less where the runtime gave its own workspace back as well.
        expect(taken(), `with ${room} bytes of room`).toBeLessThanOrEqual(filled);
      }
    }
    expect(failures).toBeGreaterThan(2);
    disposeAll(run());
    expect(taken()).toBeLessThanOrEqual(before);
    disposeAll(batch, logits);
  });
});
