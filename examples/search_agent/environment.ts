/**
 * The task: questions about a knowledge base that the agent cannot see, but can search.
 *
 * "Who is the mentor of the rival of Kina?" takes two searches, `search Kina rival end` and `search THAT mentor end`, and then
 * `answer X end`. Only the answer is rewarded: 1 if right, 0 if wrong or never given.
 */

import type { Random } from '../shared/random.js';
import { answer, end, entities, isEntity, isRelation, relations, result, search, textOf } from './tokens.js';

/** The end of the chain `start --relations[0]--> ... --relations[last]--> answer`; one or two relations. */
export interface Question {
  start: number;
  relations: readonly number[];
  answer: number;
}

/** One fact per entity and relation, drawn at random: nothing about an answer can be guessed from the question. */
export class KnowledgeBase {
  /** facts[entity][relation], by token. */
  private readonly facts: number[][] = [];

  constructor(random: Random) {
    for (const entity of entities) {
      this.facts[entity] = [];
      for (const relation of relations) this.facts[entity][relation] = random.choice(entities);
    }
  }

  lookUp(entity: number, relation: number): number {
    return this.facts[entity][relation];
  }

  /** Every question with one relation and every one with two different ones. */
  questions(): Question[] {
    const all: Question[] = [];
    for (const start of entities) {
      for (const first of relations) {
        all.push(this.ask(start, [first]));
        for (const second of relations) if (second !== first) all.push(this.ask(start, [first, second]));
      }
    }
    return all;
  }

  private ask(start: number, chain: readonly number[]): Question {
    return {
      start,
      relations: chain,
      answer: chain.reduce((entity, relation) => this.lookUp(entity, relation), start),
    };
  }
}

export const maxTurns = 4;
export const maxTurnTokens = 4;

export interface Reply {
  /** What the environment appends to the context; empty when the episode is over. */
  observation: readonly number[];
  done: boolean;
  outcome: number;
}

/** Reads a turn the agent has generated (with its `end`, unless it ran out of tokens) and replies. */
export function replyTo(
  knowledge: KnowledgeBase,
  question: Question,
  turn: readonly number[],
  turnIndex: number,
): Reply {
  const [verb, entity, relation] = turn;
  const closed = turn.at(-1) === end;
  if (
    closed &&
    turn.length === 4 &&
    verb === search &&
    isEntity(entity) &&
    isRelation(relation) &&
    turnIndex + 1 < maxTurns
  ) {
    return { observation: [result, knowledge.lookUp(entity, relation)], done: false, outcome: 0 };
  }
  // Anything else ends the episode: an answer, a malformed turn, or the last turn spent on one more search.
  const right = closed && turn.length === 3 && verb === answer && entity === question.answer;
  return { observation: [], done: true, outcome: right ? 1 : 0 };
}

export function questionText(question: Question): string {
  const chain = [...question.relations].reverse().map((relation) => `the ${textOf(relation)} of `);
  return `Who is ${chain.join('')}${textOf(question.start)}?`;
}
