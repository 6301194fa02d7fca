import { describe } from '../../check/describe.js';
import { Fields } from '../../check/fields.js';
import { InvalidInputError } from '../../errors.js';
import type { Level, Place } from '../../ops.js';
import { type KlValue, type KlValueInput, readKlValue } from './kl.js';

/** Signals that have an argument of their own: `outcome` [M], `turnRewards` [K], `informationGain` [K], `tokenRewards` [N]. */
export type BuiltInTerm = 'outcome' | 'turn-reward' | 'information-gain' | 'token-reward';

/** One of the caller's arrays: a built-in one, or `signals[name]` with one value per unit of `level`. */
export type Term = BuiltInTerm | { name: string; level: Level };

/** Multiply a signal by std(outcome) / std(signal) over the batch, each at least `floor`. */
export type Rescale = { kind: 'match-outcome-std'; floor: number };

/** What a last turn does where a channel reads information gain: carry the outcome (a finite gain there is an error), or its own gain. */
export type LastTurn = 'outcome' | 'signal';

/**
 * S1, what is rewarded: one value per unit of `level`, the sum of `terms` (at most one per level).
 *
 * A coarser term (the outcome among turns or tokens) goes where `place` says; finer ones (turn rewards of a whole trajectory) are summed.
 */
export interface Signal {
  level: Level;
  terms: readonly Term[];
  /** Only beside a term coarser than `level`: on the last unit of its range (default), or on every one. */
  place?: Place;
  /** Only with information-gain. Default 'outcome'. */
  lastTurn?: LastTurn;
  /** Only at turn level. */
  rescale?: Rescale;
  /** Only at token level: -coef * KL(old ‖ reference) on every loss token. */
  klPenalty?: KlValue;
}

/** A built-in term alone stands for the signal at its own level. */
export type SignalInput = BuiltInTerm | (Omit<Signal, 'klPenalty'> & { klPenalty?: KlValueInput });

export const LEVELS = ['token', 'turn', 'sequence'] as const;

const LEVEL_OF: Readonly<Record<BuiltInTerm, Level>> = {
  outcome: 'sequence',
  'turn-reward': 'turn',
  'information-gain': 'turn',
  'token-reward': 'token',
};
const BUILT_IN = Object.keys(LEVEL_OF) as BuiltInTerm[];

export function levelOf(term: Term): Level {
  return typeof term === 'string' ? LEVEL_OF[term] : term.level;
}

/** How a term is shown: its built-in name, or the caller's. */
export function nameOf(term: Term): string {
  return typeof term === 'string' ? term : term.name;
}

/** Whether `a` has fewer units than `b`. */
export function isCoarser(a: Level, b: Level): boolean {
  return LEVELS.indexOf(a) > LEVELS.indexOf(b);
}

export function readSignal(channel: Fields): Signal {
  const value = channel.required('signal', 'a signal');
  if (typeof value === 'string') {
    const term = channel.oneOf('signal', BUILT_IN);
    return term === 'information-gain'
      ? { level: LEVEL_OF[term], terms: [term], lastTurn: 'outcome' }
      : { level: LEVEL_OF[term], terms: [term] };
  }
  return channel.object('signal', (fields) => {
    const level = fields.oneOf('level', LEVELS);
    const terms = readTerms(fields);
    return {
      level,
      terms,
      ...(terms.some((term) => isCoarser(levelOf(term), level))
        ? { place: fields.oneOf('place', ['last', 'every'], 'last') }
        : {}),
      ...(terms.includes('information-gain')
        ? { lastTurn: fields.oneOf('lastTurn', ['outcome', 'signal'], 'outcome') }
        : {}),
      ...(level === 'turn' && fields.has('rescale') ? { rescale: fields.object('rescale', readRescale) } : {}),
      ...(level === 'token' && fields.has('klPenalty') ? { klPenalty: fields.object('klPenalty', readKlValue) } : {}),
    };
  });
}

function readTerms(fields: Fields): Term[] {
  const value = fields.required('terms', 'an array of terms');
  const path = fields.at('terms');
  const fail = (code: 'ERR_TYPE' | 'ERR_ESTIMATOR', at: string, expected: string, received: string): never => {
    throw new InvalidInputError({ code, path: at, expected, received });
  };
  if (!Array.isArray(value) || value.length === 0) return fail('ERR_TYPE', path, 'an array of terms', describe(value));
  const terms = value.map((term, i): Term => {
    if (typeof term === 'string') return new Fields({ term }, path, path).oneOf('term', BUILT_IN);
    const named = new Fields(term, `${path}[${i}]`);
    const read = { name: named.string('name'), level: named.oneOf('level', LEVELS) };
    named.end();
    return read;
  });
  const levels = terms.map(levelOf);
  const twice = levels.findIndex((level, i) => levels.indexOf(level) !== i);
  if (twice > 0) {
    fail('ERR_ESTIMATOR', `${path}[${twice}]`, 'at most one term per level', `another one per ${levels[twice]}`);
  }
  return terms;
}

function readRescale(fields: Fields): Rescale {
  return { kind: fields.oneOf('kind', ['match-outcome-std']), floor: fields.number('floor', { above: 0 }) };
}
