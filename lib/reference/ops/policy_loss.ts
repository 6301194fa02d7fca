/**
 * The whole step, from raw signals and logits to the loss and dLogits: the five ops one after another on shared
 * buffers.
 * This is what a fused backend must equal.
 */
import type { PolicyLossArgs, Status, TurnsArgs } from '../../ops.js';
import { checkSurrogate } from './check_surrogate.js';
import { checkGather, checkRows, gatherRows } from './gather_log_probs.js';
import { checkLogitsGradient, logitsGradient } from './logits_gradient.js';
import { segmentExactly } from './segment_turns.js';
import { INVALID, OK } from './status.js';
import { surrogate } from './surrogate.js';
import { checkTurnStatistics, turnStatistics } from './turn_statistics.js';

export function policyLoss(args: PolicyLossArgs): Status {
  const { segment, statistics, gather, gradient } = args;
  const steps = [
    // What the others check depends on the turns.
    () => (segment === null ? OK : segmentExactly(segment)),
    // Everything else is checked before it is written, so that an error leaves the caller's buffers as they were.
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
function sharesBuffers(args: PolicyLossArgs): boolean {
  const { statistics, gather, surrogate, gradient } = args;
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
  const same = given && rows && tokens && entropy && coefficients && sharesSegments(args);
  return same && bonus && gradient.temperature === gather.temperature;
}

/** Whether the turns and the mask that were found are those that every op reads. */
function sharesSegments({ segment, statistics, gather, surrogate, gradient }: PolicyLossArgs): boolean {
  if (segment === null) return true;
  const { effectiveMask } = segment;
  const reads = (turns: TurnsArgs) => TURNS.every((name) => sameMemory(turns[name], segment[name]));
  const masks = [gather.actionMask, surrogate.actionMask, gradient.actionMask, statistics?.actionMask ?? effectiveMask];
  return (
    reads(surrogate.turns) &&
    (statistics === null || reads(statistics.turns)) &&
    masks.every((mask) => mask !== null && sameMemory(mask, effectiveMask))
  );
}

const TURNS = ['starts', 'ends', 'tokens', 'trajectory', 'index'] as const;

function sharedIfRead(read: ArrayBufferView | null, written: ArrayBufferView | null): boolean {
  return read === null || sameMemory(read, written);
}

function sameMemory(a: ArrayBufferView, b: ArrayBufferView | null): boolean {
  return b !== null && a.buffer === b.buffer && a.byteOffset === b.byteOffset && a.byteLength === b.byteLength;
}
