/**
 * Ratio at its level, gate, weights, KL, entropy bonus and aggregation: metrics, and the coefficients dLoss/dLogProb
 * and dLoss/dEntropy of every token. Float64. Only loss tokens (mask 1 inside a turn) are looked at; what stands in
 * other positions is never read into arithmetic.
 *
 *   loss = Σₜ cₜ (wₜ f(ρₜ, Aₜ) + kl.coef · v(xₜ) - entropyCoef · Hₜ) / D
 */
import type { Status, SurrogateArgs } from '../../ops.js';
import { lossDenominator } from '../math/aggregate.js';
import { checkSurrogate } from './check_surrogate.js';
import { countDenominators } from './count_denominators.js';
import { listLossTokens } from './loss_tokens.js';
import { failed, OK } from './status.js';
import { writeMetrics } from './surrogate_metrics.js';
import { hasFiniteLogProbs, lossTerms, type TokenTerm } from './surrogate_term.js';
import { unitRatios } from './unit_ratios.js';

export function surrogate(args: SurrogateArgs): Status {
  const status = checkSurrogate(args);
  if (status.code !== 'ok') return status;
  const list = listLossTokens(args);
  if (args.nonFinite !== 'propagate') {
    const bad = list.tokens.find((n) => !hasFiniteLogProbs(args, n));
    if (bad !== undefined) return failed('non-finite-log-prob', bad);
  }
  const ratios = unitRatios(args, list);
  const terms = lossTerms(args, list, ratios);
  const counts = args.denominators ?? countDenominators(args.turns, args.groups);
  const denominator = lossDenominator(args.aggregate, counts);
  args.coefficients.fill(0);
  args.entropyCoefficients?.fill(0);
  if (denominator !== 0) {
    writeEntropyCoefficients(args, terms, denominator);
    for (let s = 0; s + 1 < ratios.bounds.length; s++) {
      writeCoefficients(args, terms.slice(ratios.bounds[s], ratios.bounds[s + 1]), denominator);
    }
  }
  writeMetrics(args, terms, denominator);
  return OK;
}

/**
 * dLoss/dLogProb of the tokens of one unit.
 *
 *   straight-through: (cₜ / D) f'ₜ;   true: J Σₛ (cₛ / D) f'ₛ for each of the n tokens, J = 1/n of a mean, 1 of a sum;
 *   either is 0 where the token's own log-ratio was clamped or clipped;
 *   plus (cₜ / D) (∂fₜ/∂log π + coef v'ₜ)
 *
 * Source: straight-through, GSPO-token (arXiv 2507.18071), A²TGPO (arXiv 2605.06200); true mean, TRL
 * importance_sampling_level, Turn-PPO (arXiv 2511.20718).
 */
function writeCoefficients({ ratio, coefficients }: SurrogateArgs, unit: TokenTerm[], denominator: number): void {
  let sum = 0;
  for (const term of unit) sum += (term.policyWeight / denominator) * term.policyGradient;
  const shared = ratio.reduce === 'mean' ? sum / unit.length : sum;
  for (const term of unit) {
    const weight = term.weight / denominator;
    const through = ratio.form === 'true' ? shared : weight * term.policyGradient;
    coefficients[term.token] = (term.live ? through : 0) + weight * (term.directGradient + term.klGradient);
  }
}

/** dLoss/dEntropy = -entropyCoef cₜ / D */
function writeEntropyCoefficients(args: SurrogateArgs, terms: TokenTerm[], denominator: number): void {
  const { entropyCoef, entropyCoefficients } = args;
  if (entropyCoefficients === null || entropyCoef === 0) return;
  for (const term of terms) entropyCoefficients[term.token] = -entropyCoef * (term.weight / denominator);
}
