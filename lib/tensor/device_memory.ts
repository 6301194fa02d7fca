/** Device memory of tensors: allocation and copies, with statuses made into errors. */
import type { DeviceBlock, NativeDeviceMemory } from '../backend/native.js';
import { requireCuda } from '../backend/select.js';
import { opError } from '../op_error.js';
import type { Status } from '../ops.js';

function memory(op: string): NativeDeviceMemory {
  return requireCuda(op).memory;
}

function check(status: Status, op: string): void {
  if (status.code !== 'ok') throw opError(op, status, 'cuda');
}

/** Zeroed, unless the caller writes all of it before anybody reads it. */
export function allocateOnDevice(bytes: number, zeroed = true): DeviceBlock {
  const { block, ...status } = memory('Tensor.alloc').allocate(bytes, zeroed);
  check(status, 'Tensor.alloc');
  return block!;
}

/** Null where that is not memory of the device. */
export function referToDevice(address: bigint, bytes: number): DeviceBlock | null {
  return memory('Tensor.fromPointer').refer(address, bytes);
}

export function releaseOnDevice(block: DeviceBlock): void {
  memory('Tensor.dispose').release(block);
}

export function copyToDeviceSync(block: DeviceBlock, from: ArrayBufferView): void {
  check(memory('Tensor.to').toDevice(block, from), 'Tensor.to');
}

export function copyToHostSync(block: DeviceBlock, to: ArrayBufferView): void {
  check(memory('Tensor.toHost').toHost(block, to), 'Tensor.toHost');
}

/** Neither array may be taken away meanwhile. */
export async function copyToDevice(block: DeviceBlock, from: ArrayBufferView): Promise<void> {
  check(await memory('Tensor.to').toDeviceAsync(block, from), 'Tensor.to');
}

export async function copyToHost(block: DeviceBlock, to: ArrayBufferView): Promise<void> {
  check(await memory('Tensor.toHost').toHostAsync(block, to), 'Tensor.toHost');
}
