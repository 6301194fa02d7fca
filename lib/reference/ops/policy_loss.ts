/**
 * The whole step, from turn signals and logits to the loss and dLogits: the four ops one after another on shared
 * buffers.
 * This is what a fused backend must equal.
 */
import type { PolicyLossArgs, Status } from '../../ops.js';
import { checkSurrogate } from './check_surrogate.js';
import { checkGather, checkRows, gatherRows } from './gather_log_probs.js';
import { checkLogitsGradient, logitsGradient } from './logits_gradient.js';
import { INVALID, OK } from './status.js';
import { surrogate } from './surrogate.js';
import { checkTurnStatistics, turnStatistics } from './turn_statistics.js';

export function policyLoss(args: PolicyLossArgs): Status {
  const { statistics, gather, gradient } = args;
  const steps = [
    // Everything is checked before anything is written, so that an error leaves the caller's buffers as they were.
    () => (statistics === null ? OK : checkTurnStatistics(statistics)),
    () => checkGather(gather),
    () => checkSurrogate(args.surrogate),
    () => checkLogitsGradient(gradient),
    () => (sharesBuffers(args) ? OK : INVALID),
    () => (gather.nonFinite === 'check-first' ? checkRows(gather) : OK),
    () => (statistics === null ? OK : turnStatistics(statistics)),
    () => gatherRows(gather, true),
    () => surrogate(args.surrogate),
    () => logitsGradient(gradient),
  ];
  for (const step of steps) {
    const status = step();
    if (status.code !== 'ok') return status;
  }
  return OK;
}

/** Whether what one op writes is what the next one reads; otherwise a step would run on stale numbers. */
function sharesBuffers({ statistics, gather, surrogate, gradient }: PolicyLossArgs): boolean {
  const given = statistics === null || sameMemory(surrogate.advantages, statistics.advantages);
  const rows = sameMemory(gradient.logits.data, gather.logits.data) && sameMemory(gradient.targets, gather.targets);
  const tokens =
    sameMemory(surrogate.logProbs, gather.logProbs) &&
    sameMemory(gradient.logProbs, gather.logProbs) &&
    sameMemory(gradient.logSumExp, gather.logSumExp);
  const entropy = sharedIfRead(surrogate.entropy, gather.entropy) && sharedIfRead(gradient.entropy, gather.entropy);
  const coefficients =
    sharedIfRead(gradient.coefficients, surrogate.coefficients) &&
    sharedIfRead(gradient.entropyCoefficients, surrogate.entropyCoefficients);
  // The bonus is in the loss; a gradient without it would be that of another loss.
  const bonus = surrogate.entropyCoef === 0 || gradient.entropyCoefficients !== null;
  return given && rows && tokens && entropy && coefficients && bonus && gradient.temperature === gather.temperature;
}

function sharedIfRead(read: ArrayBufferView | null, written: ArrayBufferView | null): boolean {
  return read === null || sameMemory(read, written);
}

function sameMemory(a: ArrayBufferView, b: ArrayBufferView | null): boolean {
  return b !== null && a.buffer === b.buffer && a.byteOffset === b.byteOffset && a.byteLength === b.byteLength;
}
