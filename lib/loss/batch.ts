import { checkAttached, float32, type Integers, type Mask, targets as readTargets } from '../check/arrays.js';
import { describe } from '../check/describe.js';
import { Fields } from '../check/fields.js';
import type { Custom } from '../credit/custom.js';
import { effectiveMask, readLayout, requireTurns } from '../data/layout.js';
import type { Turns } from '../data/turns.js';
import { InvalidInputError } from '../errors.js';
import type { Weight } from '../estimator/stages/weights.js';
import type { Estimator } from '../estimator/types.js';
import type { Backend, Level, Rows } from '../ops.js';
import { type CreditInputs, type CreditSource, readCredit, sourceOf } from './batch_credit.js';
import { checkFiniteLogProbs, type LogProbs, readLogProbs, rolloutLogProbs, type TokenArrays } from './log_probs.js';
import { keepAll, type Logits, readLogits } from './logits.js';

interface Common extends TokenArrays {
  turns?: Turns | undefined;
  trajectoryOffsets?: Integers | undefined;
  actionMask?: Mask | undefined;
}

/** Row n of `logits` scores `targets[n]`: already shifted. */
export type LogitsBatch<L extends Logits = Logits> = Common &
  CreditSource & { logits: L; targets: Integers; logProbs?: never };

/** From log-probs that were gathered elsewhere. */
export type LogProbsBatch = Common & CreditSource & { logProbs: Float32Array; logits?: never; targets?: never };

/** A checked batch. */
export interface Batch {
  /** N */
  tokens: number;
  logits: Rows | null;
  /** As the caller passed them: the gradient comes back in the same kind of array. */
  givenLogits: unknown;
  targets: Int32Array | null;
  logProbs: Float32Array | null;
  given: LogProbs;
  turns: Turns;
  /** [N] effective. */
  actionMask: Uint8Array;
  credit: CreditInputs;
}

interface BatchCall {
  estimator: Estimator;
  backend: Backend;
  custom: Custom;
  /** Copy what the caller could take away while the call runs (the logits and [N] arrays follow in policy_loss). */
  asynchronous: boolean;
  /** Refuse given log-probs of loss tokens that are not finite, before anything is computed or overwritten. */
  finite: boolean;
}

export function readBatch(value: unknown, call: BatchCall): Batch {
  const { estimator, asynchronous } = call;
  const fields = new Fields(value, '', 'batch');
  const rawTargets = fields.take('targets');
  const rawLogits = fields.take('logits');
  const rawLogProbs = fields.take('logProbs');
  if ((rawLogits === undefined) === (rawLogProbs === undefined)) {
    const received = rawLogits === undefined ? 'neither' : 'both';
    throw new InvalidInputError({
      code: rawLogits === undefined ? 'ERR_MISSING' : 'ERR_NO_EFFECT',
      path: 'logits',
      expected: 'either logits with targets, or logProbs',
      received,
    });
  }
  if (rawLogits === undefined && estimator.entropy !== null) {
    const expected = `logits: the gradient of the entropy bonus of "${estimator.name}" goes through them`;
    throw new InvalidInputError({ code: 'ERR_MISSING', path: 'logits', expected, received: 'logProbs' });
  }
  const tokens = countTokens(rawLogits, rawTargets, rawLogProbs);
  const logProbs = rawLogProbs === undefined ? null : float32(rawLogProbs, 'logProbs', '[N]');
  const source = sourceOf(fields);
  const given = readLogProbs(fields, estimator, tokens, source === 'groups');
  const readInOrder = readLayout(fields, tokens, needsLevel(estimator) === 'token');
  const layout = { ...readInOrder, turns: keepAll(readInOrder.turns, asynchronous) };
  if (needsLevel(estimator) === 'turn') requireTurns(layout, estimator.name);
  const actionMask = effectiveMask(layout, tokens);
  if (call.finite) checkFiniteLogProbs(given, logProbs, actionMask);
  const logits = rawLogits === undefined ? null : readLogits(rawLogits, 'logits', tokens);
  const targets = logits && readTargets(rawTargets, 'targets', logits.width, actionMask, tokens);
  const credit = readCredit(fields, source, { ...call, layout, actionMask, logProbs: rolloutLogProbs(given) });
  fields.end();
  return { tokens, logits, givenLogits: rawLogits, targets, logProbs, given, turns: layout.turns, actionMask, credit };
}

function countTokens(logits: unknown, targets: unknown, logProbs: unknown): number {
  const [path, value] = logits === undefined ? ['logProbs', logProbs] : ['targets', targets];
  if (logits === undefined && targets !== undefined) {
    const expected = 'no targets: log-probs are gathered already';
    throw new InvalidInputError({ code: 'ERR_NO_EFFECT', path: 'targets', expected, received: describe(targets) });
  }
  // N follows from this array, so its being detached (length 0) would be blamed on all the others.
  if (ArrayBuffer.isView(value)) checkAttached(value, path as string);
  if (typeof value === 'object' && value !== null && 'length' in value && typeof value.length === 'number')
    return value.length;
  const code = value === undefined ? 'ERR_MISSING' : 'ERR_TYPE';
  const expected = path === 'targets' ? 'an Int32Array of token ids [N]' : 'a Float32Array [N]';
  throw new InvalidInputError({ code, path: path as string, expected, received: describe(value) });
}

/**
 * What the loss must know of a token's place: nothing ('token'), its trajectory ('sequence'; a trajectory may stand for a turn), or its turn, for which
 * trajectories cannot stand in.
 */
function needsLevel({ ratio, weights, aggregate }: Estimator): Level {
  const levels: Level[] = [ratio.level, ...weights.map(levelOfWeight)];
  if (aggregate === 'turn-mean-token-mean') levels.push('turn');
  else if (aggregate !== 'token-mean' && aggregate !== 'token-sum') levels.push('sequence');
  return levels.includes('turn') ? 'turn' : levels.includes('sequence') ? 'sequence' : 'token';
}

function levelOfWeight(weight: Weight): Level {
  if (weight.kind === 'given') return 'token';
  return weight.kind === 'off-policy-mask' ? 'sequence' : weight.level;
}
