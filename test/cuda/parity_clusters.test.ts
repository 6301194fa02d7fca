/** Rows spread over clusters of up to eight blocks, and teams of eight blocks with several warps. */
import { describeDevice } from './device_parity.js';

describeDevice('clusters of eight', {
  TURNWISE_EMULATION_MULTIPROCESSORS: '8',
  TURNWISE_EMULATION_THREADS: '128',
  // A row of 32003 floats fits into the shares of eight blocks, not of four.
  TURNWISE_EMULATION_SHARED: '20480',
});
