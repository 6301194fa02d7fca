/** Stages 1 and 2 of a channel: what its signals add up to, and their scale. */
import type { ChannelArgs, Level, TurnStatisticsArgs } from '../../ops.js';
import { klTerm } from '../math/kl.js';
import { flooredStd } from '../math/normalize.js';
import { type CreditLayout, entriesWithin } from './credit_layout.js';

/** Values of a channel, [M], [K] or [N] as its level says. */
export interface Entries {
  level: Level;
  values: Float64Array;
  /** 1 = there is a value and its trajectory is not excluded. Values of absent entries mean nothing. */
  present: Uint8Array;
}

/** The sum of a channel's signals at each of its entries: trajectory, turn, token signal, KL penalty. NaN is no signal. */
export function readSignal(args: TurnStatisticsArgs, channel: ChannelArgs, layout: CreditLayout): Entries {
  const { level } = channel;
  const values = new Float64Array(layout.size[level]).fill(Number.NaN);
  const add = (entry: number, x: number) => {
    if (!Number.isNaN(x)) values[entry] = Number.isNaN(values[entry]) ? x : values[entry] + x;
  };
  addSignal(channel, layout, channel.trajectorySignal, 'sequence', add);
  addSignal(channel, layout, channel.turnSignal, 'turn', add);
  addSignal(channel, layout, channel.tokenSignal, 'token', add);
  if (channel.klPenalty.coef !== 0) addKlPenalty(args, channel, layout, add);

  const present = new Uint8Array(values.length);
  for (const entry of includedEntries(layout, level)) present[entry] = Number.isNaN(values[entry]) ? 0 : 1;
  const signal = { level, values, present };
  if (channel.matchOutcomeStd) matchOutcomeStd(args, channel, signal);
  return signal;
}

const COARSE_TO_FINE: readonly Level[] = ['sequence', 'turn', 'token'];

/** A signal of a coarser level is placed on the last or on every entry of its unit, one of a finer level is summed. */
function addSignal(
  { level, place }: ChannelArgs,
  layout: CreditLayout,
  signal: Float64Array | null,
  signalLevel: Level,
  add: (entry: number, x: number) => void,
): void {
  if (signal === null) return;
  const isFiner = COARSE_TO_FINE.indexOf(signalLevel) > COARSE_TO_FINE.indexOf(level);
  for (const unit of allEntries(layout, isFiner ? level : signalLevel)) {
    if (isFiner) {
      const present = entriesWithin(layout, signalLevel, level, unit).filter((e) => !Number.isNaN(signal[e]));
      if (present.length > 0)
        add(
          unit,
          present.map((e) => signal[e]).reduce((sum, x) => sum + x),
        );
    } else {
      const places = entriesWithin(layout, level, signalLevel, unit);
      for (const entry of place === 'last' ? places.slice(-1) : places) add(entry, signal[unit]);
    }
  }
}

/** -coef · KL(old ‖ ref) on every loss token. Source: KL in the reward, InstructGPT, arXiv 2203.02155. */
function addKlPenalty(
  { oldLogProbs, refLogProbs }: TurnStatisticsArgs,
  { klPenalty }: ChannelArgs,
  layout: CreditLayout,
  add: (entry: number, x: number) => void,
): void {
  if (oldLogProbs === null || refLogProbs === null) return;
  for (const n of allEntries(layout, 'token')) {
    add(n, -klPenalty.coef * klTerm(oldLogProbs[n] - refLogProbs[n], klPenalty).value);
  }
}

/** Brings the signal to the standard deviation of the outcomes, both over the whole batch (A²TGPO turn-group). */
function matchOutcomeStd(args: TurnStatisticsArgs, channel: ChannelArgs, { values, present }: Entries): void {
  const outcomes = Float64Array.from(args.outcome ?? []).filter((outcome) => !Number.isNaN(outcome));
  const signals = values.filter((_, entry) => present[entry] === 1);
  const scale = flooredStd(outcomes, channel.stdFloor) / flooredStd(signals, channel.stdFloor);
  for (let entry = 0; entry < values.length; entry++) values[entry] *= scale;
}

function allEntries(layout: CreditLayout, level: Level): number[] {
  return layout.entries[level].flat();
}

function includedEntries(layout: CreditLayout, level: Level): number[] {
  return layout.entries[level].filter((_, m) => !layout.excluded[m]).flat();
}
