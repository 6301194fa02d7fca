/** How ops report: a value, never an exception. */
import type { Status, StatusCode } from '../../ops.js';

export const OK: Status = Object.freeze({ code: 'ok', position: -1 });

/** A buffer's size does not fit the others, or an offset would lead outside a buffer. */
export const INVALID: Status = Object.freeze({ code: 'invalid-argument', position: -1 });

export function failed(code: StatusCode, position: number): Status {
  return { code, position };
}
