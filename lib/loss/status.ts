import { statisticsError } from '../credit/turn_statistics.js';
import { InvalidInputError } from '../errors.js';
import { opError } from '../op_error.js';
import type { Status } from '../ops.js';

/** The token arrays of a call, to say which of them held the offending value. */
export interface TokenInputs {
  targets?: Int32Array;
  oldLogProbs?: Float32Array | null;
  rolloutLogProbs?: Float32Array | null;
  refLogProbs?: Float32Array | null;
  logProbs?: Float32Array | null;
}

export const AFTERWARDS = 'With inPlace the logits are now undefined';
const CHECK_FIRST = `${AFTERWARDS}; nonFinite: "check-first" would have left them intact`;

/** The error that a failed op means to the caller. */
export function statusError(
  status: Status,
  at: {
    op: string;
    device: string;
    inputs: TokenInputs /** Whether logits may have been overwritten when the op failed. */;
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
        received: String(at.inputs.targets?.[position]),
      });
    case 'group-of-one':
    case 'tree-broken':
      return statisticsError(status, at.device);
    default:
      return opError(at.op, status, at.device);
  }
}

function nonFiniteLogProb(position: number, inputs: TokenInputs, inPlace: boolean): InvalidInputError {
  for (const name of ['oldLogProbs', 'rolloutLogProbs', 'refLogProbs', 'logProbs'] as const) {
    const value = inputs[name]?.[position];
    if (value === undefined || Number.isFinite(value)) continue;
    const path = `${name}[${position}]`;
    const received = String(value);
    return new InvalidInputError({ code: 'ERR_NON_FINITE', path, expected: 'a finite log-prob', received });
  }
  return new InvalidInputError({
    code: 'ERR_NON_FINITE',
    path: `targets[${position}]`,
    expected: 'a target with a probability above 0',
    received: `token ${inputs.targets?.[position]} with log-prob -Infinity`,
    hint: `Was it sampled under another vocabulary mask?${inPlace ? ` ${CHECK_FIRST}` : ''}`,
  });
}
