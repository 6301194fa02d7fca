import { type Device, selectBackend } from '../backend/select.js';
import { describe } from '../check/describe.js';
import type { Fields } from '../check/fields.js';
import { InvalidInputError } from '../errors.js';
import type { NonFinite } from '../ops.js';
import type { TensorDevice } from '../tensor/tensor.js';

/** Options of both forms of a call. */
export interface CallOptions<At extends TensorDevice = 'cpu'> {
  /** Default 'auto': where the logits (or log-probs) are. 'cuda' for host arrays copies them there, and the results back. */
  device?: (At extends 'cuda' ? 'auto' | 'cuda' : Device) | undefined;
  /**
   * What a row with NaN, +Infinity, only -Infinity, or a target at -Infinity does. 'throw' (default): the call throws, naming the first such
   * row; in place, the logits are then undefined. 'check-first': the same after one extra read, so that the logits are intact.
   * 'propagate': NaN (or a log-prob of -Infinity) goes into that row's results, counted in metrics.nonFinite.
   */
  nonFinite?: NonFinite | undefined;
}

/** Options of asynchronous calls. */
export interface AsyncOptions {
  /** Stops the call between rows; the promise rejects with the signal's reason. An in-place buffer is then undefined. */
  signal?: AbortSignal | undefined;
}

export const NON_FINITE = ['throw', 'check-first', 'propagate'] as const;

/** @param at where the batch is */
export function readBackend(fields: Fields, at: TensorDevice) {
  return selectBackend(fields.take('device'), at);
}

/** AbortSignal where the call can be stopped; refused where it cannot. */
export function readSignal(fields: Fields, asynchronous: boolean): AbortSignal | null {
  const value = fields.take('signal');
  if (value === undefined) return null;
  if (!asynchronous) {
    const expected = 'no signal: a synchronous call cannot be aborted';
    throw new InvalidInputError({ code: 'ERR_NO_EFFECT', path: 'signal', expected, received: describe(value) });
  }
  if (value instanceof AbortSignal) return value;
  const expected = 'an AbortSignal';
  throw new InvalidInputError({ code: 'ERR_TYPE', path: 'signal', expected, received: describe(value) });
}

/** softmax(logits / temperature), where 1 / temperature is a normal float32. */
export function readTemperature(fields: Fields): number {
  return fields.number('temperature', { min: 1e-38, max: 1e37 }, 1);
}
