import { alternatives, describe } from '../check/describe.js';
import { BackendError, InvalidInputError } from '../errors.js';
import type { Backend } from '../ops.js';
import { reference } from '../reference/backend.js';
import { loadCuda, loadNative, type NativeDevice, nativeFailure } from './native.js';

/** 'auto': where the inputs are. 'reference': the float64 TypeScript specification, slow and readable. */
export type Device = 'auto' | 'cpu' | 'cuda' | 'reference';

const DEVICES: readonly Device[] = ['auto', 'cpu', 'cuda', 'reference'];

let warned = false;

/**
 * The backend for a call; never a silent stand-in for a device that was asked for by name.
 *
 * @param at where the inputs are: a device's own run on it alone
 */
export function selectBackend(device: unknown = 'auto', at: 'cpu' | 'cuda' = 'cpu'): Backend {
  if (!(DEVICES as readonly unknown[]).includes(device)) {
    const expected = alternatives(DEVICES);
    throw new InvalidInputError({ code: 'ERR_RANGE', path: 'device', expected, received: describe(device) });
  }
  if (at === 'cuda' && device !== 'auto' && device !== 'cuda') {
    const expected = '"cuda" or "auto": the batch is there (await tensor.toHost())';
    throw new InvalidInputError({ code: 'ERR_DEVICE', path: 'device', expected, received: describe(device) });
  }
  if (device === 'reference') return reference;
  if (device === 'cuda' || at === 'cuda') {
    const { ops, async } = requireCuda('select');
    return { name: 'cuda', ops, async };
  }
  const native = loadNative();
  if (native) return { name: 'cpu', ...native.backends.cpu };
  if (device === 'cpu') throw unavailable('cpu', nativeFailure(), 'select');
  if (!warned) {
    warned = true;
    process.emitWarning(`no native binary, running the slow TypeScript reference. ${nativeFailure()}`, {
      type: 'TurnwiseWarning',
      code: 'TURNWISE_REFERENCE_BACKEND',
    });
  }
  return reference;
}

/** @throws BackendError ERR_BACKEND_UNAVAILABLE that says why */
export function requireCuda(op: string): NativeDevice {
  const cuda = loadCuda();
  if (typeof cuda === 'string') throw unavailable('cuda', cuda, op);
  return cuda;
}

function unavailable(device: string, reason: string, op: string): BackendError {
  const message = `device "${device}" is not available: ${reason}`;
  return new BackendError(message, { code: 'ERR_BACKEND_UNAVAILABLE', device, op });
}
