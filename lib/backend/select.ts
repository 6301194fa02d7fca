import { alternatives, describe } from '../check/describe.js';
import { BackendError, InvalidInputError } from '../errors.js';
import type { Backend } from '../ops.js';
import { reference } from '../reference/backend.js';
import { loadNative, nativeFailure } from './native.js';

/** 'auto': where the inputs are. 'reference': the float64 TypeScript specification, slow and readable. */
export type Device = 'auto' | 'cpu' | 'cuda' | 'reference';

const DEVICES: readonly Device[] = ['auto', 'cpu', 'cuda', 'reference'];

let warned = false;

/** The backend for a call; never a silent stand-in for a device that was asked for by name. */
export function selectBackend(device: unknown = 'auto'): Backend {
  if (!(DEVICES as readonly unknown[]).includes(device)) {
    const expected = alternatives(DEVICES);
    throw new InvalidInputError({ code: 'ERR_RANGE', path: 'device', expected, received: describe(device) });
  }
  if (device === 'reference') return reference;
  const native = loadNative();
  if (device === 'cuda') {
    if (native?.backends.cuda) return { name: 'cuda', ...native.backends.cuda };
    throw unavailable('cuda', native ? (native.cudaUnavailable ?? 'unknown') : nativeFailure());
  }
  if (native) return { name: 'cpu', ...native.backends.cpu };
  if (device === 'cpu') throw unavailable('cpu', nativeFailure());
  if (!warned) {
    warned = true;
    process.emitWarning(`no native binary, running the slow TypeScript reference. ${nativeFailure()}`, {
      type: 'TurnwiseWarning',
      code: 'TURNWISE_REFERENCE_BACKEND',
    });
  }
  return reference;
}

function unavailable(device: string, reason: string): BackendError {
  const message = `device "${device}" is not available: ${reason}`;
  return new BackendError(message, { code: 'ERR_BACKEND_UNAVAILABLE', device, op: 'select' });
}
