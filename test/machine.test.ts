/** What the library says of the machine, its settings, devices that are not there, and arrays beyond 2^32 bytes and elements. */
import { afterAll, describe, expect, test } from 'vitest';
import {
  a2tgpo,
  BackendError,
  configure,
  gatherLogProbsSync,
  info,
  policyLoss,
  policyLossSync,
  Tensor,
} from '../lib/index.js';
import { thrownBy } from './support/errors.js';
import { expectSameBits } from './support/numbers.js';
import { fromLogits, sample, signals } from './support/sample.js';

const initial = info();
afterAll(() => configure({ threads: initial.threads!, simd: initial.simd!.target }));

describe('info and configure', () => {
  test('says what host inputs run on', () => {
    expect(initial.backend).toBe('cpu');
    expect(initial.nativeUnavailable).toBeNull();
    expect(initial.simd?.supported).toContain(initial.simd?.target);
    expect(initial.simd?.supported).toContain('baseline');
    expect(initial.threads).toBeGreaterThanOrEqual(1);
    expect(initial.threads).toBeLessThanOrEqual(8);
  });

  test('sets threads and target', () => {
    configure({ threads: 3, simd: 'baseline' });
    expect(info()).toMatchObject({ threads: 3, simd: { target: 'baseline' } });
    configure({});
    expect(info()).toMatchObject({ threads: 3, simd: { target: 'baseline' } });
  });

  test('a wrong setting changes none', () => {
    configure({ threads: 2 });
    thrownBy(() => configure({ threads: 5, simd: 'mmx' }));
    expect(info().threads).toBe(2);
  });

  test('auto is the CPU for host inputs', () => {
    const from = sample();
    const batch = { ...fromLogits(from), ...signals(from) };
    const loss = (device?: 'auto' | 'cpu') => policyLossSync(batch, a2tgpo(), device ? { device } : {});
    expect(loss().metrics.backend).toBe('cpu');
    expect(loss('auto').loss).toBe(loss('cpu').loss);
  });
});

describe.skipIf(initial.cuda.available)('without CUDA', () => {
  const from = sample();
  const unavailable = { code: 'ERR_BACKEND_UNAVAILABLE', device: 'cuda', name: 'BackendError' };

  test('info says why', () => {
    expect(initial.cuda.reason).toBeTruthy();
  });

  test('asking for it throws the reason, and nothing else stands in', async () => {
    const batch = { ...fromLogits(from), ...signals(from) };
    const error = thrownBy(() => policyLossSync(batch, a2tgpo(), { device: 'cuda' }));
    expect(error).toBeInstanceOf(BackendError);
    expect(error).toMatchObject(unavailable);
    expect((error as Error).message).toContain(initial.cuda.reason);
    await expect(policyLoss(batch, a2tgpo(), { device: 'cuda' })).rejects.toMatchObject(unavailable);
  });

  test('a tensor cannot be there, and cannot go there', async () => {
    expect(thrownBy(() => Tensor.alloc([2], 'f32', 'cuda'))).toMatchObject(unavailable);
    const here = Tensor.alloc([2], 'f32');
    await expect(here.to('cuda')).rejects.toMatchObject(unavailable);
    expect(await here.toHost()).toBe(here);
  });
});

/** 16 GiB that the system commits only where it is written: rows on both sides of 2^31 elements, and the last one. */
test('rows beyond 2^31 elements and 2^32 bytes', { timeout: 60_000 }, () => {
  const width = 2 ** 20;
  const count = 2 ** 12;
  const logits = new Float32Array(count * width);
  const actionMask = new Uint8Array(count);
  const targets = new Int32Array(count);
  for (const [n, row] of [0, 1023, 1024, 2047, 2048, count - 1].entries()) {
    actionMask[row] = 1;
    targets[row] = 1000 * n;
    logits[row * width + 1000 * n] = n + 1;
    logits[row * width + width - 1] = 2 * n;
  }
  const whole = gatherLogProbsSync({ logits, targets, actionMask }, { device: 'cpu' });
  for (const row of targets.keys()) {
    if (actionMask[row] === 0) continue;
    const alone = { logits: logits.slice(row * width, (row + 1) * width), targets: [targets[row]] };
    const expected = gatherLogProbsSync(alone, { device: 'cpu' });
    for (const name of ['logProbs', 'logSumExp', 'entropy'] as const) {
      expectSameBits(whole[name].slice(row, row + 1), expected[name], `${name} of row ${row}`);
    }
  }
});
