/** Arguments, outputs and tolerances of a case of surrogate. */
import { METRIC_SLOTS, type Status, type SurrogateArgs } from '../../lib/ops.js';
import { random } from '../support/random.js';
import { LOSS_INPUTS } from '../support/records.mjs';
import { denominatorsOf, type Layout, randomLayout } from '../support/turns.js';
import { GATES, RATIOS } from './loss_options.js';
import { EXACT, float64, type OpCase } from './op_case.js';

export interface Content {
  layout: Layout;
  /** [N] log π - log π_old. */
  logRatio?: (n: number) => number;
  advantage?: (i: number) => number;
}

type Settings = Partial<SurrogateArgs>;

/** Prompts of the trajectories, mixed. */
function groupsOf({ trajectoryOffsets }: Layout): Int32Array {
  return Int32Array.from({ length: trajectoryOffsets.length - 1 }, (_, m) => 100 * ((7 * m) % 3) - 50);
}

/** Everything outside the loss is NaN: what is read there shows. */
function makeArgs({ layout, logRatio, advantage }: Content, settings: Settings): SurrogateArgs {
  const { normal, uniform } = random(91);
  const { tokens, turns, actionMask } = layout;
  const lost = (n: number, value: number) => (actionMask[n] === 1 ? value : Number.NaN);
  const of = (value: (n: number) => number) => Float32Array.from({ length: tokens }, (_, n) => lost(n, value(n)));
  const oldLogProbs = of(() => -4 * uniform());
  const logProbs = of((n) => Math.min(0, oldLogProbs[n] + (logRatio ? logRatio(n) : 0.3 * normal())));
  const level = settings.advantageLevel ?? 'turn';
  const count = level === 'turn' ? turns.starts.length : tokens;
  const perCount = (value: (i: number) => number) =>
    Float64Array.from({ length: count }, (_, i) => (level === 'turn' ? value(i) : lost(i, value(i))));
  const groups = groupsOf(layout);
  return {
    ...LOSS_INPUTS,
    logProbs,
    oldLogProbs,
    refLogProbs: of((n) => logProbs[n] + 0.5 * normal()),
    entropy: of(uniform),
    actionMask,
    turns,
    groups,
    advantageLevel: level,
    advantages: perCount(advantage ?? normal),
    clipScale: perCount(() => 0.7 + 0.6 * uniform()),
    ratioTargets: perCount(() => 4 * uniform() - 2),
    rolloutLogProbs: of((n) => oldLogProbs[n] + 0.2 * normal()),
    // One of ten is 0, and some are negative.
    tokenWeights: Float64Array.from({ length: tokens }, (_, n) => lost(n, n % 10 === 3 ? 0 : 2 * uniform() - 0.5)),
    ratio: RATIOS.token,
    gate: GATES.ppo,
    aggregate: 'token-mean',
    horizon: 7,
    denominators: { ...denominatorsOf(turns), prompts: promptsOf(layout, groups) },
    nonFinite: 'throw',
    coefficients: new Float64Array(tokens).fill(-99),
    entropyCoefficients: new Float64Array(tokens).fill(-99),
    metrics: new Float64Array(METRIC_SLOTS.length).fill(-99),
    ...settings,
  };
}

/** Prompts with a loss token. */
function promptsOf({ turns }: Layout, groups: Int32Array): number {
  const withLoss = Array.from(turns.tokens.keys()).filter((k) => turns.tokens[k] > 0);
  return new Set(withLoss.map((k) => groups[turns.trajectory[k]])).size;
}

const COUNTS = [
  'lossDenominator',
  'tokens',
  'clippedLow',
  'clippedHigh',
  'clippedDual',
  'clampedLogRatio',
  'clampedKl',
  'masked',
  'truncatedWeights',
  'nonFinite',
];

export function caseOf(
  title: string,
  why: string,
  content: () => Content,
  settings: Settings = {},
  status?: Status,
): OpCase<'surrogate'> {
  return {
    op: 'surrogate',
    title,
    why,
    make: () => makeArgs(content(), settings),
    ...(status ? { status } : {}),
    outputs: ({ coefficients, entropyCoefficients, metrics }) => [
      {
        name: 'coefficients',
        values: coefficients,
        // Policy, KL and coupled parts of either sign add up.
        tolerance: float64(coefficients, 64, 'exp and expm1 differ by a ULP between libraries', 2 ** -5),
      },
      {
        name: 'entropyCoefficients',
        values: entropyCoefficients ?? [],
        tolerance: float64(entropyCoefficients ?? [], 4, 'two products'),
      },
      ...METRIC_SLOTS.map((slot, i) => ({
        name: slot,
        values: metrics.subarray(i, i + 1),
        // A sum of terms of both signs is as exact as its terms, not as what is left of them.
        tolerance: COUNTS.includes(slot)
          ? EXACT
          : float64([coefficients.length, metrics[i]], 2 ** 12, 'as the terms it sums'),
      })),
    ],
  };
}

export const usual = (): Content => ({ layout: randomLayout(40, 8) });
