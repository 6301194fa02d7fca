/** Stages 6, 8 and 9: what a channel's values add to the advantages (or ratio targets) of every turn or loss token. */
import type { ChannelArgs, Level, TurnStatisticsArgs } from '../../ops.js';
import { discounted } from '../math/accumulate.js';
import { magnitudeCap, outcomeGate } from '../math/cap_and_gate.js';
import { clipScale } from '../math/clip_scale.js';
import { weightedMoments } from '../math/weighted_moments.js';
import type { Entries } from './channel_signal.js';
import { type CreditLayout, lossWeights, unitOf } from './credit_layout.js';
import { numbering } from './numbering.js';

/** The channel's z (NaN where there is no signal), and the clip scale made from it before any accumulation. */
export function exposeNormalized(args: TurnStatisticsArgs, layout: CreditLayout, { level, values }: Entries): void {
  forEachResult(args, layout, (entry) => {
    const z = values[unitOf(layout, level, args.resultLevel, entry)];
    args.normalizedSignal[entry] = z;
    args.clipScale[entry] = clipScale(z, args.clipScaleBeta);
  });
}

/** Stage 8: the channel's values times its cap, then its gate. */
export function capAndGate(
  args: TurnStatisticsArgs,
  { capEps, gateTemperature }: ChannelArgs,
  layout: CreditLayout,
  { level, values, present }: Entries,
): Entries {
  const cap =
    capEps > 0
      ? magnitudeCap(
          tokenStd(args, layout, args.resultLevel, args.advantages),
          tokenStd(args, layout, level, values),
          capEps,
        )
      : 1;
  const gates = gateTemperature > 0 ? promptGates(args, gateTemperature) : null;
  const scaled = values.map((value, entry) => {
    const gate = gates?.[layout.trajectoryOf[level][entry]] ?? 1;
    return value * cap * gate;
  });
  return { level, values: scaled, present };
}

/** Sample standard deviation over the loss tokens of the batch; a turn's value counts once per token. */
function tokenStd(args: TurnStatisticsArgs, layout: CreditLayout, level: Level, values: Float64Array): number {
  return Math.sqrt(weightedMoments(values, lossWeights(args, layout, level), 1).variance);
}

/** [M] */
function promptGates({ groups, outcome }: TurnStatisticsArgs, temperature: number): Float64Array {
  const promptOf = numbering();
  const outcomes: number[][] = [];
  groups.forEach((prompt, m) => {
    const own = promptOf(prompt);
    if (own === outcomes.length) outcomes.push([]);
    outcomes[own].push(outcome?.[m] ?? Number.NaN);
  });
  const gates = outcomes.map((own) => outcomeGate(Float64Array.from(own), temperature));
  return Float64Array.from(groups, (prompt) => gates[promptOf(prompt)]);
}

/** Σw of the channels that say something, of each result entry; combine weighted-mean. */
export type WeightSums = Float64Array;

/** Stage 9: adds weight · value of one channel. A ratio target is a plain sum, however advantages combine. */
export function addChannel(
  args: TurnStatisticsArgs,
  channel: ChannelArgs,
  layout: CreditLayout,
  { level, values }: Entries,
  weightSums: WeightSums,
): void {
  const isTarget = channel.use === 'ratio-target';
  const to = isTarget ? args.ratioTargets : args.advantages;
  if (to === null) return;
  forEachResult(args, layout, (entry, _, isLastTurn) => {
    // Joined channels form one sequence of signals, in which a trajectory's value stands on the last turn only.
    if (args.combine === 'join' && !isTarget && level === 'sequence' && !isLastTurn) return;
    const value = values[unitOf(layout, level, args.resultLevel, entry)];
    const weight = isLastTurn ? channel.lastWeight : channel.weight;
    to[entry] += weight * value;
    if (!isTarget && value !== 0) weightSums[entry] += weight;
  });
}

/** What follows the last channel: join discounts the joined sequence, weighted-mean divides by the weights in force. */
export function finishCombination(args: TurnStatisticsArgs, layout: CreditLayout, weightSums: WeightSums): void {
  const { advantages, combine, joinGamma } = args;
  if (combine === 'join') {
    for (const turns of layout.entries.turn) {
      const first = turns[0] ?? 0;
      advantages.set(discounted(advantages.subarray(first, first + turns.length), joinGamma), first);
    }
  }
  if (combine === 'weighted-mean') {
    weightSums.forEach((sum, entry) => {
      advantages[entry] = sum === 0 ? 0 : advantages[entry] / sum;
    });
  }
}

/** Every turn or loss token (as resultLevel says) of the trajectories that are not excluded. */
export function forEachResult(
  { resultLevel }: TurnStatisticsArgs,
  layout: CreditLayout,
  visit: (entry: number, turn: number, isLastTurn: boolean) => void,
): void {
  layout.entries[resultLevel].forEach((entries, m) => {
    if (layout.excluded[m]) return;
    const lastTurn = layout.entries.turn[m].at(-1);
    for (const entry of entries) {
      const turn = layout.turnOf[resultLevel][entry];
      visit(entry, turn, turn === lastTurn);
    }
  });
}
