/** Wrong tensors and settings. */
import { describe, expect, test } from 'vitest';
import { configure, Tensor, tensor } from '../../lib/index.js';
import { detached, type Row, testErrors } from '../support/error_table.js';

const any = (value: unknown) => value as never;

describe('tensors and settings', () => {
  const alive = Tensor.alloc([2], 'f32');
  const gone = Tensor.alloc([2], 'f32');
  gone.dispose();
  const rows: Row[] = [
    [
      'another dtype',
      () => Tensor.alloc([1], any('f64x')),
      { code: 'ERR_RANGE', path: 'dtype', expected: '"f32", "bf16", "f16", "f64", "int32" or "u8"' },
    ],
    [
      'a shape of one number',
      () => Tensor.alloc(any(3), 'f32'),
      { code: 'ERR_TYPE', path: 'shape', expected: 'an array of extents, as [N, V]', received: '3' },
    ],
    [
      'a negative extent',
      () => Tensor.alloc([2, -1], 'f32'),
      { code: 'ERR_RANGE', path: 'shape[1]', expected: 'an integer of at least 0', received: '-1' },
    ],
    [
      'more elements than integers',
      () => Tensor.alloc([2 ** 40, 2 ** 40], 'f32'),
      { code: 'ERR_RANGE', path: 'shape' },
    ],
    [
      'bits without a dtype',
      () => tensor(any(any(new Uint16Array(2))), [2]),
      { code: 'ERR_TYPE', path: 'dtype', expected: '"bf16" or "f16" for a Uint16Array' },
    ],
    [
      'data without a dtype',
      () => tensor(any([1, 2]), [2]),
      { code: 'ERR_TYPE', path: 'dtype', received: 'an array of 2' },
    ],
    [
      'data of another dtype',
      () => tensor(any(new Float64Array(2)), [2], 'f32'),
      { code: 'ERR_TYPE', path: 'data', expected: 'a Float32Array (dtype f32)' },
    ],
    [
      'data of another length',
      () => tensor(new Float32Array(3), [2]),
      { code: 'ERR_LENGTH', path: 'data', expected: 'length 2 (shape [2])', received: 'length 3' },
    ],
    ['detached data', () => tensor(detached(new Float32Array(2)), [2]), { code: 'ERR_DETACHED', path: 'data' }],
    ['data after dispose', () => gone.data, { code: 'ERR_DISPOSED', path: 'tensor' }],
    [
      '0 threads',
      () => configure({ threads: 0 }),
      { code: 'ERR_RANGE', path: 'threads', expected: 'an integer in [1, 256]' },
    ],
    ['1.5 threads', () => configure({ threads: 1.5 }), { code: 'ERR_RANGE', path: 'threads' }],
    [
      'an unknown SIMD target',
      () => configure({ simd: 'mmx' }),
      { code: 'ERR_RANGE', path: 'simd', received: '"mmx"' },
    ],
    [
      'a misspelled setting',
      () => configure(any({ thread: 2 })),
      { code: 'ERR_UNKNOWN_OPTION', path: 'thread', received: /did you mean "threads"\?/ },
    ],
    ['settings of null', () => configure(any(null)), { code: 'ERR_TYPE', path: 'configuration' }],
  ];
  testErrors(rows);

  test('dispose twice, and disposal by `using`', () => {
    gone.dispose();
    expect(gone.disposed).toBe(true);
    expect(alive.disposed).toBe(false);
    alive[Symbol.dispose]();
    expect(alive.disposed).toBe(true);
  });
});
