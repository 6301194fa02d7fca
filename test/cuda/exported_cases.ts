/**
 * Cases of the table as bytes for test/cuda/run_cases.cpp, by the add-on's own schema: every field in the order of native/ops.h.
 *
 *   case    op name, title (u32 length, UTF-8), status code (u32), position (i32), the op's record
 *   record  field after field:  number, boolean  f64        enum      u32
 *           array   u32 id, 0 = absent; at an id's first appearance u32 bytes and the bytes
 *           matrix  u32 dtype, u32 width, array      record or null  u32 0 or 1, record      list  u32 length, records
 */
import { loadNative, type NativeSchema } from '../../lib/backend/native.js';
import type { OpName, Status } from '../../lib/ops.js';
import { CASES } from '../cases/index.js';
import type { ArgsOf, OpCase } from '../cases/op_case.js';

type Fields = Readonly<Record<string, unknown>>;

const OK: Status = { code: 'ok', position: -1 };

export function allCases(): OpCase[] {
  return Object.values(CASES).flatMap((cases) => cases as readonly OpCase[]);
}

/** The same elements; an empty array is only itself. */
function sameMemory(a: ArrayBufferView, b: ArrayBufferView): boolean {
  return a.buffer === b.buffer && a.byteOffset === b.byteOffset && a.byteLength === b.byteLength;
}

export class CaseWriter {
  #parts: Buffer[] = [];
  #arrays: ArrayBufferView[] = [];
  constructor(readonly schema: NativeSchema) {}

  /** The arrays of the case by id - 1. */
  case(opCase: OpCase, args: ArgsOf<OpName>): readonly ArrayBufferView[] {
    const { code, position } = opCase.status ?? OK;
    this.#arrays = [];
    this.#text(opCase.op);
    this.#text(opCase.title);
    this.#u32(this.schema.enums.StatusCode.indexOf(code));
    this.#i32(position);
    this.#record(args as unknown as Fields, this.schema.ops[opCase.op]);
    return this.#arrays;
  }

  /** Of the cases since the last call. */
  takeBytes(): Buffer {
    const bytes = Buffer.concat(this.#parts);
    this.#parts = [];
    return bytes;
  }

  #record(value: Fields, record: string): void {
    for (const [name, type] of Object.entries(this.schema.records[record])) this.#field(value[name], type);
  }

  #field(value: unknown, type: string): void {
    const inner = /^(?:Maybe|List)<(\w+)/.exec(type)?.[1];
    if (/^(double|int32_t|bool)$/.test(type)) {
      this.#f64(Number(value));
    } else if (type.startsWith('View<')) {
      this.#array(value as ArrayBufferView | null);
    } else if (/^(Const)?Rows$/.test(type)) {
      const { data, dtype, width } = value as { data: ArrayBufferView; dtype: string; width: number };
      this.#u32(['f32', 'bf16', 'f16'].indexOf(dtype));
      this.#u32(width);
      this.#array(data);
    } else if (type in this.schema.enums) {
      this.#u32(this.schema.enums[type].indexOf(value as string));
    } else if (Array.isArray(value)) {
      this.#u32(value.length);
      for (const item of value) this.#record(item as Fields, inner ?? type);
    } else if (inner !== undefined) {
      this.#u32(value === null ? 0 : 1);
      if (value !== null) this.#record(value as Fields, inner);
    } else {
      this.#record(value as Fields, type);
    }
  }

  #array(array: ArrayBufferView | null): void {
    const known = this.#arrays.findIndex((other) => array !== null && sameMemory(other, array));
    if (array === null || known >= 0) {
      this.#u32(known + 1);
      return;
    }
    this.#u32(this.#arrays.push(array));
    this.#u32(array.byteLength);
    this.#parts.push(Buffer.from(array.buffer, array.byteOffset, array.byteLength));
  }

  #text(text: string): void {
    const bytes = Buffer.from(text);
    this.#u32(bytes.length);
    this.#parts.push(bytes);
  }
  #u32(value: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    this.#parts.push(bytes);
  }
  #i32(value: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value);
    this.#parts.push(bytes);
  }
  #f64(value: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
    this.#parts.push(bytes);
  }
}

export function loadSchema(): NativeSchema {
  const native = loadNative();
  if (native === null) throw new Error('the native add-on is not built');
  return native.schema;
}

/** The cases that `wanted` picks. */
export function exportCases(wanted: (opCase: OpCase) => boolean): Buffer {
  const writer = new CaseWriter(loadSchema());
  for (const opCase of allCases()) {
    if (wanted(opCase)) writer.case(opCase, opCase.make());
  }
  return writer.takeBytes();
}
