import { float64, type Integers, int32, type Reals } from '../check/arrays.js';
import { Fields } from '../check/fields.js';
import { InvalidInputError } from '../errors.js';
import { readTurns } from './read_turns.js';
import type { Turns } from './turns.js';

export interface InformationGainInput {
  turns: Turns;
  /** [S] log-probs of the true answer's tokens, teacher-forced after each turn by the rollout policy, turn after turn. */
  answerLogProbs: Reals;
  /** [K+1] offsets into answerLogProbs; an empty span = the answer could not be scored after this turn. */
  answerOffsets: Integers;
  /** [P] the same, scored before the first turn; with it the first turn has a signal too. */
  promptLogProbs?: Reals | undefined;
  /** [M+1] offsets into promptLogProbs. */
  promptOffsets?: Integers | undefined;
  /**
   * With l the mean log-prob of the answer's tokens: 'log-prob' (default) l_k - l_{k-1}, the A²TGPO release; 'probability'
   * exp(l_k) - exp(l_{k-1}), the IGPO release.
   */
  mode?: 'log-prob' | 'probability' | undefined;
  /** 'outcome' (default): the last turn carries the outcome and has no gain of its own; 'signal': it has one. */
  lastTurn?: 'outcome' | 'signal' | undefined;
}

/**
 * Information gain of each turn: the change in the policy's own (length-normalised) belief in the true answer.
 *
 *   l_k = (1/|a|) Σ_i log π(a_i | prefix through turn k, a_<i)
 *   gain_k = l_k - l_j, j the last turn before k that could be scored ('probability': the same of exp(l))
 *
 * Source: A²TGPO (arXiv 2605.06200) and its release; IGPO and its release for mode 'probability'.
 *
 * @returns [K] float64; NaN = no signal (not scored, nothing to compare with, or a last turn that carries the outcome). An exact
 * 0 is a signal.
 */
export function informationGain(input: InformationGainInput): Float64Array {
  const fields = new Fields(input, '', 'input');
  const turns = readTurns(fields.take('turns'), 'turns');
  const logProbs = float64(fields.take('answerLogProbs'), 'answerLogProbs', '[S]');
  const offsets = readOffsetsOf(fields.take('answerOffsets'), 'answerOffsets', turns.count, logProbs.length, '[K+1]');
  const promptLogProbs = fields.has('promptLogProbs')
    ? float64(fields.take('promptLogProbs'), 'promptLogProbs', '[P]')
    : null;
  const trajectories = turns.count === 0 ? 0 : turns.trajectory[turns.count - 1] + 1;
  const rawPromptOffsets = fields.take('promptOffsets');
  const mode = fields.oneOf('mode', ['log-prob', 'probability'], 'log-prob');
  const lastTurn = fields.oneOf('lastTurn', ['outcome', 'signal'], 'outcome');
  fields.end();
  if ((promptLogProbs === null) !== (rawPromptOffsets === undefined)) {
    throw new InvalidInputError({
      code: 'ERR_MISSING',
      path: promptLogProbs === null ? 'promptLogProbs' : 'promptOffsets',
      expected: 'promptLogProbs and promptOffsets together',
      received: 'undefined',
    });
  }
  const promptOffsets =
    promptLogProbs && readOffsetsOf(rawPromptOffsets, 'promptOffsets', undefined, promptLogProbs.length, '[M+1]');
  if (promptOffsets && promptOffsets.length <= trajectories) {
    const expected = `length of at least ${trajectories + 1} ([M+1])`;
    const received = `length ${promptOffsets.length}`;
    throw new InvalidInputError({ code: 'ERR_LENGTH', path: 'promptOffsets', expected, received });
  }

  const belief = (values: Float64Array, begin: number, end: number, path: string): number => {
    let sum = 0;
    for (let i = begin; i < end; i++) {
      if (!(values[i] <= ROUNDING) || values[i] === -Infinity) {
        const expected = 'a finite log-prob (at most 0, up to rounding)';
        throw new InvalidInputError({
          code: 'ERR_RANGE',
          path: `${path}[${i}]`,
          expected,
          received: String(values[i]),
        });
      }
      sum += values[i];
    }
    if (begin === end) return Number.NaN;
    const mean = sum / (end - begin);
    return mode === 'log-prob' ? mean : Math.exp(mean);
  };

  const gain = new Float64Array(turns.count);
  let baseline = Number.NaN;
  for (let k = 0; k < turns.count; k++) {
    const trajectory = turns.trajectory[k];
    if (k === 0 || turns.trajectory[k - 1] !== trajectory) {
      baseline = promptOffsets
        ? belief(promptLogProbs!, promptOffsets[trajectory], promptOffsets[trajectory + 1], 'promptLogProbs')
        : Number.NaN;
    }
    const now = belief(logProbs, offsets[k], offsets[k + 1], 'answerLogProbs');
    const last = k + 1 === turns.count || turns.trajectory[k + 1] !== trajectory;
    gain[k] = last && lastTurn === 'outcome' ? Number.NaN : now - baseline;
    if (!Number.isNaN(now)) baseline = now;
  }
  return gain;
}

/** Inference engines report log-probs that rounding lifted just above 0. */
const ROUNDING = 1e-5;

function readOffsetsOf(
  value: unknown,
  path: string,
  spans: number | undefined,
  total: number,
  shape: string,
): Int32Array {
  const offsets = int32(value, path, shape, spans === undefined ? undefined : spans + 1);
  for (let i = 0; i < offsets.length; i++) {
    const least = i === 0 ? 0 : offsets[i - 1];
    const most = i === 0 ? 0 : total;
    const exact = i === offsets.length - 1 && i > 0 ? total : undefined;
    if (offsets[i] < least || offsets[i] > most || (exact !== undefined && offsets[i] !== exact)) {
      const expected = exact !== undefined ? `${exact} (the number of log-probs)` : `a value in [${least}, ${most}]`;
      throw new InvalidInputError({
        code: 'ERR_OFFSETS',
        path: `${path}[${i}]`,
        expected,
        received: String(offsets[i]),
      });
    }
  }
  return offsets;
}
