/** Properties for fast-check: each one with a fixed seed, which CI compares from run to run, and with a fresh one, which is printed. */
import fc from 'fast-check';
import { test } from 'vitest';
import type { SampleOptions } from './sample.js';

const FIXED_SEED = 20260506;
const fresh = Number(process.env.TURNWISE_SEED ?? Date.now() % 2 ** 31);
let announced = false;

/** `check` throws where the property does not hold. */
export function property<T>(title: string, values: fc.Arbitrary<T>, check: (value: T) => void, runs = 12): void {
  const run = (seed: number) => fc.assert(fc.property(values, check), { seed, numRuns: runs, endOnFailure: false });
  test(`${title} (fixed seed)`, () => run(FIXED_SEED));
  test(`${title} (fresh seed)`, () => {
    if (!announced) console.info(`fresh seed of the properties: ${fresh} (TURNWISE_SEED=${fresh} repeats it)`);
    announced = true;
    run(fresh);
  });
}

/** Batches of every small shape; fast-check shrinks towards one trajectory of one prompt and a vocabulary of 1. */
export function samples(least = 1): fc.Arbitrary<Required<Omit<SampleOptions, 'device'>>> {
  return fc.record({
    seed: fc.integer({ min: 1, max: 10_000 }),
    trajectories: fc.integer({ min: least, max: 9 }),
    prompts: fc.integer({ min: 1, max: 4 }),
    width: fc.constantFrom(1, 2, 3, 8, 17, 40),
    scale: fc.constantFrom(0.1, 1, 5),
  });
}
