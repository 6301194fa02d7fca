/** From per-token terms to a loss: the weight of a term and the global denominator. loss = Σₜ cₜ fₜ / D. */
import type { Aggregate, DenominatorsArgs } from '../../ops.js';

/**
 * Weight c of one token's term.
 *
 *   token-mean, token-sum, seq-mean-token-sum, prompt-mean: 1;   seq-mean-token-mean: 1/|y|;
 *   turn-mean-token-mean: 1/|u|;   seq-mean-token-sum-norm: 1/horizon
 *
 * Source: verl core_algos.agg_loss; Dr.GRPO, arXiv 2503.20783 (constant horizon); DAPO, arXiv 2503.14476 (token-mean).
 *
 * @param turnTokens |u|, loss tokens of the token's turn
 * @param sequenceTokens |y|, loss tokens of the token's trajectory
 */
export function termWeight(aggregate: Aggregate, turnTokens: number, sequenceTokens: number, horizon: number): number {
  switch (aggregate) {
    case 'token-mean':
    case 'token-sum':
    case 'seq-mean-token-sum':
    case 'prompt-mean':
      return 1;
    case 'seq-mean-token-mean':
      return 1 / sequenceTokens;
    case 'turn-mean-token-mean':
      return 1 / turnTokens;
    case 'seq-mean-token-sum-norm':
      return 1 / horizon;
  }
}

/**
 * Denominator D of the loss, a count over the whole batch and not over a micro-batch: the same D in every part makes
 * the sum of the parts' gradients independent of the split.
 *
 *   token-mean: tokens;   token-sum: 1;   seq-*: trajectories with a loss token;   turn-mean-token-mean: turns with a
 *   loss token;   prompt-mean: prompts with a loss token
 */
export function lossDenominator(aggregate: Aggregate, denominators: DenominatorsArgs): number {
  switch (aggregate) {
    case 'token-mean':
      return denominators.tokens;
    case 'token-sum':
      return 1;
    case 'turn-mean-token-mean':
      return denominators.turns;
    case 'prompt-mean':
      return denominators.prompts;
    case 'seq-mean-token-mean':
    case 'seq-mean-token-sum':
    case 'seq-mean-token-sum-norm':
      return denominators.sequences;
  }
}
