/** S9, the importance ratio of every unit (token, turn or trajectory) and what its tokens contribute to it. */
import type { SurrogateArgs } from '../../ops.js';
import { clampLogRatio, isClamped, reduceValues, type TokenLogRatio, tokenLogRatio } from '../math/ratio.js';
import { type LossTokens, unitBounds } from './loss_tokens.js';

export interface UnitRatios {
  /** Units in the list of loss tokens [S + 1]. */
  bounds: Int32Array;
  /** Unit of each loss token [L]. */
  unit: Int32Array;
  /** x and exp(x) of each unit [S]. */
  logRatio: Float64Array;
  ratio: Float64Array;
  /** x was outside ratio.clampLow .. clampHigh: its derivative is 0. */
  clamped: boolean[];
  /** y of each loss token [L]. */
  tokens: TokenLogRatio[];
}

/**
 *   x = mean or sum of y over the loss tokens of the unit, y at token level;   ρ = exp(clamp(x))
 */
export function unitRatios(args: SurrogateArgs, list: LossTokens): UnitRatios {
  const { logProbs, oldLogProbs, ratio } = args;
  const tokens = Array.from(list.tokens, (n, i) =>
    tokenLogRatio(logProbs[n] - oldLogProbs[n], advantageOf(args, list, i), ratio),
  );
  const bounds = unitBounds(list, args.turns, ratio.level);
  const count = bounds.length - 1;
  const result: UnitRatios = {
    bounds,
    unit: new Int32Array(tokens.length),
    logRatio: new Float64Array(count),
    ratio: new Float64Array(count),
    clamped: [],
    tokens,
  };
  for (let s = 0; s < count; s++) {
    const own = tokens.slice(bounds[s], bounds[s + 1]);
    const x = reduceValues(
      Float64Array.from(own, (token) => token.value),
      ratio.reduce,
    );
    result.logRatio[s] = clampLogRatio(x, ratio.clampLow, ratio.clampHigh);
    result.ratio[s] = Math.exp(result.logRatio[s]);
    result.clamped.push(isClamped(x, ratio.clampLow, ratio.clampHigh));
    result.unit.fill(s, bounds[s], bounds[s + 1]);
  }
  return result;
}

/** Where the advantage, clip scale and ratio target of loss token i stand. */
export function advantageIndex(args: SurrogateArgs, list: LossTokens, i: number): number {
  return args.advantageLevel === 'turn' ? list.turns[i] : list.tokens[i];
}

export function advantageOf(args: SurrogateArgs, list: LossTokens, i: number): number {
  return args.advantages[advantageIndex(args, list, i)];
}
