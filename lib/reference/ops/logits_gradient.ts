/**
 * Gradient of the loss by the logits, from the coefficients c = dLoss/dLogProb and e = dLoss/dEntropy of each row. In
 * place if `gradient` is the memory of `logits`: a row is read to float64 before it is overwritten. No [N, V] array of
 * probabilities is made.
 *
 *   dLogits[n, v] = gradScale · (c ([v = targets[n]] - p_v) - e p_v (log p_v + H)) / T,   p = softmax(logits[n] / T)
 */
import type { LogitsGradientArgs, Status } from '../../ops.js';
import { entropyGradient, gradientAtTarget, gradientElsewhere } from '../math/softmax.js';
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
  const { logits, targets, coefficients, entropy, entropyCoefficients, gradient, underflowed } = args;
  const count = targets.length;
  if (!isMatrix(logits, count) || !isMatrix(gradient, count)) return INVALID;
  if (gradient.dtype !== logits.dtype || gradient.width !== logits.width) return INVALID;
  const perRow = [args.actionMask, args.logProbs, args.logSumExp, coefficients, entropy, entropyCoefficients];
  if (perRow.some((array) => array !== null && array.length !== count)) return INVALID;
  // A row scale that is applied later cannot scale two parts by two coefficients.
  if (entropyCoefficients !== null && (entropy === null || coefficients === null)) return INVALID;
  if (underflowed !== null && underflowed.length < 1) return INVALID;
  const outside = targets.findIndex((t, n) => isActive(args, n) && !(t >= 0 && t < logits.width));
  return outside < 0 ? OK : failed('target-out-of-range', outside);
}

interface RowScale {
  /** gradScale · c and gradScale · e */
  logProb: number;
  entropy: number;
}

/** Factors of a row's gradient; null: the row is zeros and its logits are not read. */
function rowScale(args: LogitsGradientArgs, n: number): RowScale | null {
  if (!isActive(args, n)) return null;
  if (args.coefficients === null) return { logProb: 1, entropy: 0 };
  const c = args.coefficients[n];
  const e = args.entropyCoefficients?.[n] ?? 0;
  return c === 0 && e === 0 ? null : { logProb: args.gradScale * c, entropy: args.gradScale * e };
}

/** Replaces the logits z in `row` by their gradient. */
function differentiateRow(args: LogitsGradientArgs, n: number, scale: RowScale, row: Float64Array): void {
  const { temperature } = args;
  const target = args.targets[n];
  const logSumExp = args.logSumExp[n];
  const entropy = args.entropy?.[n] ?? 0;
  const withEntropy = (value: number, logProb: number) =>
    scale.entropy === 0 ? value : value + scale.entropy * entropyGradient(logProb, entropy, temperature);
  for (let v = 0; v < row.length; v++) {
    const logProb = row[v] / temperature - logSumExp;
    row[v] = withEntropy(scale.logProb * gradientElsewhere(row[v], logSumExp, temperature), logProb);
  }
  const logProb = args.logProbs[n];
  row[target] = withEntropy(scale.logProb * gradientAtTarget(logProb, temperature), logProb);
}

function isActive({ actionMask }: LogitsGradientArgs, n: number): boolean {
  return actionMask === null || actionMask[n] === 1;
}
