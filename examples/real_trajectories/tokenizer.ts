/**
 * A byte-pair tokeniser over characters, trained on the file itself: deterministic, lossless on that file, about a second.
 *
 * Text is first cut into words, runs of up to three digits, punctuation and blanks; the most frequent neighbouring pair inside them
 * becomes a token, again and again, until the vocabulary is full (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909).
 */
import type { Role } from './conversations.js';

const PIECES = / ?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+/gu;

/** One header token per role, then the end of a message: written by the chat template resp. by the speaker. */
const SPECIAL = ['system', 'user', 'assistant', 'tool', 'end'] as const;

export interface Tokenizer {
  /** V. */
  readonly size: number;
  readonly end: number;
  header(role: Role): number;
  encode(text: string): number[];
}

interface Word {
  symbols: number[];
  count: number;
}

/**
 * @param texts what to learn from; a text given n times counts n times
 * @param size the vocabulary is at most this large
 */
export function trainTokenizer(texts: Iterable<string>, size: number): Tokenizer {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const piece of text.match(PIECES) ?? []) counts.set(piece, (counts.get(piece) ?? 0) + 1);
  }

  const vocabulary: string[] = SPECIAL.map((name) => `<${name}>`);
  const characters = new Map<string, number>();
  for (const character of new Set([...counts.keys()].join('')))
    characters.set(character, vocabulary.push(character) - 1);
  const spell = (piece: string) =>
    Array.from(piece, (character) => {
      const symbol = characters.get(character);
      if (symbol === undefined) throw new RangeError(`character ${JSON.stringify(character)} is not in the vocabulary`);
      return symbol;
    });

  const words = Array.from(counts, ([piece, count]): Word => ({ symbols: spell(piece), count }));
  const ranks = learnMerges(words, vocabulary, size);
  return makeTokenizer(vocabulary.length, spell, ranks);
}

/** A pair of tokens as one number: below 2^32 for any vocabulary that fits 16 bits. */
const pairOf = (left: number, right: number) => left * 65536 + right;

/** Adds the merges to `vocabulary`; returns pair -> the token it becomes. A lower token was learnt earlier and merges first. */
function learnMerges(words: Word[], vocabulary: string[], size: number): Map<number, number> {
  const merges = new Map<number, number>();
  const frequency = new Map<number, number>();
  const where = new Map<number, Set<Word>>();
  const tally = (word: Word, sign: 1 | -1) => {
    for (let i = 1; i < word.symbols.length; i++) {
      const pair = pairOf(word.symbols[i - 1], word.symbols[i]);
      frequency.set(pair, (frequency.get(pair) ?? 0) + sign * word.count);
      if (sign > 0) where.set(pair, (where.get(pair) ?? new Set()).add(word));
    }
  };
  for (const word of words) tally(word, 1);

  while (vocabulary.length < size) {
    let best = -1;
    let most = 1;
    // Strictly greater: a tie goes to the pair met first, so the result depends on the file alone.
    for (const [pair, count] of frequency) if (count > most) [best, most] = [pair, count];
    if (best < 0) break;
    const [left, right] = [Math.floor(best / 65536), best % 65536];
    const merged = vocabulary.push(vocabulary[left] + vocabulary[right]) - 1;
    merges.set(best, merged);
    for (const word of where.get(best) ?? []) {
      tally(word, -1);
      word.symbols = join(word.symbols, left, right, merged);
      tally(word, 1);
    }
    frequency.delete(best);
    where.delete(best);
  }
  return merges;
}

/** Replaces every `left right` by `merged`. */
function join(symbols: number[], left: number, right: number, merged: number): number[] {
  const joined: number[] = [];
  for (let i = 0; i < symbols.length; i++) {
    const hit = symbols[i] === left && symbols[i + 1] === right;
    joined.push(hit ? merged : symbols[i]);
    if (hit) i++;
  }
  return joined;
}

function makeTokenizer(size: number, spell: (piece: string) => number[], merges: Map<number, number>): Tokenizer {
  const known = new Map<string, number[]>();
  const encodePiece = (piece: string): number[] => {
    let symbols = spell(piece);
    for (;;) {
      let [left, right, merged] = [-1, -1, Number.POSITIVE_INFINITY];
      for (let i = 1; i < symbols.length; i++) {
        const token = merges.get(pairOf(symbols[i - 1], symbols[i]));
        if (token !== undefined && token < merged) [left, right, merged] = [symbols[i - 1], symbols[i], token];
      }
      if (left < 0) return symbols;
      symbols = join(symbols, left, right, merged);
    }
  };
  return {
    size,
    end: SPECIAL.indexOf('end'),
    header: (role) => SPECIAL.indexOf(role),
    encode(text) {
      const tokens: number[] = [];
      for (const piece of text.match(PIECES) ?? []) {
        const encoded = known.get(piece) ?? encodePiece(piece);
        known.set(piece, encoded);
        for (const token of encoded) tokens.push(token);
      }
      return tokens;
    },
  };
}
