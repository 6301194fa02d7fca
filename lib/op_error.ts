import { BackendError } from './errors.js';
import type { Status } from './ops.js';

/** A status that checked input cannot lead to, or memory that is not there. */
export function opError(op: string, { code, position }: Status, device: string): BackendError {
  if (code === 'out-of-memory') {
    return new BackendError(`${op}: out of memory`, { code: 'ERR_OUT_OF_MEMORY', device, op });
  }
  const message = `${op} ended with ${code} at ${position}; this is a defect of turnwise`;
  return new BackendError(message, { code: 'ERR_INTERNAL', device, op });
}
