/**
 * Log-probabilities under a model: of what was said in the batch, and of the true actions after each turn.
 * The logits exist for a chunk of rows at a time, never [N, V] for all of them.
 */
import { gatherLogProbsSync } from 'turnwise';
import { type Batch, eachRow } from './batch.js';
import type { LanguageModel, Place } from './language_model.js';

const CHUNK = 1024;

/** Collects places, scores them chunk by chunk with the library's `gatherLogProbsSync`. */
class Scorer {
  private readonly logits: Float32Array;
  private readonly targets = new Int32Array(CHUNK);
  private readonly scored: number[] = [];
  private waiting = 0;

  constructor(private readonly model: LanguageModel) {
    this.logits = new Float32Array(CHUNK * model.vocabulary);
  }

  /** How many places were added. */
  get length(): number {
    return this.scored.length + this.waiting;
  }

  add(place: Place): void {
    const { vocabulary } = this.model;
    this.model.logitsInto(this.logits.subarray(this.waiting * vocabulary, (this.waiting + 1) * vocabulary), place);
    this.targets[this.waiting] = place.tokens[place.position];
    if (++this.waiting === CHUNK) this.flush();
  }

  /** The log-prob of each place's token, in the order of `add`. */
  finish(): Float32Array {
    this.flush();
    return Float32Array.from(this.scored);
  }

  private flush(): void {
    if (this.waiting === 0) return;
    const { logProbs } = gatherLogProbsSync({
      logits: this.logits.subarray(0, this.waiting * this.model.vocabulary),
      targets: this.targets.subarray(0, this.waiting),
    });
    for (const logProb of logProbs) this.scored.push(logProb);
    this.waiting = 0;
  }
}

/** [N] log-prob of each row's target. */
export function scoreBatch(batch: Batch, model: LanguageModel): Float32Array {
  const scorer = new Scorer(model);
  for (let m = 0; m < batch.conversations.length; m++) eachRow(batch, m, (place) => scorer.add(place));
  return scorer.finish();
}

export interface AnswerScores {
  /** Before the first turn, per trajectory. */
  promptLogProbs: Float32Array;
  promptOffsets: Int32Array;
  /** After each turn and what it brought about (tool result, user's reply), up to the header of the next turn. */
  answerLogProbs: Float32Array;
  answerOffsets: Int32Array;
}

/**
 * The log-probs of each task's true actions, as if the assistant said them now, before the first turn and after each turn.
 * Empty spans: after the last turn, which carries the outcome, and where the task has no true actions.
 */
export function scoreAnswers(batch: Batch, model: LanguageModel): AnswerScores {
  const prompt = new Scorer(model);
  const answer = new Scorer(model);
  const promptOffsets = [0];
  const answerOffsets = [0];
  for (let m = 0; m < batch.conversations.length; m++) {
    eachRow(batch, m, (place, row) => {
      const startsTurn = batch.turnIds[row] >= 0 && batch.turnIds[row - 1] === -1;
      if (!startsTurn) return;
      const first = batch.turnIds[row] === 0;
      addAnswer(first ? prompt : answer, place, batch.answers[m]);
      if (!first) answerOffsets.push(answer.length);
    });
    promptOffsets.push(prompt.length);
    answerOffsets.push(answer.length);
  }
  return {
    promptLogProbs: prompt.finish(),
    promptOffsets: Int32Array.from(promptOffsets),
    answerLogProbs: answer.finish(),
    answerOffsets: Int32Array.from(answerOffsets),
  };
}

/** Teacher forcing: each token of the answer is predicted from the true ones before it; copies come from the conversation alone. */
function addAnswer(scorer: Scorer, { tokens, position, memory }: Place, answer: readonly number[]): void {
  const before = [position - 3, position - 2, position - 1].map((i) => tokens[i] ?? 0);
  const forced = [...before, ...answer];
  for (let i = before.length; i < forced.length; i++) scorer.add({ tokens: forced, position: i, memory });
}
