/** What one loss token adds to the loss and to the metrics. */
import type { SurrogateArgs } from '../../ops.js';
import { termWeight } from '../math/aggregate.js';
import { gateTerm } from '../math/gate.js';
import type { GateTerm } from '../math/gates/term.js';
import { correctByRatio, type KlTerm, klTerm } from '../math/kl.js';
import { coupledTerms } from './coupled_loss.js';
import type { LossTokens } from './loss_tokens.js';
import { readsRollout, type TokenWeights, tokenWeights } from './token_weights.js';
import { advantageIndex, type UnitRatios } from './unit_ratios.js';

export interface TokenTerm {
  token: number;
  /** cₜ of the aggregation, and what the surrogate has in its place: 1 in the coupled gate, which is no mean of terms. */
  weight: number;
  policyWeight: number;
  /** w f, w ∂f/∂x and w ∂f/∂log π, w = product of the token's weights. */
  policyValue: number;
  policyGradient: number;
  directGradient: number;
  /** w */
  factor: number;
  truncated: boolean;
  /** The ratio moves with the token's own log-probability: no clamp or clip of its own log-ratio. */
  live: boolean;
  ratio: number;
  /** coef · v and coef · ∂v/∂log π; 0 without a KL term. */
  klValue: number;
  klGradient: number;
  /** v itself, for the metrics. */
  klEstimate: number;
  klClamped: boolean;
  /** -entropyCoef · H; 0 without a bonus. */
  entropyValue: number;
  /** The token's own log π - log π_old, whatever the level of the ratio. */
  logRatio: number;
  clamped: boolean;
  clippedHigh: boolean;
  clippedLow: boolean;
  clippedDual: boolean;
  masked: boolean;
  /** A log-probability of this token is NaN or infinite ('propagate'). */
  nonFinite: boolean;
}

/** The terms of all loss tokens, in their order. */
export function lossTerms(args: SurrogateArgs, list: LossTokens, ratios: UnitRatios): TokenTerm[] {
  const weights = tokenWeights(args, list);
  const coupled = args.gate.kind === 'log-sum-exp' ? coupledTerms(args, list, ratios) : null;
  return Array.from(list.tokens, (_, i) => {
    const gate = coupled === null ? ownGate(args, list, ratios, i) : coupled[i];
    return lossTerm(args, list, ratios, weights, gate, i);
  });
}

function ownGate(args: SurrogateArgs, list: LossTokens, ratios: UnitRatios, i: number): GateTerm {
  const token = list.tokens[i];
  const at = advantageIndex(args, list, i);
  const unit = ratios.unit[i];
  return gateTerm(args.gate, {
    advantage: args.advantages[at],
    ratio: ratios.ratio[unit],
    logRatio: ratios.logRatio[unit],
    clamped: ratios.clamped[unit],
    logProb: args.logProbs[token],
    oldLogProb: args.oldLogProbs[token],
    clipScale: args.clipScale?.[at] ?? 1,
    ratioTarget: args.ratioTargets?.[at] ?? 0,
  });
}

/** @param i position in the list of loss tokens */
function lossTerm(
  args: SurrogateArgs,
  list: LossTokens,
  ratios: UnitRatios,
  weights: TokenWeights,
  gate: GateTerm,
  i: number,
): TokenTerm {
  const token = list.tokens[i];
  const turn = list.turns[i];
  const unit = ratios.unit[i];
  const own = ratios.tokens[i];
  const ratio = ratios.ratio[unit];
  const factor = weights.values[i];
  const weight = termWeight(args.aggregate, args.turns.tokens[turn], list.sequenceTokens[turn], args.horizon);
  const kl = klOf(args, token, ratio, own.live && !ratios.clamped[unit]);
  // Chosen, not multiplied: what a mask takes out may be infinite or NaN.
  const weighted = (value: number) => (factor === 0 ? 0 : factor * value);
  return {
    token,
    weight,
    policyWeight: args.gate.kind === 'log-sum-exp' ? 1 : weight,
    policyValue: weighted(gate.value),
    policyGradient: weighted(gate.gradient),
    directGradient: weighted(gate.direct),
    factor,
    truncated: weights.truncated[i] === 1,
    live: own.live,
    ratio,
    klValue: kl === null ? 0 : args.kl.coef * kl.value,
    klGradient: kl === null ? 0 : args.kl.coef * kl.gradient,
    klEstimate: kl?.value ?? 0,
    klClamped: kl?.clamped ?? false,
    entropyValue: args.entropy === null || args.entropyCoef === 0 ? 0 : -args.entropyCoef * args.entropy[token],
    logRatio: args.logProbs[token] - args.oldLogProbs[token],
    clamped: ratios.clamped[unit] || own.clamped,
    clippedHigh: gate.clippedHigh || own.clippedHigh,
    clippedLow: gate.clippedLow || own.clippedLow,
    clippedDual: gate.clippedDual,
    masked: gate.masked || factor === 0,
    nonFinite: !hasFiniteLogProbs(args, token),
  };
}

/** Whether every log-probability that the token's term uses is finite. */
export function hasFiniteLogProbs(args: SurrogateArgs, token: number): boolean {
  const { logProbs, oldLogProbs, refLogProbs, rolloutLogProbs, kl } = args;
  if (!Number.isFinite(logProbs[token]) || !Number.isFinite(oldLogProbs[token])) return false;
  if (readsRollout(args) && rolloutLogProbs !== null && !Number.isFinite(rolloutLogProbs[token])) return false;
  return kl.coef === 0 || refLogProbs === null || Number.isFinite(refLogProbs[token]);
}

/** @param live the token's ratio moves with its log-probability */
function klOf(
  { kl, logProbs, refLogProbs }: SurrogateArgs,
  token: number,
  ratio: number,
  live: boolean,
): KlTerm | null {
  if (kl.coef === 0 || refLogProbs === null) return null;
  const term = klTerm(logProbs[token] - refLogProbs[token], kl);
  return kl.ratioCorrection ? correctByRatio(term, ratio, live) : term;
}
