/** Cases of surrogate at the edges: log-ratios beyond every clamp and near 0, log-probs that are not finite, sizes that do not fit. */
import type { NonFinite, SurrogateArgs } from '../../lib/ops.js';
import { layoutOf } from '../support/turns.js';
import type { OpCase } from './op_case.js';
import { type Content, caseOf, GATES, KLS, OFF, RATIOS, usual } from './surrogate.js';

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

const atEdges = Object.entries(RATIOS).flatMap(([name, ratio]) =>
  [ratio, { ...ratio, clampLow: -OFF, clampHigh: OFF }].map((chosen, i) =>
    caseOf(
      `${name}: log-ratios beyond ${i === 0 ? 'the clamps' : 'nothing, unclamped'}`,
      'no NaN from 0 * Infinity, gradient 0 beyond a clamp',
      () => edges(),
      {
        ratio: chosen,
        gate: GATES.dual,
        clipScale: null,
        // Old log-probs low enough that a log-ratio of 25 leaves a log-prob below 0.
        oldLogProbs: Float32Array.from({ length: EDGES.length * SIGNS.length }, () => -900),
        logProbs: Float32Array.from(
          { length: EDGES.length * SIGNS.length },
          (_, n) => -900 + EDGES[Math.floor(n / SIGNS.length)],
        ),
        refLogProbs: Float32Array.from(
          { length: EDGES.length * SIGNS.length },
          (_, n) => -900 + EDGES[n % EDGES.length],
        ),
        kl: KLS['k3 clamped'],
      },
    ),
  ),
);

const nonFinite: OpCase<'surrogate'>[] = (['logProbs', 'oldLogProbs', 'refLogProbs'] as const).flatMap((name) =>
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
        const settings = { ratio: RATIOS[ratioName], nonFinite: mode, kl: KLS.k2 };
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

/** exp(y) - 1 - y in two roundings would be right to 1e-6 here, and to nothing a little further down. */
function tiny(estimator: 'k2' | 'k3'): OpCase<'surrogate'> {
  const kl = { coef: 1, estimator, logRatioClamp: OFF, valueClamp: OFF };
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

export const SURROGATE_EDGE_CASES: readonly OpCase<'surrogate'>[] = [
  ...atEdges,
  ...nonFinite,
  tiny('k2'),
  tiny('k3'),
  ...(['logProbs', 'oldLogProbs', 'refLogProbs', 'entropy'] as const).map((name) =>
    invalid(name, (args) => (args[name] = args[name]!.slice(1))),
  ),
  ...(['advantages', 'clipScale', 'coefficients', 'metrics'] as const).map((name) =>
    invalid(name, (args) => (args[name] = args[name]!.slice(1))),
  ),
  invalid('actionMask', (args) => (args.actionMask = args.actionMask.slice(1))),
  invalid('turns.tokens', (args) => (args.turns.tokens = args.turns.tokens.slice(1))),
  invalid('a span beyond the tokens', (args) => (args.turns.ends[args.turns.ends.length - 1] += 1)),
  invalid('a span below 0', (args) => (args.turns.starts[0] = -1)),
  invalid('spans that overlap', (args) => (args.turns.starts[1] = args.turns.ends[0] - 1)),
  invalid(
    'more tokens than the span',
    (args) => (args.turns.tokens[0] = args.turns.ends[0] - args.turns.starts[0] + 1),
  ),
];
