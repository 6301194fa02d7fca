/**
 * A small language model in plain TypeScript, trained on the spot. Log-linear in what a token depends on:
 *
 *   logits = T1[last] + T2[last but one] + T3[last but two]      a row of V logits for each, V x V tables
 *          + c0 * log(1 + count)                                  count: how often the token stands in the conversation so far
 *          + c1 at the token that last followed `last`, + c2 at the token that last followed `last but one, last`
 *
 * The last line copies: a booking number that a tool has returned becomes likely, and this is what makes the log-probability of the true
 * actions rise with the turns. Everything is learnt by stochastic gradient descent on the cross-entropy.
 */

const DISTANCES = 3;
const ABSENT = -1;

/** Every row of logits moves the three copying weights: at the tables' rate they would swing from row to row. */
const SLOWER = [0.01, 0.1, 0.1] as const;

/** What the model knows of a conversation: everything said before the token to predict. */
export class Memory {
  /** log(1 + count) of each token. */
  readonly seen: Float32Array;
  private readonly counts: Int32Array;
  private readonly followers: Int32Array;
  private readonly pairFollowers = new Map<number, number>();
  private last = ABSENT;
  private lastButOne = ABSENT;

  constructor(private readonly vocabulary: number) {
    this.seen = new Float32Array(vocabulary);
    this.counts = new Int32Array(vocabulary);
    this.followers = new Int32Array(vocabulary).fill(ABSENT);
  }

  remember(token: number): void {
    this.counts[token]++;
    this.seen[token] = Math.log1p(this.counts[token]);
    if (this.last !== ABSENT) this.followers[this.last] = token;
    if (this.lastButOne !== ABSENT) this.pairFollowers.set(this.lastButOne * this.vocabulary + this.last, token);
    this.lastButOne = this.last;
    this.last = token;
  }

  /** The token that last followed `token`, -1 where none did. */
  follower(token: number): number {
    return this.followers[token] ?? ABSENT;
  }

  followerOfPair(first: number, second: number): number {
    return this.pairFollowers.get(first * this.vocabulary + second) ?? ABSENT;
  }
}

/** The place of a prediction: `tokens[position]` is to be predicted from the tokens before it and from `memory`. */
export interface Place {
  tokens: ArrayLike<number>;
  position: number;
  memory: Memory;
}

/** Walks through a conversation; at each position `memory` holds what stands before it. */
export function walk(tokens: Int32Array, vocabulary: number, visit: (place: Place) => void): void {
  const place: Place = { tokens, position: 0, memory: new Memory(vocabulary) };
  for (; place.position < tokens.length; place.position++) {
    visit(place);
    place.memory.remember(tokens[place.position]);
  }
}

export class LanguageModel {
  private readonly slopes: Float32Array;

  /** All parameters zero: every token equally likely. */
  constructor(
    readonly vocabulary: number,
    private readonly tables = new Float32Array(DISTANCES * vocabulary * vocabulary),
    private readonly copying = new Float64Array(3),
  ) {
    this.slopes = new Float32Array(vocabulary);
  }

  clone(): LanguageModel {
    return new LanguageModel(this.vocabulary, this.tables.slice(), this.copying.slice());
  }

  /** Writes the V logits of the token at `place` into `row`. */
  logitsInto(row: Float32Array, place: Place): void {
    const { vocabulary, tables, copying } = this;
    const { memory } = place;
    const [first, second, third] = this.tableRows(place);
    const { seen } = memory;
    for (let v = 0; v < vocabulary; v++) {
      row[v] = tables[first + v] + tables[second + v] + tables[third + v] + copying[0] * seen[v];
    }
    const [follower, pairFollower] = this.followersAt(place);
    if (follower !== ABSENT) row[follower] += copying[1];
    if (pairFollower !== ABSENT) row[pairFollower] += copying[2];
  }

  /**
   * One step of gradient descent on -log p(tokens[position]).
   * @returns that -log p, before the step
   */
  learn(place: Place, rate: number): number {
    const { slopes } = this;
    const target = place.tokens[place.position];
    this.logitsInto(slopes, place);
    const logProb = softmaxInPlace(slopes, target);
    slopes[target] -= 1;
    this.descend(slopes, place, rate);
    return -logProb;
  }

  /** Moves the parameters against `slopes`, the gradient of some loss by the V logits at `place`. */
  descend(slopes: Float32Array, place: Place, rate: number): void {
    const { vocabulary, tables, copying } = this;
    const { seen } = place.memory;
    const [first, second, third] = this.tableRows(place);
    let seenSlope = 0;
    for (let v = 0; v < vocabulary; v++) {
      const slope = slopes[v];
      const step = rate * slope;
      tables[first + v] -= step;
      tables[second + v] -= step;
      tables[third + v] -= step;
      seenSlope += slope * seen[v];
    }
    const [follower, pairFollower] = this.followersAt(place);
    copying[0] -= SLOWER[0] * rate * seenSlope;
    if (follower !== ABSENT) copying[1] -= SLOWER[1] * rate * slopes[follower];
    if (pairFollower !== ABSENT) copying[2] -= SLOWER[2] * rate * slopes[pairFollower];
  }

  /** Where the table rows of the three tokens before `place` start. */
  private tableRows({ tokens, position }: Place): [number, number, number] {
    const start = (distance: number) => {
      const token = position >= distance ? tokens[position - distance] : 0;
      return ((distance - 1) * this.vocabulary + token) * this.vocabulary;
    };
    return [start(1), start(2), start(3)];
  }

  private followersAt({ tokens, position, memory }: Place): [number, number] {
    if (position < 2) return [ABSENT, ABSENT];
    return [memory.follower(tokens[position - 1]), memory.followerOfPair(tokens[position - 2], tokens[position - 1])];
  }
}

/** Logits -> probabilities; returns log p(target). */
function softmaxInPlace(row: Float32Array, target: number): number {
  let max = Number.NEGATIVE_INFINITY;
  for (let v = 0; v < row.length; v++) if (row[v] > max) max = row[v];
  const atTarget = row[target] - max;
  let sum = 0;
  for (let v = 0; v < row.length; v++) {
    const e = Math.exp(row[v] - max);
    row[v] = e;
    sum += e;
  }
  const scale = 1 / sum;
  for (let v = 0; v < row.length; v++) row[v] *= scale;
  return atTarget - Math.log(sum);
}
