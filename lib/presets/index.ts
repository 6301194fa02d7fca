/** The published methods by name, for docs/estimators.md and `npx turnwise estimators`. */
import { InvalidInputError } from '../errors.js';
import type { Estimator } from '../estimator/types.js';
import * as methods from './methods.js';

export interface PresetEntry {
  // Each preset has options of its own; whoever lists them passes those of `example`, or undefined.
  make: (options: never) => Estimator;
  /** Values for required options (what a paper leaves open), only to show the stages. */
  example?: Readonly<Record<string, unknown>>;
}

const EXAMPLES: Readonly<Record<string, PresetEntry['example']>> = {
  cispo: { high: 4 },
  drGrpo: { horizon: 4096 },
  gdpo: { rewards: { accuracy: 1, format: 1 } },
  mapo: { gamma: 1, turnWeight: 0.5, batchWeight: 0.5, ddof: 1, eps: 1e-6 },
  portool: { forkWeight: 0.5, trajectoryWeight: 0.5 },
  stratifiedGrpo: { eps: 1e-6, alpha: 0.5, ddof: 1 },
  tPpo: { gamma: 1, lambda: 0.95 },
};

export const presets: Readonly<Record<string, PresetEntry>> = Object.fromEntries(
  Object.entries(methods).map(([name, make]) => {
    const example = EXAMPLES[name];
    return [name, example ? { make, example } : { make }];
  }),
);

/**
 * The estimator of a preset. `example`: the values that stand in for required options, where they were left out.
 *
 * @throws InvalidInputError as the preset does
 */
export function makePreset(name: string, options: object = {}): { estimator: Estimator; example?: object } {
  const { make, example } = presets[name];
  try {
    return { estimator: make(options as never) };
  } catch (error) {
    const missing = error instanceof InvalidInputError && error.code === 'ERR_MISSING';
    if (!missing || example === undefined) throw error;
    return { estimator: make({ ...example, ...options } as never), example };
  }
}
