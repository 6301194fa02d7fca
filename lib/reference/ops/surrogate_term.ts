/** What one loss token adds to the loss and to the metrics. */
import type { SurrogateArgs } from '../../ops.js';
import { termWeight } from '../math/aggregate.js';
import { clippedDual, clippedHigh, clippedLow, ppoBounds, ppoDerivative, ppoValue } from '../math/gate.js';
import { klTerm } from '../math/kl.js';
import type { LossTokens } from './loss_tokens.js';

export interface SegmentRatio {
  ratio: number;
  /** The segment's log-ratio was outside ratio.clampLow .. clampHigh: its derivative is 0. */
  clamped: boolean;
}

export interface TokenTerm extends SegmentRatio {
  token: number;
  /** cₜ of the aggregation. */
  weight: number;
  /** f and ∂f/∂x. */
  policyValue: number;
  policyGradient: number;
  /** coef · v and coef · ∂v/∂x; 0 without a KL term. */
  klValue: number;
  klGradient: number;
  /** v itself, for the metrics. */
  klEstimate: number;
  klClamped: boolean;
  /** The token's own log π - log π_old, whatever the level of the ratio. */
  logRatio: number;
  clippedHigh: boolean;
  clippedLow: boolean;
  clippedDual: boolean;
  /** A log-probability of this token is NaN or infinite ('propagate'). */
  nonFinite: boolean;
}

/** @param i position in the list of loss tokens */
export function lossTerm(args: SurrogateArgs, list: LossTokens, i: number, segment: SegmentRatio): TokenTerm {
  const token = list.tokens[i];
  const turn = list.turns[i];
  const at = args.advantageLevel === 'turn' ? turn : token;
  const advantage = args.advantages[at];
  const { low, high, dual } = args.gate;
  const bounds = ppoBounds(low, high, dual, args.clipScale === null ? 1 : args.clipScale[at]);
  const kl = klOf(args, token);
  return {
    // Not `...segment`: objects made by spreading are slow dictionaries, and there is one per token.
    ratio: segment.ratio,
    clamped: segment.clamped,
    token,
    weight: termWeight(args.aggregate, args.turns.tokens[turn], list.sequenceTokens[turn], args.horizon),
    policyValue: ppoValue(advantage, segment.ratio, bounds),
    policyGradient: segment.clamped ? 0 : ppoDerivative(advantage, segment.ratio, bounds),
    klValue: kl === null ? 0 : args.kl.coef * kl.value,
    klGradient: kl === null ? 0 : args.kl.coef * kl.gradient,
    klEstimate: kl?.value ?? 0,
    klClamped: kl?.clamped ?? false,
    logRatio: args.logProbs[token] - args.oldLogProbs[token],
    clippedHigh: clippedHigh(advantage, segment.ratio, bounds),
    clippedLow: clippedLow(advantage, segment.ratio, bounds),
    clippedDual: clippedDual(advantage, segment.ratio, bounds),
    nonFinite: !hasFiniteLogProbs(args, token),
  };
}

/** Whether every log-probability that the token's term uses is finite. */
export function hasFiniteLogProbs({ logProbs, oldLogProbs, refLogProbs, kl }: SurrogateArgs, token: number): boolean {
  if (!Number.isFinite(logProbs[token]) || !Number.isFinite(oldLogProbs[token])) return false;
  return kl.coef === 0 || refLogProbs === null || Number.isFinite(refLogProbs[token]);
}

function klOf({ kl, logProbs, refLogProbs }: SurrogateArgs, token: number) {
  return kl.coef === 0 || refLogProbs === null ? null : klTerm(logProbs[token] - refLogProbs[token], kl);
}
