/**
 * Ratio at its level, gate, KL and aggregation: metrics and the coefficient dLoss/dLogProb of every token. Float64.
 * Only loss tokens (mask 1 inside a turn) are looked at; what stands in other positions is never read into arithmetic.
 *
 *   loss = Σₜ cₜ (f(ρₜ, Aₜ) + kl.coef · v(xₜ)) / D
 */
import { METRIC_SLOTS, type Status, type SurrogateArgs } from '../../ops.js';
import { lossDenominator } from '../math/aggregate.js';
import { clampLogRatio, isClamped, meanLogRatio } from '../math/ratio.js';
import { listLossTokens } from './loss_tokens.js';
import { failed, INVALID, OK } from './status.js';
import { writeMetrics } from './surrogate_metrics.js';
import { hasFiniteLogProbs, lossTerm, type SegmentRatio, type TokenTerm } from './surrogate_term.js';
import { areSpansWithin, areTurns } from './turn_layout.js';

export function surrogate(args: SurrogateArgs): Status {
  const status = checkSurrogate(args);
  if (status.code !== 'ok') return status;
  const list = listLossTokens(args);
  if (args.nonFinite !== 'propagate') {
    const bad = list.tokens.find((n) => !hasFiniteLogProbs(args, n));
    if (bad !== undefined) return failed('non-finite-log-prob', bad);
  }

  const terms: TokenTerm[] = [];
  args.coefficients.fill(0);
  const denominator = lossDenominator(args.aggregate, args.denominators);
  for (let segment = 0; segment + 1 < list.segments.length; segment++) {
    const first = list.segments[segment];
    const ratio = segmentRatio(args, list.tokens.subarray(first, list.segments[segment + 1]));
    const own: TokenTerm[] = [];
    for (let i = first; i < list.segments[segment + 1]; i++) own.push(lossTerm(args, list, i, ratio));
    if (denominator !== 0) writeCoefficients(args, own, denominator);
    for (const term of own) terms.push(term);
  }
  writeMetrics(args, terms, denominator);
  return OK;
}

/** Sizes and spans; after it no index can leave a buffer. */
export function checkSurrogate(args: SurrogateArgs): Status {
  const { turns, actionMask, logProbs, oldLogProbs, refLogProbs, entropy, advantages, clipScale, coefficients } = args;
  const tokenCount = logProbs.length;
  const perToken = [actionMask, oldLogProbs, refLogProbs, entropy, coefficients];
  if (perToken.some((array) => array !== null && array.length !== tokenCount)) return INVALID;
  if (!areTurns(turns) || !areSpansWithin(turns, tokenCount)) return INVALID;
  if (args.advantageLevel === 'sequence') return INVALID;
  const advantageCount = args.advantageLevel === 'turn' ? turns.starts.length : tokenCount;
  if (advantages.length !== advantageCount) return INVALID;
  if (clipScale !== null && clipScale.length !== advantageCount) return INVALID;
  return args.metrics.length === METRIC_SLOTS.length ? OK : INVALID;
}

/** The ratio shared by the loss tokens of a segment. */
function segmentRatio({ logProbs, oldLogProbs, ratio }: SurrogateArgs, tokens: Int32Array): SegmentRatio {
  const x = meanLogRatio(Float64Array.from(tokens, (n) => logProbs[n] - oldLogProbs[n]));
  return {
    ratio: Math.exp(clampLogRatio(x, ratio.clampLow, ratio.clampHigh)),
    clamped: isClamped(x, ratio.clampLow, ratio.clampHigh),
  };
}

/**
 * dLoss/dLogProb of the tokens of one segment.
 *
 *   straight-through: (cₜ / D) f'ₜ;   true: 1/n Σₛ (cₛ / D) f'ₛ for each of the n tokens;   plus (cₜ / D) coef v'ₜ
 *
 * Source: straight-through, GSPO-token (arXiv 2507.18071), A²TGPO (arXiv 2605.06200); true mean, TRL
 * importance_sampling_level, Turn-PPO (arXiv 2511.20718).
 */
function writeCoefficients(args: SurrogateArgs, segment: TokenTerm[], denominator: number): void {
  let sum = 0;
  for (const term of segment) sum += (term.weight / denominator) * term.policyGradient;
  for (const term of segment) {
    const weight = term.weight / denominator;
    const own = args.ratio.form === 'true' ? sum / segment.length : weight * term.policyGradient;
    args.coefficients[term.token] = own + weight * term.klGradient;
  }
}
