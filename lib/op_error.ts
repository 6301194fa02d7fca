import { loadCuda } from './backend/native.js';
import { BackendError } from './errors.js';
import type { Status } from './ops.js';

/** A status that checked input cannot lead to, memory that is not there, or a device that failed. */
export function opError(op: string, { code, position }: Status, device: string): BackendError {
  switch (code) {
    case 'out-of-memory':
      return new BackendError(`${op}: out of memory on ${device}`, { code: 'ERR_OUT_OF_MEMORY', device, op });
    case 'device-error':
      return new BackendError(`${op}: ${cudaError(position)}`, { code: 'ERR_CUDA', device, op });
    case 'device-lost': {
      const message = `${op}: the device's context is lost since ${cudaError(position)}; nothing computes on it any more in this process`;
      return new BackendError(message, { code: 'ERR_CUDA', device, op });
    }
    default: {
      const message = `${op} ended with ${code} at ${position}; this is a defect of turnwise`;
      return new BackendError(message, { code: 'ERR_INTERNAL', device, op });
    }
  }
}

function cudaError(number: number): string {
  const cuda = loadCuda();
  return `CUDA error ${number}${typeof cuda === 'string' ? '' : ` (${cuda.memory.errorName(number)})`}`;
}
