/**
 * The gate that is no function of one token: per prompt, the trajectories of A < 0 against those of A > 0.
 *
 *   L_q = log(1 + Σ_{A_b < 0} exp(x_b / T)) + log(1 + Σ_{A_b > 0} exp(-x_b / T)),   0 where a class is empty
 *
 * A_b is the advantage of the trajectory's first loss token; A_b = 0 leaves it out.
 *
 * Source: REAL, arXiv 2602.05630 (labels are the signs of A).
 */
import type { SurrogateArgs } from '../../ops.js';
import { softplusOfMany } from '../math/gates/log_sum_exp.js';
import { type GateTerm, NO_TERM } from '../math/gates/term.js';
import type { LossTokens } from './loss_tokens.js';
import { advantageOf, type UnitRatios } from './unit_ratios.js';

/**
 * The terms of the loss tokens [L]: L_q at the first token of the prompt's first trajectory, ∂L_q/∂x_b at the first one
 * of each trajectory, from where the true mean spreads it; they carry no aggregation weight.
 */
export function coupledTerms(args: SurrogateArgs, list: LossTokens, ratios: UnitRatios): GateTerm[] {
  const terms: GateTerm[] = new Array(list.tokens.length).fill(NO_TERM);
  for (const units of unitsByPrompt(args, list, ratios)) {
    const advantage = (s: number) => advantageOf(args, list, ratios.bounds[s]);
    const negative = units.filter((s) => advantage(s) < 0);
    const positive = units.filter((s) => advantage(s) > 0);
    const first = ratios.bounds[units[0]];
    if (negative.length === 0 || positive.length === 0) continue;
    const value = pushApart(args, ratios, negative, 1, terms) + pushApart(args, ratios, positive, -1, terms);
    terms[first] = { ...terms[first], value };
  }
  return terms;
}

/** Sets the derivatives of one class of a prompt and returns its part of L_q. */
function pushApart(
  { gate }: SurrogateArgs,
  { bounds, logRatio, clamped }: UnitRatios,
  units: number[],
  sign: 1 | -1,
  terms: GateTerm[],
): number {
  const { value, shares } = softplusOfMany(Float64Array.from(units, (s) => (sign * logRatio[s]) / gate.temperature));
  units.forEach((s, b) => {
    const gradient = clamped[s] ? 0 : (sign * shares[b]) / gate.temperature;
    terms[bounds[s]] = { ...terms[bounds[s]], gradient };
  });
  return value;
}

function unitsByPrompt({ turns, groups }: SurrogateArgs, list: LossTokens, { bounds }: UnitRatios): number[][] {
  const prompts = new Map<number, number[]>();
  for (let s = 0; s + 1 < bounds.length; s++) {
    const prompt = groups?.[turns.trajectory[list.turns[bounds[s]]]] ?? 0;
    const own = prompts.get(prompt);
    if (own === undefined) prompts.set(prompt, [s]);
    else own.push(s);
  }
  return [...prompts.values()];
}
