/**
 * Memory that an asynchronous call may work on while JavaScript runs on: nobody can take it away under the call.
 *
 * It is native memory in an external ArrayBuffer, which the add-on counts (a buffer that is transferred or disposed of during
 * a call lives until the call is done). Where the host forbids such buffers (Electron), where one is too large for them, or
 * without the add-on, it is a SharedArrayBuffer, which cannot be detached.
 */
import { constants } from 'node:buffer';

import { loadNative } from '../backend/native.js';
import { BackendError } from '../errors.js';

/** Zeroed memory. Throws BackendError ERR_OUT_OF_MEMORY. */
export function allocate(bytes: number): ArrayBuffer | SharedArrayBuffer {
  try {
    // Node makes external buffers through Buffer, with Buffer's limit: 4 GiB before Node 22.
    const external = bytes <= constants.MAX_LENGTH ? loadNative()?.memory.allocate(bytes) : null;
    return external ?? new SharedArrayBuffer(bytes);
  } catch (cause) {
    const message = `cannot allocate ${bytes} bytes`;
    throw new BackendError(message, { code: 'ERR_OUT_OF_MEMORY', device: 'cpu', op: 'Tensor.alloc', cause });
  }
}

/** Whether all of the view lies in native memory of `allocate`. */
export function owns(view: ArrayBufferView): boolean {
  return loadNative()?.memory.owns(view) ?? false;
}

/** Whether an asynchronous call may keep a pointer into this array: nobody can take the memory away while it runs. */
export function isPinned(array: ArrayBufferView): boolean {
  return array.byteLength === 0 || array.buffer instanceof SharedArrayBuffer || owns(array);
}

/** Gives memory of `allocate` back now and empties its views. A SharedArrayBuffer stays until it is collected. */
export function release(buffer: ArrayBuffer | SharedArrayBuffer): void {
  loadNative()?.memory.release(buffer);
}
