/** Stages 10 and 11: the combined advantages modulated by their turns' entropies, then whitened over the batch. */
import type { TurnStatisticsArgs } from '../../ops.js';
import { entropyModulation } from '../math/modulation.js';
import { whiten } from '../math/whiten.js';
import { forEachResult } from './combine_channels.js';
import { type CreditLayout, lossWeights } from './credit_layout.js';

/** A_k g_k + bonus f_{k+1}, f of the next turn of the same trajectory. */
export function modulateAdvantages(args: TurnStatisticsArgs, layout: CreditLayout): void {
  const { modulation, turnEntropies, turns, advantages } = args;
  if (modulation.kind === 'none' || turnEntropies === null) return;
  const included = turnEntropies.map((entropy, k) => (layout.excluded[turns.trajectory[k]] ? Number.NaN : entropy));
  const { scale, future } = entropyModulation(included, modulation);
  forEachResult(args, layout, (entry, turn, isLastTurn) => {
    advantages[entry] = advantages[entry] * scale[turn] + modulation.bonus * (isLastTurn ? 0 : future[turn + 1]);
  });
}

/** Whitens the advantages of every trajectory that is not excluded. */
export function whitenAdvantages(args: TurnStatisticsArgs, layout: CreditLayout): void {
  const { whiten: options, advantages } = args;
  if (options.kind === 'none') return;
  const weights = weightsOf(args, layout);
  const included: number[] = [];
  forEachResult(args, layout, (entry) => included.push(entry));
  const whitened = whiten(
    Float64Array.from(included, (entry) => advantages[entry]),
    Float64Array.from(included, (entry) => weights[entry]),
    options,
  );
  included.forEach((entry, i) => {
    advantages[entry] = whitened[i];
  });
}

/** How much each advantage counts: its loss tokens, 1, or 1 for the first turn of a trajectory and 0 for the others. */
function weightsOf(args: TurnStatisticsArgs, layout: CreditLayout): Float64Array {
  const { turns, resultLevel, whiten: options } = args;
  switch (options.over) {
    case 'token':
      return lossWeights(args, layout, resultLevel);
    case 'turn':
      return new Float64Array(turns.starts.length).fill(1);
    case 'sequence':
      return Float64Array.from(turns.trajectory, (m, k) => (k > 0 && turns.trajectory[k - 1] === m ? 0 : 1));
  }
}
