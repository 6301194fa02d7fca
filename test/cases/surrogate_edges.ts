/** Cases of surrogate at the edges: log-ratios beyond every clamp and near 0, log-probs that are not finite, sizes that do not fit. */
import type { NonFinite, SurrogateArgs } from '../../lib/ops.js';
import { GATE, NO_KL, RATIO, WEIGHT } from '../support/records.mjs';
import { layoutOf } from '../support/turns.js';
import { CORRECTED_KLS, COUPLED, GATES, KLS, MORE_GATES, MORE_RATIOS, OFF, RATIOS, WEIGHTS } from './loss_options.js';
import type { OpCase } from './op_case.js';
import { type Content, caseOf, usual } from './surrogate_case.js';

/** Log-ratios that hit every clamp, with advantages of every sign. */
const EDGES = [0, -0, 25, -25, 20, -20, 100, -100, 11, 1e-9, Math.log(1.2), Math.log(0.8), 0.3, -0.3, 700, -800];
const SIGNS = [1, -1, 0, -0, 0.5];

/** One turn of one token each. */
const edges = (): Content => {
  const pairs = EDGES.flatMap((x) => SIGNS.map((a) => [x, a] as const));
  const layout = layoutOf(
    pairs.map(() => [[1]]),
    () => 0,
  );
  return { layout, logRatio: (n) => pairs[n][0] - 0, advantage: (k) => pairs[k][1] };
};

const AT_EDGES = EDGES.length * SIGNS.length;
/** Old log-probs low enough that a log-ratio of 25 leaves a log-prob below 0. */
const beyond = (of: (n: number) => number) => Float32Array.from({ length: AT_EDGES }, (_, n) => -900 + of(n));

const edgeArrays = () => ({
  clipScale: null,
  oldLogProbs: beyond(() => 0),
  logProbs: beyond((n) => EDGES[Math.floor(n / SIGNS.length)]),
  refLogProbs: beyond((n) => EDGES[n % EDGES.length]),
  rolloutLogProbs: beyond((n) => -EDGES[(n + 3) % EDGES.length]),
});

const atEdges = [
  ...Object.entries(RATIOS).flatMap(([name, ratio]) =>
    [ratio, { ...ratio, clampLow: -OFF, clampHigh: OFF }].map((chosen, i) =>
      caseOf(
        `${name}: log-ratios beyond ${i === 0 ? 'the clamps' : 'nothing, unclamped'}`,
        'no NaN from 0 * Infinity, gradient 0 beyond a clamp',
        () => edges(),
        { ...edgeArrays(), ratio: chosen, gate: GATES.dual, kl: KLS['k3 clamped'] },
      ),
    ),
  ),
  ...Object.entries(MORE_GATES).flatMap(([name, gate]) =>
    [RATIO, { ...RATIO, clampLow: -OFF, clampHigh: OFF }].map((ratio, i) =>
      caseOf(
        `${name}: log-ratios beyond ${i === 0 ? 'the clamps' : 'nothing, unclamped'}`,
        'every gate at ratios of 0 and far above 1, at A = 0 and -0',
        () => edges(),
        { ...edgeArrays(), ratio, gate },
      ),
    ),
  ),
  ...Object.entries(WEIGHTS).map(([name, weights]) =>
    caseOf(`weights: ${name}; log-ratios beyond the clamps`, 'finite weights', () => edges(), {
      ...edgeArrays(),
      weights,
      tokenWeights: new Float64Array(AT_EDGES).fill(-0.5),
      nonFinite: 'throw',
    }),
  ),
  ...Object.entries(CORRECTED_KLS).map(([name, kl]) =>
    caseOf(`${name}; log-ratios beyond the clamps`, 'the ratio no longer moves', () => edges(), {
      ...edgeArrays(),
      kl,
    }),
  ),
  caseOf('log-sum-exp: log-ratios beyond the clamps', 'finite by the shift', () => edges(), {
    ...edgeArrays(),
    ratio: RATIOS['sequence true'],
    gate: { ...COUPLED, temperature: 0.01 },
  }),
];

/** Quarters: exact in float32, and as a bound. */
const QUARTERS = [0, 0.25, -0.25, 0.5, -0.5, 0.75];
const quarter = (n: number) => QUARTERS[Math.floor(n / SIGNS.length)];

/** Log-ratios x of quarters to old; -x of old to the sampler; x to the reference. */
function onBounds(title: string, settings: Partial<SurrogateArgs>): OpCase<'surrogate'> {
  const count = QUARTERS.length * SIGNS.length;
  const around = (of: (n: number) => number) => Float32Array.from({ length: count }, (_, n) => -2 + of(n));
  const layout = layoutOf(
    Array.from({ length: count }, () => [[1]]),
    () => 0,
  );
  return caseOf(
    `on its bound: ${title}`,
    'a bound belongs to what it bounds',
    () => ({ layout, advantage: (k) => SIGNS[k % SIGNS.length] }),
    {
      clipScale: null,
      oldLogProbs: around(() => 0),
      logProbs: around(quarter),
      refLogProbs: around(() => 0),
      rolloutLogProbs: around(quarter),
      ratioTargets: new Float64Array(count),
      ...settings,
    },
  );
}

const bounds = [
  ...(['ppo', 'detached', 'grad-preserving'] as const).map((kind) =>
    onBounds(`${kind} at a ratio of 1`, { gate: { ...GATE, kind, low: 0, high: 0 } }),
  ),
  onBounds('dual clip at a ratio of 1', { gate: { ...GATE, dual: 1 } }),
  onBounds('l1-target at its target', { gate: { ...GATE, kind: 'l1-target', low: 0.25, high: 0.25 } }),
  ...(['ratio', 'probability', 'bernoulli-kl'] as const).map((measure) =>
    onBounds(`mask by ${measure}, nothing moved`, { gate: { ...GATE, kind: 'mask', measure, low: 0, high: 0 } }),
  ),
  onBounds('mask by log-ratio', { gate: { ...GATE, kind: 'mask', measure: 'log-ratio', low: 0.25, high: 0.25 } }),
  onBounds('clamp of the log-ratio', { ratio: { ...RATIO, clampLow: -0.25, clampHigh: 0.25 }, gate: GATE }),
  onBounds('clamp of a token', { ratio: { ...RATIO, tokenClamp: 0.25 }, gate: GATE }),
  onBounds('clip of a token', { ratio: { ...RATIO, clipLow: 0.25, clipHigh: 0.5 }, gate: GATE }),
  onBounds('truncated weight', { weights: [{ ...WEIGHT, low: 1, high: 1 }] }),
  onBounds('masked weight', { weights: [{ ...WEIGHT, mode: 'mask', low: 1, high: 1 }] }),
  onBounds('rejection by k1', { weights: [{ ...WEIGHT, kind: 'reject', low: -0.25, high: 0.25 }] }),
  onBounds('rejection by k2', { weights: [{ ...WEIGHT, kind: 'reject', divergence: 'k2', high: 0.125 }] }),
  onBounds('rejection by abs', { weights: [{ ...WEIGHT, kind: 'reject', divergence: 'abs', low: 0.25, high: 0.5 }] }),
  onBounds('off-policy mask', { weights: [{ ...WEIGHT, kind: 'off-policy-mask', high: 0.25 }] }),
  ...(['own', 'k2'] as const).map((gradient) =>
    onBounds(`clamp of k3, gradient ${gradient}`, {
      kl: { ...NO_KL, coef: 1, estimator: 'k3', gradient, logRatioClamp: 0.25 },
    }),
  ),
];

const nonFinite: OpCase<'surrogate'>[] = (
  ['logProbs', 'oldLogProbs', 'refLogProbs', 'rolloutLogProbs'] as const
).flatMap((name) =>
  [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].flatMap((value) =>
    (['throw', 'check-first', 'propagate'] as NonFinite[]).flatMap((mode) =>
      ['token', 'turn straight-through', 'turn true'].map((ratioName): OpCase<'surrogate'> => {
        const content: Content = {
          layout: layoutOf(
            [
              [
                [1, 1],
                [1, 0, 1],
              ],
              [[1]],
            ],
            () => 1,
          ),
        };
        const bad = [6, 7].find((n) => content.layout.actionMask[n] === 1)!;
        const settings = {
          ratio: RATIOS[ratioName],
          nonFinite: mode,
          kl: KLS.k2,
          weights: WEIGHTS['token truncated'],
        };
        const given = caseOf(
          `${name} ${value} at token ${bad}, ${mode}, ${ratioName}`,
          'found and named, or flows without spreading beyond its segment',
          () => content,
          settings,
          mode === 'propagate' ? undefined : { code: 'non-finite-log-prob', position: bad },
        );
        return {
          ...given,
          make: () => {
            const args = given.make();
            args[name]![bad] = value;
            return args;
          },
        };
      }),
    ),
  ),
);

/** More than there are threads to look for them. */
const firstOfMany = caseOf(
  'no log-prob is finite',
  'the first is named',
  () => ({ layout: layoutOf([[[0, 0, ...new Array(5000).fill(1)]]], () => 0), logRatio: () => Number.NaN }),
  {},
  { code: 'non-finite-log-prob', position: 2 },
);

/** Two turns and a trajectory; token 2 of the first turn is bad, and what a gate makes of it flows. */
const propagated = Object.entries({ ...GATES, ...MORE_GATES }).map(([name, gate]): OpCase<'surrogate'> => {
  const content = {
    layout: layoutOf(
      [
        [
          [1, 1, 1],
          [1, 1],
        ],
        [[1]],
      ],
      () => 0,
    ),
    advantage: (k: number) => (k === 1 ? -1 : 1),
  };
  const given = caseOf(`NaN behind ${name}, propagate`, 'a NaN does not pass for a number', () => content, {
    gate,
    nonFinite: 'propagate',
  });
  return {
    ...given,
    make: () => {
      const args = given.make();
      args.logProbs[2] = Number.NaN;
      return args;
    },
  };
});

/** What a mask takes out may be NaN or infinite. */
const maskedOut = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map((value): OpCase<'surrogate'> => {
  const content = {
    layout: layoutOf(
      [
        [
          [1, 1, 1],
          [1, 1],
        ],
        [[1]],
      ],
      () => 0,
    ),
  };
  const given = caseOf(`weight 0 on a log-prob of ${value}`, 'chosen, not multiplied: 0 * NaN is NaN', () => content, {
    nonFinite: 'propagate',
    weights: WEIGHTS.given,
    tokenWeights: Float64Array.of(1, 1, 0, 1, 1, 1),
    gate: MORE_GATES.detached,
  });
  return {
    ...given,
    make: () => {
      const args = given.make();
      args.logProbs[2] = value;
      return args;
    },
  };
});

/** exp(y) - 1 - y in two roundings would be right to 1e-6 here, and to nothing a little further down. */
function tiny(estimator: 'k2' | 'k3'): OpCase<'surrogate'> {
  const kl = { ...NO_KL, coef: 1, estimator };
  const content = () => ({
    ...usual(),
    logRatio: (n: number) => 1e-5 * (1 + (n % 7)) * (n % 2 ? 1 : -1),
    advantage: () => 0,
  });
  const given = caseOf(`log-ratios of 1e-5, ${estimator}`, 'k3 and its gradient keep their digits near 0', content, {
    kl,
  });
  const make = () => {
    const args = given.make();
    const reference = args.logProbs.map((logProb, n) => logProb + 1e-5 * (1 + (n % 5)));
    return { ...args, refLogProbs: reference };
  };
  const keepsDigits = ['klSum', 'klNumerator', 'oldKlK3Sum'];
  return {
    ...given,
    make,
    outputs: (args) =>
      given
        .outputs(args)
        .map((output) =>
          keepsDigits.includes(output.name)
            ? { ...output, tolerance: { why: 'expm1(y) - y, of one sign', allowed: (e: number) => 1e-8 * Math.abs(e) } }
            : output,
        ),
  };
}

function invalid(title: string, change: (args: SurrogateArgs) => unknown): OpCase<'surrogate'> {
  const given = caseOf(
    `invalid: ${title}`,
    'a size that does not fit: refused, never read out of bounds',
    usual,
    {},
    { code: 'invalid-argument', position: -1 },
  );
  return {
    ...given,
    make: () => {
      const args = given.make();
      change(args);
      return args;
    },
  };
}

type Nullable = 'refLogProbs' | 'rolloutLogProbs' | 'entropy' | 'tokenWeights' | 'ratioTargets' | 'groups';

/** A stage that is chosen without what it needs, or where it has no meaning. */
const contradictions: [title: string, settings: Partial<SurrogateArgs>, missing?: Nullable][] = [
  ['importance weight without rolloutLogProbs', { weights: WEIGHTS['token truncated'] }, 'rolloutLogProbs'],
  ['rejection without rolloutLogProbs', { weights: WEIGHTS['rejected tokens by k2'] }, 'rolloutLogProbs'],
  ['given weight without tokenWeights', { weights: WEIGHTS.given }, 'tokenWeights'],
  ['largest importance weight', { weights: [{ ...WEIGHT, level: 'turn', reduce: 'max' }] }],
  ['largest log-ratio', { ratio: { ...RATIOS['turn true'], reduce: 'max' } }],
  ['l1-target without ratioTargets', { gate: MORE_GATES['l1-target'] }, 'ratioTargets'],
  ['entropy bonus without entropy', { entropyCoef: 0.1 }, 'entropy'],
  ['ratio-corrected KL of turns', { ratio: RATIOS['turn true'], kl: CORRECTED_KLS['k1, times the ratio'] }],
  ['prompts to be counted without groups', { aggregate: 'prompt-mean', denominators: null }, 'groups'],
  [
    'prompts to be counted, too few groups',
    { aggregate: 'prompt-mean', denominators: null, groups: new Int32Array(7) },
  ],
  ['log-sum-exp without groups', { ratio: RATIOS['sequence true'], gate: COUPLED }, 'groups'],
  ['log-sum-exp, too few groups', { ratio: RATIOS['sequence true'], gate: COUPLED, groups: new Int32Array(7) }],
  ['log-sum-exp of tokens', { ratio: { ...RATIO, form: 'true' }, gate: COUPLED }],
  ['log-sum-exp of turns', { ratio: RATIOS['turn true'], gate: COUPLED }],
  ['log-sum-exp of a sum', { ratio: MORE_RATIOS['sequence sum true'], gate: COUPLED }],
  ['log-sum-exp, straight-through', { ratio: RATIOS['sequence straight-through'], gate: COUPLED }],
  ['log-sum-exp with weights', { ratio: RATIOS['sequence true'], gate: COUPLED, weights: WEIGHTS['token truncated'] }],
];

const arrays = [
  'logProbs',
  'oldLogProbs',
  'refLogProbs',
  'rolloutLogProbs',
  'entropy',
  'tokenWeights',
  'advantages',
  'clipScale',
  'ratioTargets',
  'coefficients',
  'entropyCoefficients',
  'metrics',
] as const;

/** One element less, whatever the array is of. */
const shorter = <T>(array: T): T => (array as { slice(from: number): unknown } & T).slice(1) as T;

export const SURROGATE_EDGE_CASES: readonly OpCase<'surrogate'>[] = [
  ...atEdges,
  ...bounds,
  ...nonFinite,
  ...propagated,
  ...maskedOut,
  firstOfMany,
  tiny('k2'),
  tiny('k3'),
  ...arrays.map((name) => invalid(name, (args) => Object.assign(args, { [name]: shorter(args[name]) }))),
  ...contradictions.map(([title, settings, missing]) =>
    invalid(title, (args) => Object.assign(args, settings, missing ? { [missing]: null } : {})),
  ),
  invalid('advantages by sequence', (args) => (args.advantageLevel = 'sequence')),
  invalid('actionMask', (args) => (args.actionMask = args.actionMask.slice(1))),
  invalid('turns.tokens', (args) => (args.turns.tokens = args.turns.tokens.slice(1))),
  invalid('a span beyond the tokens', (args) => (args.turns.ends[args.turns.ends.length - 1] += 1)),
  invalid('a span far beyond the tokens', (args) => {
    args.ratio = RATIOS['turn true'];
    args.turns.ends[args.turns.ends.length - 1] = 2 ** 31 - 1;
  }),
  invalid('a span below 0', (args) => (args.turns.starts[0] = -1)),
  invalid('a trajectory below 0', (args) => (args.turns.trajectory[0] = -1)),
  invalid('trajectories that go back', (args) => (args.turns.trajectory[args.turns.trajectory.length - 1] = 0)),
  invalid('spans that overlap', (args) => (args.turns.starts[1] = args.turns.ends[0] - 1)),
  invalid(
    'more tokens than the span',
    (args) => (args.turns.tokens[0] = args.turns.ends[0] - args.turns.starts[0] + 1),
  ),
];
