/** Element types and the typed arrays that carry them. bf16 and f16 have no typed array of their own (Float16Array comes after Node 20): their bits travel in a Uint16Array, and the dtype says which of the two they are. */
export interface TypedArrayOf {
  f32: Float32Array;
  bf16: Uint16Array;
  f16: Uint16Array;
  f64: Float64Array;
  int32: Int32Array;
  u8: Uint8Array;
}

export type DType = keyof TypedArrayOf;

export type FloatDType = 'f32' | 'bf16' | 'f16';

type Constructor<D extends DType> = {
  new (length: number): TypedArrayOf[D];
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): TypedArrayOf[D];
  readonly BYTES_PER_ELEMENT: number;
};

export const CONSTRUCTORS: { readonly [D in DType]: Constructor<D> } = {
  f32: Float32Array,
  bf16: Uint16Array,
  f16: Uint16Array,
  f64: Float64Array,
  int32: Int32Array,
  u8: Uint8Array,
};

export const DTYPES = Object.keys(CONSTRUCTORS) as readonly DType[];

/** Typed arrays that carry one dtype only: all but Uint16Array. */
export type ImplyingArray = Float32Array | Float64Array | Int32Array | Uint8Array;

export type DTypeOf<A extends ImplyingArray> = A extends Float32Array
  ? 'f32'
  : A extends Float64Array
    ? 'f64'
    : A extends Int32Array
      ? 'int32'
      : 'u8';

/** The dtype that a typed array implies; a Uint16Array implies none. */
export function impliedDType(data: unknown): DType | undefined {
  if (data instanceof Uint16Array) return undefined;
  return DTYPES.find((dtype) => data instanceof CONSTRUCTORS[dtype]);
}
