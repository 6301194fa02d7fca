/**
 * Gradient of the loss by the logits, from the coefficient dLoss/dLogProb of each row. In place if `gradient` is the
 * memory of `logits`: a row is read to float64 before it is overwritten. No [N, V] array of probabilities is made.
 *
 *   dLogits[n, v] = gradScale · coefficients[n] · ([v = targets[n]] - softmax(logits[n] / T)[v]) / T
 */
import type { LogitsGradientArgs, Status } from '../../ops.js';
import { gradientAtTarget, gradientElsewhere } from '../math/softmax.js';
import { isMatrix, readRow, writeRow } from './rows.js';
import { failed, INVALID, OK } from './status.js';

export function logitsGradient(args: LogitsGradientArgs): Status {
  const status = checkLogitsGradient(args);
  if (status.code !== 'ok') return status;
  const row = new Float64Array(args.logits.width);
  let underflowed = 0;
  for (let n = 0; n < args.targets.length; n++) {
    const scale = rowScale(args, n);
    if (scale === null) {
      row.fill(0);
    } else {
      readRow(args.logits, n, row);
      differentiateRow(args, n, scale, row);
    }
    underflowed += writeRow(args.gradient, n, row);
  }
  if (args.underflowed !== null) args.underflowed[0] = underflowed;
  return OK;
}

/** Sizes, and every target of a row that will be written from its logits inside [0, V). */
export function checkLogitsGradient(args: LogitsGradientArgs): Status {
  const { logits, targets, actionMask, logProbs, logSumExp, coefficients, gradient, underflowed } = args;
  const count = targets.length;
  if (!isMatrix(logits, count) || !isMatrix(gradient, count)) return INVALID;
  if (gradient.dtype !== logits.dtype || gradient.width !== logits.width) return INVALID;
  if ([actionMask, logProbs, logSumExp, coefficients].some((array) => array !== null && array.length !== count)) {
    return INVALID;
  }
  if (underflowed !== null && underflowed.length < 1) return INVALID;
  const outside = targets.findIndex((t, n) => isActive(args, n) && !(t >= 0 && t < logits.width));
  return outside < 0 ? OK : failed('target-out-of-range', outside);
}

/** Factor of a row's gradient; null: the row is zeros and its logits are not read. */
function rowScale(args: LogitsGradientArgs, n: number): number | null {
  if (!isActive(args, n)) return null;
  if (args.coefficients === null) return 1;
  return args.coefficients[n] === 0 ? null : args.gradScale * args.coefficients[n];
}

/** Replaces the logits z in `row` by their gradient. */
function differentiateRow(args: LogitsGradientArgs, n: number, scale: number, row: Float64Array): void {
  const { temperature } = args;
  const target = args.targets[n];
  const logSumExp = args.logSumExp[n];
  for (let v = 0; v < row.length; v++) {
    row[v] = scale * gradientElsewhere(row[v], logSumExp, temperature);
  }
  row[target] = scale * gradientAtTarget(args.logProbs[n], temperature);
}

function isActive({ actionMask }: LogitsGradientArgs, n: number): boolean {
  return actionMask === null || actionMask[n] === 1;
}
