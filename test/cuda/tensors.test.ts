/** Tensors on a GPU: made, filled, read, given back; in use while they are given back; and where there is no memory. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { gatherLogProbs, info, Tensor, tensor } from '../../lib/index.js';
import { CONSTRUCTORS, DTYPES, type DType } from '../../lib/tensor/dtype.js';
import { expectInvalid, expectInvalidAsync } from '../support/errors.js';
import { expectSameBits } from '../support/numbers.js';
import { describeCuda, disposeAll, elements, taken, upload } from '../support/on_device.js';

const any = (value: unknown) => value as never;

function bytesOf(dtype: DType, length: number) {
  const array = new CONSTRUCTORS[dtype](length);
  new Uint8Array(array.buffer).forEach((_, i, bytes) => {
    bytes[i] = (i * 37 + 11) & 0xff;
  });
  return array;
}

describeCuda('memory', () => {
  test.each(DTYPES)('%s: zeroed, there and back, blocking and not', async (dtype) => {
    const zeros = Tensor.alloc([3, 5], dtype, 'cuda');
    expect(zeros).toMatchObject({ dtype, device: 'cuda', shape: [3, 5], size: 15, disposed: false });
    expectSameBits(zeros.toHostSync().data, new CONSTRUCTORS[dtype](15), 'zeros');
    for (const length of [0, 1, 13, 70_001]) {
      const host = bytesOf(dtype, length);
      const there = tensor(host as never, [length], dtype).toSync('cuda');
      const later = await tensor(host as never, [length], dtype).to('cuda');
      expectSameBits(there.toHostSync().data, host, 'blocking');
      expectSameBits((await later.toHost()).data, host, 'asynchronous');
      disposeAll(there, later);
    }
    zeros.dispose();
  });

  test('a tensor that is there already is itself', async () => {
    const there = upload(Float32Array.of(1, 2), 'f32');
    expect(there.toSync('cuda')).toBe(there);
    expect(await there.to('cuda')).toBe(there);
    const here = tensor(Float32Array.of(1), [1]);
    expect(here.toHostSync()).toBe(here);
    there.dispose();
  });

  test('a borrowed array may be taken away while it is copied', async () => {
    const data = Float32Array.from({ length: 5000 }, (_, i) => i);
    const expected = data.slice();
    const copying = tensor(data, [5000]).to('cuda');
    structuredClone(data.buffer, { transfer: [data.buffer] });
    const there = await copying;
    expectSameBits(there.toHostSync().data, expected, 'copied');
    there.dispose();
  });

  test('many copies at once', async () => {
    const arrays = Array.from({ length: 12 }, (_, i) => Float64Array.from({ length: 3000 + i }, (_, n) => n * i));
    const there = await Promise.all(arrays.map((array) => tensor(array, [array.length]).to('cuda')));
    const back = await Promise.all(there.map((one) => one.toHost()));
    for (const [i, { data }] of back.entries()) expectSameBits(data, arrays[i], `array ${i}`);
    disposeAll(there);
  });

  test('disposed of twice, by `using`, and used afterwards', async () => {
    const before = taken();
    const gone = Tensor.alloc([1 << 20], 'f32', 'cuda');
    expect(taken() - before).toBeGreaterThanOrEqual(4 << 20);
    gone.dispose();
    gone.dispose();
    {
      using scoped = Tensor.alloc([1 << 20], 'f32', 'cuda');
      expect(scoped.disposed).toBe(false);
    }
    expect(taken()).toBe(before);
    expect(gone).toMatchObject({ disposed: true, size: 1 << 20, device: 'cuda' });
    const error = { code: 'ERR_DISPOSED', path: 'tensor' } as const;
    expectInvalid(() => gone.toHostSync(), error);
    expectInvalid(() => gone.toSync('cpu'), error);
    expectInvalid(() => (gone as unknown as Tensor).data, error);
    await expectInvalidAsync(gone.toHost(), error);
    await expectInvalidAsync(gone.to('cpu'), error);
  });

  test('disposed of while a copy and a call run: they finish on what was there', async () => {
    const data = Float32Array.from({ length: 400_000 }, (_, i) => i % 977);
    const there = upload(data, 'f32');
    const copying = there.toHost();
    there.dispose();
    expectSameBits((await copying).data, data, 'copied');

    const logits = upload(
      Float32Array.from({ length: 64 * 50 }, (_, i) => (i % 7) / 3),
      'f32',
      [64, 50],
    );
    const targets = upload(new Int32Array(64), 'int32');
    const running = gatherLogProbs({ logits, targets });
    disposeAll(logits, targets);
    const result = await running;
    expect(elements(result.logProbs).every((x) => x < 0 && x > -6)).toBe(true);
    disposeAll(result);
  });

  test('a forgotten tensor gives its memory back when it is collected', async () => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const before = taken();
    for (let i = 0; i < 8; i++) Tensor.alloc([1 << 18], 'f32', 'cuda');
    for (let i = 0; i < 50 && taken() > before; i++) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(taken()).toBe(before);
  });

  test('no elements of it in host memory', () => {
    const there = Tensor.alloc([2], 'f32', 'cuda');
    expectInvalid(() => (there as unknown as Tensor).data, {
      code: 'ERR_DEVICE',
      path: 'tensor',
      expected: 'a tensor on cpu',
    });
    there.dispose();
  });

  test("somebody else's address", () => {
    const alloc = (address: bigint) => () => Tensor.fromPointer(address, [4], 'f32');
    expectInvalid(alloc(0n), { code: 'ERR_RANGE', path: 'address', expected: '16 bytes of device memory' });
    expectInvalid(alloc(2n), { code: 'ERR_RANGE', path: 'address', expected: 'an address that is a multiple of 4' });
    expectInvalid(alloc(4096n), { code: 'ERR_RANGE', path: 'address', received: '0x1000' });
    expectInvalid(alloc(any(4096)), { code: 'ERR_TYPE', path: 'address', expected: 'an address as a bigint' });
  });
});

describeCuda('info()', () => {
  test('says what there is', () => {
    const { cuda } = info();
    expect(cuda.reason).toBeNull();
    expect(cuda.device).toMatch(/./);
    expect(cuda.memory!.total).toBeGreaterThanOrEqual(cuda.memory!.free);
  });
});
