/** S11, the factor of every loss token's surrogate: the product of the estimator's weights. Not differentiated. */
import type { SurrogateArgs, WeightArgs } from '../../ops.js';
import { acceptance, importanceWeight, offPolicyFactor, rolloutDivergence } from '../math/importance_weight.js';
import { reduceValues } from '../math/ratio.js';
import { type LossTokens, unitBounds } from './loss_tokens.js';
import { advantageOf } from './unit_ratios.js';

export interface TokenWeights {
  /** [L] */
  values: Float64Array;
  /** An importance weight of the token was cut [L]. */
  truncated: Uint8Array;
}

export function tokenWeights(args: SurrogateArgs, list: LossTokens): TokenWeights {
  const count = list.tokens.length;
  const result = { values: new Float64Array(count).fill(1), truncated: new Uint8Array(count) };
  for (const weight of args.weights) {
    factors(args, list, weight).forEach(({ value, truncated }, i) => {
      // A factor 0 takes the token out, whatever the others are: 0 times NaN would be NaN.
      result.values[i] = value === 0 || result.values[i] === 0 ? 0 : result.values[i] * value;
      if (truncated) result.truncated[i] = 1;
    });
  }
  return result;
}

/** Whether a weight reads `rolloutLogProbs`. */
export function readsRollout({ weights }: SurrogateArgs): boolean {
  return weights.some(({ kind }) => kind === 'importance' || kind === 'reject');
}

interface Factor {
  value: number;
  truncated: boolean;
}

/** One weight of every loss token [L]. */
function factors(args: SurrogateArgs, list: LossTokens, weight: WeightArgs): Factor[] {
  const { tokens } = list;
  const uncut = (value: number): Factor => ({ value, truncated: false });
  switch (weight.kind) {
    case 'importance': {
      const y = reducedTo(args, list, weight.level, weight.reduce, (n) => rolloutLogRatio(args, n));
      return y.map((x) => importanceWeight(x, weight));
    }
    case 'reject': {
      const divergence = (n: number) => rolloutDivergence(rolloutLogRatio(args, n), weight.divergence, weight.logClamp);
      const statistic = reducedTo(args, list, weight.level, weight.reduce, divergence);
      return statistic.map((x) => uncut(acceptance(x, weight)));
    }
    case 'given':
      return Array.from(tokens, (n) => uncut(args.tokenWeights?.[n] ?? 1));
    case 'off-policy-mask': {
      const shift = reducedTo(args, list, 'sequence', 'mean', (n) => args.oldLogProbs[n] - args.logProbs[n]);
      return shift.map((x, i) => uncut(offPolicyFactor(advantageOf(args, list, i), x, weight)));
    }
  }
}

/** `of` reduced over the loss tokens of each token's unit [L]; at token level the value itself. */
function reducedTo(
  args: SurrogateArgs,
  list: LossTokens,
  level: WeightArgs['level'],
  reduce: WeightArgs['reduce'],
  of: (n: number) => number,
): number[] {
  const bounds = unitBounds(list, args.turns, level);
  const result: number[] = new Array(list.tokens.length);
  for (let s = 0; s + 1 < bounds.length; s++) {
    const own = list.tokens.subarray(bounds[s], bounds[s + 1]);
    result.fill(reduceValues(Float64Array.from(own, of), reduce), bounds[s], bounds[s + 1]);
  }
  return result;
}

/** r = log π_old - log π_rollout. */
function rolloutLogRatio({ oldLogProbs, rolloutLogProbs }: SurrogateArgs, n: number): number {
  return oldLogProbs[n] - (rolloutLogProbs?.[n] ?? Number.NaN);
}
