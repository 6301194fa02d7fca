/** Six loss tokens with log-ratios that are exact in float32, for losses by hand. */
import { expect } from 'vitest';
import type { GateArgs, RatioArgs, SurrogateArgs } from '../../lib/ops.js';
import { GATE, RATIO } from '../support/records.mjs';
import { ops, surrogateArgs, turnsOf } from './fixtures.js';

export const OK = { code: 'ok', position: -1 };
export const f32 = (...values: number[]) => Float32Array.from(values);
export const f64 = (...values: number[]) => Float64Array.from(values);

/** Trajectory 0: turns of 2 and 1 tokens; trajectory 1: one turn of 3. */
export const turns = turnsOf([[2, 1], [3]]);
// Old log-probs -1 everywhere, so that these are the log-ratios plus -1, exact in float32.
export const logRatios = [0.5, -0.25, 0.125, -0.5, 0, 0.25];
export const logProbs = Float32Array.from(logRatios, (x) => x - 1);
export const oldLogProbs = new Float32Array(6).fill(-1);

export const ratio = (given: Partial<RatioArgs>): RatioArgs => ({ ...RATIO, ...given });
export const gate = (given: Partial<GateArgs>): GateArgs => ({ ...GATE, ...given });

export function run(given: Partial<SurrogateArgs> = {}): SurrogateArgs {
  const args = surrogateArgs({ logProbs, oldLogProbs, turns, advantages: f64(1, 2, -1), ...given });
  expect(ops.surrogate(args)).toEqual(OK);
  return args;
}
