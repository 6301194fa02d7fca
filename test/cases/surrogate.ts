/** Cases of surrogate: ratios x aggregates x clips x KL, and layouts on purpose. Every other option: surrogate_stages.ts. */
import { type Layout, layoutOf, randomLayout } from '../support/turns.js';
import { AGGREGATES, GATES, KLS, RATIOS, WEIGHTS } from './loss_options.js';
import type { OpCase } from './op_case.js';
import { caseOf, usual } from './surrogate_case.js';
import { SURROGATE_STAGE_CASES } from './surrogate_stages.js';

export { RATIOS } from './loss_options.js';

const LEVELS = ['turn', 'token'] as const;

/** Its tokens stay. */
function withoutLastTurn({ turns, ...layout }: Layout): Layout {
  const { starts, ends, tokens, trajectory, index } = turns;
  const [s, e, t, m, i] = [starts, ends, tokens, trajectory, index].map((values) => values.slice(0, -1));
  return { ...layout, turns: { ...turns, starts: s, ends: e, tokens: t, trajectory: m, index: i } };
}

const product: OpCase<'surrogate'>[] = Object.entries(RATIOS).flatMap(([ratioName, ratio]) => [
  ...AGGREGATES.flatMap((aggregate) =>
    Object.entries(GATES).flatMap(([gateName, gate]) =>
      LEVELS.map((advantageLevel) =>
        caseOf(
          `${ratioName}, ${aggregate}, ${gateName}, advantages by ${advantageLevel}`,
          'the product of options',
          usual,
          { ratio, aggregate, gate, advantageLevel },
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
  const settings = {
    ratio: RATIOS[name],
    aggregate: 'seq-mean-token-mean' as const,
    kl: KLS.k3,
    weights: WEIGHTS['all four kinds'],
    entropyCoef: 0.01,
  };
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
    caseOf(
      `${name}: tokens behind the last turn`,
      'in no turn',
      () => ({ layout: withoutLastTurn(layoutOf([[[1, 0, 1], new Array(40).fill(0)]], () => 0)) }),
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
      denominators: { tokens: 1000, turns: 300, sequences: 77, prompts: 11 },
    }),
    caseOf(`${name}: denominators of 0`, 'a loss over nothing is 0', usual, {
      ...settings,
      denominators: { tokens: 0, turns: 0, sequences: 0, prompts: 0 },
      entropyCoef: 0.1,
    }),
    caseOf(`${name}: no entropy, no reference`, 'absent arrays', usual, {
      ratio: RATIOS[name],
      entropy: null,
      refLogProbs: null,
      rolloutLogProbs: null,
      tokenWeights: null,
      groups: null,
      ratioTargets: null,
    }),
  ];
});

/** Trajectories, turns and prompts without a loss token do not count. */
const counted: OpCase<'surrogate'>[] = AGGREGATES.flatMap((aggregate) => [
  caseOf(`denominators counted: ${aggregate}`, 'those of the batch', usual, { aggregate, denominators: null }),
  caseOf(
    `denominators counted: ${aggregate}, tokenless trajectories`,
    'what has no loss token',
    () => ({
      layout: layoutOf([[[1, 1]], [[0]], [[1], [0, 1]], [[]], [[1]], [[0, 0], [1]]], () => 1),
    }),
    { aggregate, denominators: null, groups: Int32Array.of(5, 9, -7, 9, 5, 5), entropyCoef: 0.1 },
  ),
]);

export const SURROGATE_CASES: readonly OpCase<'surrogate'>[] = [
  ...product,
  ...SURROGATE_STAGE_CASES,
  ...shapes,
  ...counted,
];
