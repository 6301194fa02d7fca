/**
 * A seeded random generator, so that an example prints the same curve on every run (Math.random cannot be seeded).
 *
 * Small fast counter generator of 128 bits ("sfc32", PractRand, Chris Doty-Humphrey), 32 bits a step, plain integer arithmetic:
 * the same stream on every machine.
 */

export interface Random {
  /** Uniform in [0, 1), 32 random bits. */
  uniform(): number;
  /** Uniform integer in [0, count). */
  integer(count: number): number;
  /** Standard normal. */
  normal(): number;
  /** One element, each equally likely. */
  choice<T>(items: readonly T[]): T;
  /** Index drawn with probability `weights[i] / sum(weights)`; the weights need not be normalised. */
  weighted(weights: ArrayLike<number>): number;
  /** Shuffles in place (Fisher-Yates) and returns the same array. */
  shuffle<T extends { length: number; [index: number]: unknown }>(items: T): T;
  /** An independent stream; does not advance this one by more than a step. */
  fork(): Random;
}

export function seededRandom(seed: number): Random {
  let a = 0x9e3779b9;
  let b = Math.floor(seed / 2 ** 32) | 0;
  let c = seed | 0;
  let counter = 1;

  const bits = (): number => {
    const out = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + out) | 0;
    return out >>> 0;
  };
  // Neighbouring seeds start in neighbouring states; a dozen steps pull their streams apart.
  for (let step = 0; step < 16; step++) bits();

  const random: Random = {
    uniform: () => bits() / 2 ** 32,
    integer: (count) => Math.floor((bits() / 2 ** 32) * count),
    normal() {
      const radius = Math.sqrt(-2 * Math.log(1 - random.uniform()));
      return radius * Math.cos(2 * Math.PI * random.uniform());
    },
    choice: (items) => items[random.integer(items.length)],
    weighted(weights) {
      let total = 0;
      for (let i = 0; i < weights.length; i++) total += weights[i];
      let left = random.uniform() * total;
      for (let i = 0; i < weights.length - 1; i++) {
        left -= weights[i];
        if (left < 0) return i;
      }
      return weights.length - 1;
    },
    shuffle(items) {
      for (let i = items.length - 1; i > 0; i--) {
        const j = random.integer(i + 1);
        const kept = items[i];
        items[i] = items[j];
        items[j] = kept;
      }
      return items;
    },
    fork: () => seededRandom(bits() + 2 ** 32 * bits()),
  };
  return random;
}
