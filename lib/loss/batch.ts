import {
  checkAttached,
  finiteTokens,
  float32,
  float64,
  type Integers,
  type Mask,
  type Reals,
  targets as readTargets,
} from '../check/arrays.js';
import { describe } from '../check/describe.js';
import { Fields } from '../check/fields.js';
import { Credit } from '../credit/credit.js';
import { countDenominators, type Denominators, readDenominators } from '../credit/denominators.js';
import { type CreditSignals, readSignals } from '../credit/signals.js';
import { type GroupStats, turnStatisticsArgs } from '../credit/turn_statistics.js';
import { effectiveMask, readLayout, requireTurns } from '../data/layout.js';
import type { Turns } from '../data/turns.js';
import { InvalidInputError } from '../errors.js';
import type { Estimator } from '../estimator/estimator.js';
import type { Rows, TurnStatisticsArgs } from '../ops.js';
import { keepAll, type Logits, readLogits } from './logits.js';

/** Where the credit comes from: exactly one of the three. */
export type CreditSource =
  | ({ credit?: never; advantages?: never; denominators?: Denominators | undefined } & CreditSignals)
  | { credit: Credit; advantages?: never; groups?: never }
  | {
      /** [K] or [N]. */
      advantages: Reals;
      /** Of the same length: scale of the clip range. Default 1; required where the estimator adapts it (gate.adapt). */
      clipScale?: Reals | undefined;
      /** Needed only where K == N. */
      advantageLevel?: 'turn' | 'token' | undefined;
      /** Global counts; default: those of this batch. */
      denominators?: Denominators | undefined;
      credit?: never;
      groups?: never;
    };

interface TokenArrays {
  /** [N] log-probs at the start of the update: the ratio's denominator. */
  oldLogProbs: Float32Array;
  /** [N] reference for the KL term; given if and only if the estimator has one. */
  refLogProbs?: Float32Array | undefined;
  turns?: Turns | undefined;
  trajectoryOffsets?: Integers | undefined;
  actionMask?: Mask | undefined;
}

/** Row n of `logits` scores `targets[n]`: already shifted. */
export type LogitsBatch<L extends Logits = Logits> = TokenArrays &
  CreditSource & { logits: L; targets: Integers; logProbs?: never };

/** From log-probs that were gathered elsewhere. */
export type LogProbsBatch = TokenArrays & CreditSource & { logProbs: Float32Array; logits?: never; targets?: never };

/** A checked batch. */
export interface Batch {
  /** N */
  tokens: number;
  logits: Rows | null;
  /** As the caller passed them: the gradient comes back in the same kind of array. */
  givenLogits: unknown;
  targets: Int32Array | null;
  logProbs: Float32Array | null;
  oldLogProbs: Float32Array;
  refLogProbs: Float32Array | null;
  turns: Turns;
  /** [N] effective. */
  actionMask: Uint8Array;
  credit: CreditInputs;
}

export interface CreditInputs {
  /** To be run first; its result buffers are `advantages` and `clipScale`. Null: they are given. */
  statistics: TurnStatisticsArgs | null;
  level: 'turn' | 'token';
  advantages: Float64Array;
  clipScale: Float64Array | null;
  denominators: Denominators;
  /** Of the phase A that made given credit. */
  groupStats: readonly GroupStats[] | null;
}

interface ReadOptions {
  /** Copy what the caller could take away while the call runs (the logits and [N] arrays follow in policy_loss). */
  asynchronous: boolean;
  /** Refuse given log-probs of loss tokens that are not finite, before anything is computed or overwritten. */
  finite: boolean;
}

export function readBatch(value: unknown, estimator: Estimator, { asynchronous, finite }: ReadOptions): Batch {
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
  const tokens = countTokens(rawLogits, rawTargets, rawLogProbs);
  const logProbs = rawLogProbs === undefined ? null : float32(rawLogProbs, 'logProbs', '[N]');
  const oldLogProbs = float32(fields.required('oldLogProbs', 'a Float32Array [N]'), 'oldLogProbs', '[N]', tokens);
  const refLogProbs = readReference(fields, estimator, tokens);
  const given = readLayout(fields, tokens, isTokenwise(estimator));
  const layout = { ...given, turns: keepAll(given.turns, asynchronous) };
  if (isTurnwise(estimator)) requireTurns(layout, estimator.name);
  const actionMask = effectiveMask(layout, tokens);
  if (finite) {
    for (const [path, values] of Object.entries({ oldLogProbs, refLogProbs, logProbs })) {
      if (values) finiteTokens(values, path, actionMask);
    }
  }
  const logits = rawLogits === undefined ? null : readLogits(rawLogits, 'logits', tokens);
  const targets = logits && readTargets(rawTargets, 'targets', logits.width, actionMask, tokens);
  const credit = readCredit(fields, estimator, layout, tokens, asynchronous);
  fields.end();
  return {
    tokens,
    logits,
    givenLogits: rawLogits,
    targets,
    logProbs,
    oldLogProbs,
    refLogProbs,
    turns: layout.turns,
    actionMask,
    credit,
  };
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

/** Whether nothing in the loss asks which trajectory a token belongs to. */
function isTokenwise({ ratio, aggregate }: Estimator): boolean {
  return ratio.level === 'token' && (aggregate === 'token-mean' || aggregate === 'token-sum');
}

/** Whether the loss asks for turns that trajectories cannot stand in for. */
function isTurnwise({ ratio, aggregate }: Estimator): boolean {
  return ratio.level === 'turn' || aggregate === 'turn-mean-token-mean';
}

function readReference(fields: Fields, { kl, name }: Estimator, tokens: number): Float32Array | null {
  const value = fields.take('refLogProbs');
  if (kl !== null) {
    if (value !== undefined) return float32(value, 'refLogProbs', '[N]', tokens);
    const expected = `a Float32Array [N]: the estimator "${name}" has a KL term`;
    throw new InvalidInputError({ code: 'ERR_MISSING', path: 'refLogProbs', expected, received: 'undefined' });
  }
  if (value === undefined) return null;
  const expected = `no refLogProbs: the estimator "${name}" has no KL term`;
  throw new InvalidInputError({ code: 'ERR_NO_EFFECT', path: 'refLogProbs', expected, received: describe(value) });
}

type Layout = ReturnType<typeof readLayout>;

function readCredit(
  fields: Fields,
  estimator: Estimator,
  layout: Layout,
  tokens: number,
  asynchronous: boolean,
): CreditInputs {
  const sources = ['credit', 'advantages', 'groups'].filter((name) => fields.has(name));
  if (sources.length !== 1) {
    throw new InvalidInputError({
      code: sources.length === 0 ? 'ERR_MISSING' : 'ERR_NO_EFFECT',
      path: sources[1] ?? 'credit',
      expected: 'exactly one source of credit: credit, advantages, or raw signals with groups',
      received: sources.length === 0 ? 'none' : sources.join(' and '),
    });
  }
  const [source] = sources;
  if (source === 'credit') return keepAll(fromCredit(fields.take('credit'), estimator, layout.turns), asynchronous);
  const own = countDenominators(layout.turns);
  const rawDenominators = fields.take('denominators');
  const denominators = rawDenominators === undefined ? own : readDenominators(rawDenominators, 'denominators', own);
  if (source === 'advantages') {
    return keepAll(
      { statistics: null, denominators, groupStats: null, ...givenAdvantages(fields, estimator, layout, tokens) },
      asynchronous,
    );
  }
  const signals = keepAll(readSignals(fields, estimator, layout), asynchronous);
  const statistics = turnStatisticsArgs(signals, estimator);
  const { advantages, clipScale } = statistics;
  return { statistics, level: 'turn', advantages, clipScale, denominators, groupStats: null };
}

function fromCredit(credit: unknown, estimator: Estimator, turns: Turns): CreditInputs {
  if (!(credit instanceof Credit)) {
    const expected = 'a Credit from estimateAdvantages';
    throw new InvalidInputError({ code: 'ERR_TYPE', path: 'credit', expected, received: describe(credit) });
  }
  for (const part of ['channels', 'combine'] as const) checkSamePart(part, credit.estimator[part], estimator[part]);
  checkSamePart('gate.adapt', credit.estimator.gate.adapt, estimator.gate.adapt);
  credit.checkTurns(turns);
  const { advantages, clipScale, denominators, groupStats } = credit;
  return { statistics: null, level: 'turn', advantages, clipScale, denominators, groupStats };
}

/** Credit was assigned by another estimator's phase A: this one's would be ignored. */
function checkSamePart(path: string, made: unknown, given: unknown): void {
  if (JSON.stringify(made) === JSON.stringify(given)) return;
  throw new InvalidInputError({
    code: 'ERR_ESTIMATOR',
    path: `estimator.${path}`,
    expected: 'that of credit.estimator, which made the advantages',
    received: 'a different one',
  });
}

function givenAdvantages(fields: Fields, estimator: Estimator, { turns }: Layout, tokens: number) {
  const advantages = float64(fields.take('advantages'), 'advantages', '[K] or [N]');
  const fitsTurns = advantages.length === turns.count;
  const fitsTokens = advantages.length === tokens;
  const rawLevel = fields.has('advantageLevel') ? fields.oneOf('advantageLevel', ['turn', 'token']) : undefined;
  if (!fitsTurns && !fitsTokens) {
    const expected = `length ${turns.count} (turns) or ${tokens} (tokens)`;
    const received = `length ${advantages.length}`;
    throw new InvalidInputError({ code: 'ERR_LENGTH', path: 'advantages', expected, received });
  }
  if (rawLevel === undefined && fitsTurns && fitsTokens && tokens > 0) {
    const expected = '"turn" or "token": there are as many turns as tokens';
    throw new InvalidInputError({ code: 'ERR_MISSING', path: 'advantageLevel', expected, received: 'undefined' });
  }
  const level = rawLevel ?? (fitsTurns ? 'turn' : 'token');
  if (level === 'turn' ? !fitsTurns : !fitsTokens) {
    const expected = `length ${level === 'turn' ? turns.count : tokens} (advantageLevel "${level}")`;
    const received = `length ${advantages.length}`;
    throw new InvalidInputError({ code: 'ERR_LENGTH', path: 'advantages', expected, received });
  }
  checkFinite(advantages, 'advantages', 'a finite number');
  const rawScale = fields.take('clipScale');
  if (rawScale === undefined && estimator.gate.adapt !== null) {
    const expected = `the clip scales beside advantages: the estimator "${estimator.name}" adapts its clip range`;
    throw new InvalidInputError({ code: 'ERR_MISSING', path: 'clipScale', expected, received: 'undefined' });
  }
  const clipScale =
    rawScale === undefined ? null : float64(rawScale, 'clipScale', 'like advantages', advantages.length);
  if (clipScale) {
    checkFinite(clipScale, 'clipScale', 'a finite number of at least 0');
    const negative = clipScale.findIndex((scale) => scale < 0);
    if (negative >= 0) {
      const received = String(clipScale[negative]);
      const expected = 'a finite number of at least 0';
      throw new InvalidInputError({ code: 'ERR_RANGE', path: `clipScale[${negative}]`, expected, received });
    }
  }
  return { level, advantages, clipScale } as const;
}

function checkFinite(values: Float64Array, path: string, expected: string): void {
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return;
  const received = String(values[at]);
  throw new InvalidInputError({ code: 'ERR_NON_FINITE', path: `${path}[${at}]`, expected, received });
}
