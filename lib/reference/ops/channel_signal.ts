/** Stages 1 to 3 of a channel: where its signal comes from, its scale, and its accumulation before the statistics. */
import type { ChannelArgs, TurnStatisticsArgs } from '../../ops.js';
import { discounted } from '../math/accumulate.js';
import { flooredStd } from '../math/normalize.js';

/** Values of a channel: one entry per trajectory for an outcome channel, one per turn otherwise. */
export interface Entries {
  values: Float64Array;
  /** 1 = there is a signal and its trajectory is not excluded. Values of absent entries mean nothing. */
  present: Uint8Array;
}

/**
 * The signal of a channel, scaled and accumulated as its settings say.
 *
 * @param ranges [first, last) turn of each trajectory [M]
 */
export function readSignal(args: TurnStatisticsArgs, channel: ChannelArgs, ranges: [number, number][]): Entries {
  const signal = rawSignal(args, channel, ranges);
  if (channel.matchOutcomeStd) matchOutcomeStd(args, channel, signal);
  if (channel.accumulate === 'discounted' && channel.signal !== 'outcome') accumulate(args, channel, signal, ranges);
  return signal;
}

function rawSignal(args: TurnStatisticsArgs, channel: ChannelArgs, ranges: [number, number][]): Entries {
  const values = sourceOf(args, channel, ranges);
  const isExcluded = (m: number) => args.outcome !== null && Number.isNaN(args.outcome[m]);
  const present = new Uint8Array(values.length);
  for (let entry = 0; entry < values.length; entry++) {
    const m = channel.signal === 'outcome' ? entry : args.turns.trajectory[entry];
    present[entry] = Number.isNaN(values[entry]) || isExcluded(m) ? 0 : 1;
  }
  return { values, present };
}

/** A copy of the signal's input; NaN = no signal. `checkTurnStatistics` has seen that the input is there. */
function sourceOf(args: TurnStatisticsArgs, channel: ChannelArgs, ranges: [number, number][]): Float64Array {
  switch (channel.signal) {
    case 'outcome':
      return Float64Array.from(args.outcome ?? []);
    case 'turn-reward':
      return Float64Array.from(args.turnRewards ?? []);
    case 'information-gain':
      return Float64Array.from(args.informationGain ?? []);
    case 'joined': {
      const { outcome } = args;
      const values = Float64Array.from(args.informationGain ?? []);
      ranges.forEach(([first, last], m) => {
        if (last > first && outcome !== null) values[last - 1] = outcome[m];
      });
      return values;
    }
  }
}

/** Brings the signal to the standard deviation of the outcomes, both over the whole batch (A²TGPO turn-group). */
function matchOutcomeStd(args: TurnStatisticsArgs, channel: ChannelArgs, { values, present }: Entries): void {
  const outcomes = Float64Array.from(args.outcome ?? []).filter((outcome) => !Number.isNaN(outcome));
  const signals = values.filter((_, entry) => present[entry] === 1);
  const scale = flooredStd(outcomes, channel.stdFloor) / flooredStd(signals, channel.stdFloor);
  for (let entry = 0; entry < values.length; entry++) values[entry] *= scale;
}

/** An absent turn adds 0 and stays absent; what follows it still reaches the turns before it. */
function accumulate(
  args: TurnStatisticsArgs,
  channel: ChannelArgs,
  { values, present }: Entries,
  ranges: [number, number][],
): void {
  ranges.forEach(([first, last], m) => {
    const own = values.slice(first, last).map((value, i) => (present[first + i] ? value : 0));
    const beyond = channel.bootstrap === 'outcome' && args.outcome !== null ? args.outcome[m] : 0;
    values.set(discounted(own, channel.gamma, beyond), first);
  });
}
