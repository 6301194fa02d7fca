/** Cases of surrogate for every gate, weight, KL correction, entropy bonus, and the coupled gate. */
import { layoutOf } from '../support/turns.js';
import {
  AGGREGATES,
  CORRECTED_KLS,
  COUPLED,
  GATES,
  KLS,
  MORE_GATES,
  MORE_RATIOS,
  RATIOS,
  WEIGHTS,
} from './loss_options.js';
import type { OpCase } from './op_case.js';
import { caseOf, usual } from './surrogate_case.js';

const LEVELS = ['turn', 'token'] as const;

/** The i-th of a list, over and over: every value occurs, without a product of everything. */
const taking = <T>(values: readonly T[], i: number): T => values[i % values.length];

const ALL_RATIOS = Object.entries({ ...RATIOS, ...MORE_RATIOS });
const ALL_GATES = Object.entries({ ...GATES, ...MORE_GATES });
const WEIGHT_LISTS = Object.values(WEIGHTS);

const gates: OpCase<'surrogate'>[] = ALL_RATIOS.flatMap(([ratioName, ratio], r) =>
  ALL_GATES.flatMap(([gateName, gate], g) =>
    LEVELS.map((advantageLevel, l) =>
      caseOf(
        `${gateName}, ${ratioName}, advantages by ${advantageLevel}: every gate`,
        'the product of gates and ratios; the other stages take turns',
        usual,
        {
          ratio,
          gate,
          advantageLevel,
          aggregate: taking(AGGREGATES, r + g + l),
          kl: taking(Object.values(KLS), r + g),
          weights: l === 0 ? [] : taking(WEIGHT_LISTS, 16 * r + g),
          entropyCoef: taking([0, 0.01, -0.2], r + g + l),
          ...(g % 2 === 0 ? {} : { clipScale: null }),
        },
      ),
    ),
  ),
);

const weights: OpCase<'surrogate'>[] = Object.entries(WEIGHTS).flatMap(([name, list], i) =>
  ['token', 'turn straight-through', 'turn true', 'sequence true'].map((ratioName, r) =>
    caseOf(`weights: ${name}; ${ratioName}`, 'factors of the surrogate only, not of KL and bonus', usual, {
      ratio: RATIOS[ratioName],
      gate: taking(
        ALL_GATES.map(([, gate]) => gate),
        4 * i + r,
      ),
      weights: list,
      advantageLevel: taking(LEVELS, i + r),
      aggregate: taking(AGGREGATES, i + r),
      kl: taking([KLS['no KL'], KLS.k3], i),
      entropyCoef: 0.1 * (r % 2),
    }),
  ),
);

const corrected = Object.entries(CORRECTED_KLS).flatMap(([name, kl], i) =>
  ALL_RATIOS.filter(([, { level }]) => level === 'token').map(([ratioName, ratio]) =>
    caseOf(`${name}; ${ratioName}`, 'product rule, but for the ratio that a clamp holds', usual, {
      kl,
      ratio,
      aggregate: taking(AGGREGATES, i),
    }),
  ),
);

const bonuses = AGGREGATES.flatMap((aggregate) =>
  (['buffer', 'no buffer', 'off'] as const).map((how) =>
    caseOf(`entropy bonus: ${aggregate}, ${how}`, 'loss, metric and coefficients, or zeros', usual, {
      aggregate,
      entropyCoef: how === 'off' ? 0 : 0.3,
      ...(how === 'no buffer' ? { entropyCoefficients: null } : {}),
    }),
  ),
);

const coupled = [
  ...AGGREGATES.map((aggregate) => ({ name: aggregate, settings: { aggregate } })),
  { name: 'with KL and a bonus', settings: { kl: KLS.k3, entropyCoef: 0.1, advantageLevel: 'token' as const } },
  { name: 'log-ratios clamped', settings: { ratio: { ...RATIOS['sequence true'], clampLow: -0.03, clampHigh: 0.05 } } },
  { name: 'tokens clipped', settings: { ratio: MORE_RATIOS['sequence of clipped tokens, true'] } },
  { name: 'exponents beyond exp', settings: { gate: { ...COUPLED, temperature: 1e-5 } } },
  { name: 'one prompt', settings: { groups: new Int32Array(8) } },
  { name: 'every trajectory its own prompt', settings: { groups: Int32Array.from({ length: 8 }, (_, m) => m) } },
  { name: 'one class', settings: {}, advantage: () => 1 },
  { name: 'nothing but A = 0', settings: {}, advantage: (k: number) => (k % 2 ? 0 : -0) },
].map(({ name, settings, ...content }) =>
  caseOf(`log-sum-exp: ${name}`, 'trajectories of a prompt against each other', () => ({ ...usual(), ...content }), {
    ratio: RATIOS['sequence true'],
    gate: COUPLED,
    aggregate: 'prompt-mean',
    ...settings,
  }),
);

const empty = [
  caseOf('log-sum-exp: nothing', 'no prompt', () => ({ layout: layoutOf([], () => 0) }), {
    ratio: RATIOS['sequence true'],
    gate: COUPLED,
  }),
  caseOf(
    'log-sum-exp: trajectories without a loss token',
    'in no class',
    () => ({
      layout: layoutOf([[[1, 1]], [[0]], [[1], [0, 1]], [[]], [[1]], [[0, 0], [1]]], () => 1),
    }),
    { ratio: RATIOS['sequence true'], gate: COUPLED, groups: new Int32Array(6) },
  ),
];

export const SURROGATE_STAGE_CASES: readonly OpCase<'surrogate'>[] = [
  ...gates,
  ...weights,
  ...corrected,
  ...bonuses,
  ...coupled,
  ...empty,
];
