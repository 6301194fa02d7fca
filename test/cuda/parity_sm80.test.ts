/** A device without clusters: one block a row, in its shared memory where it fits, or read twice. */
import { describeDevice } from './device_parity.js';

describeDevice('sm_80, little shared memory', {
  TURNWISE_EMULATION_DEVICE: '80',
  TURNWISE_EMULATION_MULTIPROCESSORS: '1',
  // The warps that only add run ahead of the one that merges.
  TURNWISE_EMULATION_SCHEDULE: 'descending',
  // A row of 4097 floats still fits, one of 16384 does not.
  TURNWISE_EMULATION_SHARED: '20480',
});
