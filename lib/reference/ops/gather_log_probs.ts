/**
 * Log-probability of each target, log-sum-exp and entropy of each row, of softmax(logits / temperature).
 * One row is decoded to float64 at a time; no [N, V] array is made.
 */
import { type GatherLogProbsArgs, LARGEST_LOG_SUM_EXP, NEGLIGIBLE_LOG_SUM, type Status } from '../../ops.js';
import { entropyOf, logProbOf, logSumExpOf, type RowSoftmax, softmaxRow } from '../math/softmax.js';
import { isMatrix, readRow } from './rows.js';
import { failed, INVALID, OK } from './status.js';

export function gatherLogProbs(args: GatherLogProbsArgs): Status {
  return gatherRows(args, false);
}

/** @param forGradient refuse rows whose gradient could not be formed from logSumExp. */
export function gatherRows(args: GatherLogProbsArgs, forGradient: boolean): Status {
  const status = checkGather(args);
  if (status.code !== 'ok') return status;
  return forEachActiveRow(args, (n, row, softmax) => {
    if (forGradient && isTooLarge(softmax, args.temperature)) return failed('logits-too-large', n);
    if (args.nonFinite !== 'propagate') {
      const bad = rowStatus(args, n, row, softmax);
      if (bad.code !== 'ok') return bad;
    }
    args.logProbs[n] = logProbOf(row, args.targets[n], softmax, args.temperature);
    if (args.logSumExp !== null) args.logSumExp[n] = logSumExpOf(softmax, args.temperature);
    if (args.entropy !== null) args.entropy[n] = entropyOf(softmax);
    return OK;
  });
}

/** Everything that can be known without reading logits: sizes, and every active target inside [0, V). */
export function checkGather(args: GatherLogProbsArgs): Status {
  const { logits, targets, actionMask, logProbs, logSumExp, entropy } = args;
  const count = targets.length;
  if (!isMatrix(logits, count)) return INVALID;
  if ([actionMask, logProbs, logSumExp, entropy].some((array) => array !== null && array.length !== count))
    return INVALID;
  const outside = targets.findIndex((t, n) => isActive(args, n) && !(t >= 0 && t < logits.width));
  return outside < 0 ? OK : failed('target-out-of-range', outside);
}

/** One read of all rows, nothing written: the first row whose log-probability or gradient could not be formed. */
export function checkRows(args: GatherLogProbsArgs): Status {
  const blank = { ...args, logProbs: new Float32Array(0), logSumExp: null, entropy: null };
  return forEachActiveRow(blank, (n, row, softmax) =>
    isTooLarge(softmax, args.temperature) ? failed('logits-too-large', n) : rowStatus(args, n, row, softmax),
  );
}

/** Visits active rows in order until one reports; writes 0 for the others without reading their logits. */
function forEachActiveRow(
  args: GatherLogProbsArgs,
  visit: (n: number, row: Float64Array, softmax: RowSoftmax) => Status,
): Status {
  const row = new Float64Array(args.logits.width);
  for (let n = 0; n < args.targets.length; n++) {
    if (!isActive(args, n)) {
      args.logProbs[n] = 0;
      if (args.logSumExp !== null) args.logSumExp[n] = 0;
      if (args.entropy !== null) args.entropy[n] = 0;
      continue;
    }
    readRow(args.logits, n, row);
    const status = visit(n, row, softmaxRow(row, args.temperature));
    if (status.code !== 'ok') return status;
  }
  return OK;
}

/** Whether log1p(s) is lost in logSumExp. Where it is next to nothing (a one-hot row) there is nothing to lose. */
function isTooLarge(softmax: RowSoftmax, temperature: number): boolean {
  const logSumExp = logSumExpOf(softmax, temperature);
  const isLost = Math.abs(logSumExp) > LARGEST_LOG_SUM_EXP && Math.log1p(softmax.rest) > NEGLIGIBLE_LOG_SUM;
  return Number.isFinite(logSumExp) && isLost;
}

function rowStatus(args: GatherLogProbsArgs, n: number, row: Float64Array, softmax: RowSoftmax): Status {
  if (!softmax.finite) return failed('non-finite-logits', n);
  // As stored: a log-probability below the range of float32 is -Infinity to whoever reads it.
  const logProb = Math.fround(logProbOf(row, args.targets[n], softmax, args.temperature));
  return Number.isFinite(logProb) ? OK : failed('non-finite-log-prob', n);
}

function isActive({ actionMask }: GatherLogProbsArgs, n: number): boolean {
  return actionMask === null || actionMask[n] === 1;
}
