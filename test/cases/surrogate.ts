/** Cases of surrogate: ratio levels x forms x aggregates x KL x dual clip x clip scale, and log-probs on purpose. */
import {
  type Aggregate,
  type KlArgs,
  METRIC_SLOTS,
  type RatioArgs,
  type Status,
  type SurrogateArgs,
} from '../../lib/ops.js';
import { random } from '../support/random.js';
import { denominatorsOf, type Layout, layoutOf, randomLayout } from '../support/turns.js';
import { EXACT, float64, type OpCase } from './op_case.js';

export const OFF = Number.POSITIVE_INFINITY;

export const RATIOS: Record<string, RatioArgs> = {
  token: { level: 'token', form: 'straight-through', clampLow: -20, clampHigh: 20 },
  'turn straight-through': { level: 'turn', form: 'straight-through', clampLow: -OFF, clampHigh: 10 },
  'turn true': { level: 'turn', form: 'true', clampLow: -OFF, clampHigh: 10 },
  'sequence straight-through': { level: 'sequence', form: 'straight-through', clampLow: -OFF, clampHigh: 10 },
  'sequence true': { level: 'sequence', form: 'true', clampLow: -OFF, clampHigh: 10 },
};

export const AGGREGATES: readonly Aggregate[] = [
  'token-mean',
  'seq-mean-token-mean',
  'seq-mean-token-sum',
  'seq-mean-token-sum-norm',
  'turn-mean-token-mean',
  'token-sum',
];

export const KLS: Record<string, KlArgs> = {
  'no KL': { coef: 0, estimator: 'k1', logRatioClamp: OFF, valueClamp: OFF },
  k1: { coef: 0.1, estimator: 'k1', logRatioClamp: OFF, valueClamp: OFF },
  k2: { coef: 0.1, estimator: 'k2', logRatioClamp: OFF, valueClamp: OFF },
  k3: { coef: 0.1, estimator: 'k3', logRatioClamp: OFF, valueClamp: OFF },
  'k3 clamped': { coef: 0.1, estimator: 'k3', logRatioClamp: 0.8, valueClamp: 0.2 },
};

export const GATES: Record<string, SurrogateArgs['gate']> = {
  ppo: { kind: 'ppo', low: 0.2, high: 0.28, dual: OFF },
  dual: { kind: 'ppo', low: 0.2, high: 0.2, dual: 1.5 },
  narrow: { kind: 'ppo', low: 3e-3, high: 4e-3, dual: OFF },
};

export interface Content {
  layout: Layout;
  /** [N] log π - log π_old. */
  logRatio?: (n: number) => number;
  advantage?: (i: number) => number;
}

type Settings = Partial<SurrogateArgs>;

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
  return {
    logProbs,
    oldLogProbs,
    refLogProbs: of((n) => logProbs[n] + 0.5 * normal()),
    entropy: of(uniform),
    actionMask,
    turns,
    advantageLevel: level,
    advantages: perCount(advantage ?? normal),
    clipScale: perCount(() => 0.7 + 0.6 * uniform()),
    ratio: RATIOS.token,
    gate: GATES.ppo,
    kl: KLS['no KL'],
    aggregate: 'token-mean',
    horizon: 7,
    denominators: denominatorsOf(turns),
    nonFinite: 'throw',
    coefficients: new Float64Array(tokens).fill(-99),
    metrics: new Float64Array(METRIC_SLOTS.length).fill(-99),
    ...settings,
  };
}

const COUNTS = [
  'lossDenominator',
  'tokens',
  'clippedLow',
  'clippedHigh',
  'clippedDual',
  'clampedLogRatio',
  'clampedKl',
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
    outputs: ({ coefficients, metrics }) => [
      {
        name: 'coefficients',
        values: coefficients,
        tolerance: float64(coefficients, 64, 'exp and expm1 differ by a ULP between libraries'),
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

const product: OpCase<'surrogate'>[] = Object.entries(RATIOS).flatMap(([ratioName, ratio]) => [
  ...AGGREGATES.flatMap((aggregate) =>
    Object.entries(GATES).flatMap(([gateName, gate]) =>
      (['turn', 'token'] as const).map((advantageLevel) =>
        caseOf(
          `${ratioName}, ${aggregate}, ${gateName}, advantages by ${advantageLevel}`,
          'the product of options',
          usual,
          {
            ratio,
            aggregate,
            gate,
            advantageLevel,
          },
        ),
      ),
    ),
  ),
  ...Object.entries(KLS).flatMap(([klName, kl]) =>
    AGGREGATES.map((aggregate) =>
      caseOf(`${ratioName}, ${aggregate}, ${klName}`, 'KL is per token at every ratio level', usual, {
        ratio,
        aggregate,
        kl,
        clipScale: null,
      }),
    ),
  ),
]);

const shapes: OpCase<'surrogate'>[] = (['token', 'turn straight-through', 'sequence true'] as const).flatMap((name) => {
  const settings = { ratio: RATIOS[name], aggregate: 'seq-mean-token-mean' as const, kl: KLS.k3 };
  return [
    caseOf(
      `${name}: nothing`,
      'an empty batch: loss 0, ratio extrema infinite',
      () => ({ layout: layoutOf([], () => 0) }),
      settings,
    ),
    caseOf(
      `${name}: all masked`,
      'a micro-batch without a loss token: loss 0, gradient 0, no NaN',
      () => ({ layout: layoutOf([[[0, 0], [0]]], () => 1) }),
      settings,
    ),
    caseOf(
      `${name}: a turn of no loss token among others`,
      'it has no ratio and no weight',
      () => ({ layout: layoutOf([[[1, 1], [0, 0], [1]], [[0]]], () => 2) }),
      settings,
    ),
    caseOf(
      `${name}: a turn of no token`,
      'an empty span',
      () => ({ layout: layoutOf([[[1, 1], [], [1]]], () => 0) }),
      settings,
    ),
    caseOf(`${name}: one token`, 'N = 1', () => ({ layout: layoutOf([[[1]]], () => 0) }), settings),
    caseOf(
      `${name}: one turn of everything`,
      'one long segment',
      () => ({ layout: layoutOf([[new Array(5000).fill(1)]], () => 0) }),
      settings,
    ),
    caseOf(`${name}: 2000 trajectories`, 'a whole batch', () => ({ layout: randomLayout(41, 2000) }), settings),
    caseOf(
      `${name}: on-policy`,
      'every ratio is 1 and no gate is active',
      () => ({ ...usual(), logRatio: () => 0 }),
      settings,
    ),
    caseOf(`${name}: denominators of a larger whole`, 'the global count, not this batch’s', usual, {
      ...settings,
      denominators: { tokens: 1000, turns: 300, sequences: 77 },
    }),
    caseOf(`${name}: denominators of 0`, 'a loss over nothing is 0', usual, {
      ...settings,
      denominators: { tokens: 0, turns: 0, sequences: 0 },
    }),
    caseOf(`${name}: no entropy, no reference`, 'absent arrays', usual, {
      ratio: RATIOS[name],
      entropy: null,
      refLogProbs: null,
    }),
  ];
});

export const SURROGATE_CASES: readonly OpCase<'surrogate'>[] = [...product, ...shapes];
