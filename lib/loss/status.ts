import { statisticsError } from '../credit/turn_statistics.js';
import { segmentationError } from '../data/segmentation_error.js';
import { InvalidInputError } from '../errors.js';
import { opError } from '../op_error.js';
import type { Status } from '../ops.js';
import { type Column, shown } from '../tensor/column.js';
import type { Batch } from './batch.js';
import type { TurnSearch } from './batch_layout.js';

/** The token arrays of a call, to say which of them held the offending value. */
export interface TokenInputs {
  targets?: Column<'int32'>;
  oldLogProbs?: Column<'f32'> | null;
  rolloutLogProbs?: Column<'f32'> | null;
  refLogProbs?: Column<'f32'> | null;
  logProbs?: Column<'f32'> | null;
}

export const AFTERWARDS = 'With inPlace the logits are now undefined';
const CHECK_FIRST = `${AFTERWARDS}; nonFinite: "check-first" would have left them intact`;

/** The error that a failed op means to the caller. */
export function statusError(
  status: Status,
  at: {
    op: string;
    device: string;
    inputs: TokenInputs;
    /** Of a loss. */
    batch?: Batch;
    /** Whether logits may have been overwritten when the op failed. */
    inPlace: boolean;
  },
): Error {
  const { code, position } = status;
  switch (code) {
    case 'non-finite-logits':
      return new InvalidInputError({
        code: 'ERR_NON_FINITE',
        path: `logits[${position}]`,
        expected: 'a row of finite logits (-Infinity allowed, but not everywhere)',
        received: 'a row with NaN, +Infinity or only -Infinity',
        ...(at.inPlace ? { hint: CHECK_FIRST } : {}),
      });
    case 'logits-too-large':
      return new InvalidInputError({
        code: 'ERR_RANGE',
        path: `logits[${position}]`,
        expected: `logits / temperature of magnitude up to 2^31: beyond it no digits are left for the gradient`,
        received: 'a row with larger ones',
        ...(at.inPlace ? { hint: CHECK_FIRST } : {}),
      });
    case 'non-finite-log-prob':
      return nonFiniteLogProb(position, at.inputs, at.inPlace);
    case 'target-out-of-range':
      return new InvalidInputError({
        code: 'ERR_TARGET',
        path: `targets[${position}]`,
        expected: 'a token id of the vocabulary',
        received: shownAt(at.inputs.targets, position),
      });
    case 'group-of-one':
    case 'tree-broken':
      return statisticsError(status, at.device);
    case 'invalid-argument':
      // Where sizes fit, it is what stands in arrays on a device.
      if (at.batch?.search) return searchError(status, at.batch.search, at.device);
      return opError(at.op, status, at.device);
    default:
      if (at.batch?.search && /^(turn-|mask-)/.test(code)) return searchError(status, at.batch.search, at.device);
      return opError(at.op, status, at.device);
  }
}

/** What became of turns that the op was to find. */
export function searchError(
  { code, position }: Status,
  { source, args, countedBy }: TurnSearch,
  device: string,
): Error {
  if (code !== 'turn-count') return segmentationError({ code, position }, source, device);
  return new InvalidInputError({
    code: 'ERR_LENGTH',
    path: countedBy,
    expected: `length ${position} ([K], the turns of the batch)`,
    received: `length ${args.starts.length}`,
  });
}

/** A value of an array, which may be on a device: errors are rare, and worth a copy. */
function shownAt(column: Column<'int32' | 'f32'> | null | undefined, position: number): string {
  return String(shown(column)?.[position] ?? 'another (the tensor was disposed of)');
}

function nonFiniteLogProb(position: number, inputs: TokenInputs, inPlace: boolean): InvalidInputError {
  for (const name of ['oldLogProbs', 'rolloutLogProbs', 'refLogProbs', 'logProbs'] as const) {
    const value = shown(inputs[name])?.[position];
    if (value === undefined || Number.isFinite(value)) continue;
    const path = `${name}[${position}]`;
    const received = String(value);
    const hint = inPlace ? { hint: AFTERWARDS } : {};
    return new InvalidInputError({ code: 'ERR_NON_FINITE', path, expected: 'a finite log-prob', received, ...hint });
  }
  return new InvalidInputError({
    code: 'ERR_NON_FINITE',
    path: `targets[${position}]`,
    expected: 'a target with a probability above 0',
    received: `token ${shownAt(inputs.targets, position)} with log-prob -Infinity`,
    hint: `Was it sampled under another vocabulary mask?${inPlace ? ` ${CHECK_FIRST}` : ''}`,
  });
}
