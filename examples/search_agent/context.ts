/**
 * What the policy sees of an episode so far, as a fixed number of features.
 *
 * A transformer attends to its context; this example's policy is a small network and gets by hand what attention would find:
 * the words of the question, the last search and its result, and whether the last search asked for what the question asks.
 * Every feature is a small integer below `vocabularySize`, mostly the token itself.
 */

import type { Question } from './environment.js';
import { none } from './tokens.js';

/** Position of each feature in a row. */
const slot = {
  turn: 0,
  verb: 1,
  previous: 2,
  start: 3,
  firstRelation: 4,
  secondRelation: 5,
  searchedRelation: 6,
  lastResult: 7,
  searchedRight: 8,
} as const;

export const featureCount = Object.keys(slot).length;

/** Features that hold a word the policy may want to say next; the network can raise the logit of "the word in this slot". */
export const copySlots: readonly number[] = [slot.start, slot.firstRelation, slot.secondRelation, slot.lastResult];

export class Context {
  readonly question: Question;
  /** The tokens of the current turn so far. */
  turn: number[] = [];
  lastResult = none;
  private turnIndex = 0;
  private searchedEntity = none;
  private searchedRelation = none;

  constructor(question: Question) {
    this.question = question;
  }

  /** The agent has said `token`. */
  say(token: number): void {
    this.turn.push(token);
  }

  /** The environment has replied `=> ENTITY` (or nothing, at the end); a new turn begins. */
  observe(observation: readonly number[]): void {
    if (observation.length > 0) {
      this.searchedEntity = this.turn[1];
      this.searchedRelation = this.turn[2];
      this.lastResult = observation[1];
    }
    this.turn = [];
    this.turnIndex++;
  }

  /** Writes to `row[at ...]` the features that the token after `turn` is predicted from. */
  writeFeatures(row: number[] | Int32Array, at: number, turn: readonly number[] = this.turn): void {
    const { start, relations } = this.question;
    row[at + slot.turn] = this.turnIndex;
    row[at + slot.verb] = turn[0] ?? none;
    row[at + slot.previous] = turn.at(-1) ?? none;
    row[at + slot.start] = start;
    row[at + slot.firstRelation] = relations[0];
    row[at + slot.secondRelation] = relations[1] ?? none;
    row[at + slot.searchedRelation] = this.searchedRelation;
    row[at + slot.lastResult] = this.lastResult;
    row[at + slot.searchedRight] = this.searchedRight();
  }

  /** 0 no search yet, 1 first relation from the start, 2 second relation, 3 something else. */
  private searchedRight(): number {
    if (this.searchedRelation === none) return 0;
    if (this.searchedEntity === this.question.start && this.searchedRelation === this.question.relations[0]) return 1;
    return this.searchedRelation === this.question.relations[1] ? 2 : 3;
  }
}
