/**
 * The vocabulary: one integer per word, as a language model would have it.
 *
 * A turn of the agent is `search ENTITY RELATION end` or `answer ENTITY end`; the environment replies `=> ENTITY`.
 */

const verbs = ['(none)', 'search', 'answer', 'end', '=>'] as const;
const relationNames = ['mother', 'mentor', 'rival', 'neighbour', 'employer', 'friend'] as const;
const openings = ['Ba', 'Do', 'Ki', 'Lu', 'Me', 'Ra', 'So', 'Ti'] as const;
const endings = ['bo', 'lin', 'mar', 'na', 'ris', 'ven'] as const;
const entityNames = openings.flatMap((opening) => endings.map((ending) => opening + ending));
const words: readonly string[] = [...verbs, ...relationNames, ...entityNames];

export const none = 0;
export const search = 1;
export const answer = 2;
export const end = 3;
export const result = 4;

export const relations: readonly number[] = relationNames.map((_, i) => verbs.length + i);
export const entities: readonly number[] = entityNames.map((_, i) => verbs.length + relationNames.length + i);
export const vocabularySize = words.length;

export const isRelation = (token: number): boolean => token >= relations[0] && token < entities[0];
export const isEntity = (token: number): boolean => token >= entities[0];
export const textOf = (token: number): string => words[token];
