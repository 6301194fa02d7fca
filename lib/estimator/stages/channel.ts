/**
 * A channel turns one signal into one number per turn (or, for the outcome, per trajectory):
 *
 *   signal -> accumulate -> group -> center, scale -> then -> weight
 *
 * Stages S1 to S6 of the algebra. Every stage is data; each union below lists what exists.
 */

import { Fields } from '../../check/fields.js';
import { InvalidInputError } from '../../errors.js';
import type { Bootstrap, ChannelArgs, Divide, GroupBy, Singleton } from '../../ops.js';

/** Before the statistics: D_k = x_k + gamma D_{k+1}. `bootstrap: 'outcome'` starts it from the trajectory's outcome. */
export type AccumulateStage = { kind: 'none' } | { kind: 'discounted'; gamma: number; bootstrap: Bootstrap };

/** Who is compared with whom, and what a group of one gets: 0, its raw value, or an error. */
export type GroupStage = { kind: GroupBy; singleton: Singleton };

export type CenterStage = { kind: 'none' } | { kind: 'mean' };

/** Divide by sqrt(variance + varianceFloor) + eps; ddof 0 = population, 1 = sample. */
export type ScaleStage = { kind: 'none' } | { kind: 'std'; ddof: 0 | 1; eps: number; varianceFloor: number };

/** After the statistics: E_k = z_k + gamma E_{k+1}, optionally divided by the square root of the number of terms. */
export type ThenStage = { kind: 'none' } | { kind: 'discounted'; gamma: number; divide: Divide };

/** One weight for all turns, or another one for the last turn of each trajectory. */
export type Weight = number | { inner: number; last: number };

/** Multiply a signal by std(outcome) / std(signal) over the batch, each at least `floor`. */
export type RescaleStage = { kind: 'none' } | { kind: 'match-outcome-std'; floor: number };

/** What a last turn does in a channel that reads information gain: carry the outcome (a finite gain there is an error), or its own gain. */
export type LastTurn = 'outcome' | 'signal';

export type TurnSignal =
  | { kind: 'turn-reward'; rescale: RescaleStage }
  | { kind: 'information-gain'; lastTurn: LastTurn; rescale: RescaleStage }
  /** Information gain on every turn but the last, the outcome on the last: one pooled sequence. */
  | { kind: 'joined' };

/** One value per trajectory, given to all of its turns (or, in `combine: join`, to the last). */
export interface OutcomeChannel {
  signal: { kind: 'outcome' };
  group: { kind: Exclude<GroupBy, 'prompt-turn'>; singleton: Singleton };
  center: CenterStage;
  scale: ScaleStage;
  weight: Weight;
}

/** One value per turn. */
export interface TurnChannel {
  signal: TurnSignal;
  accumulate: AccumulateStage;
  group: GroupStage;
  center: CenterStage;
  scale: ScaleStage;
  then: ThenStage;
  weight: Weight;
}

export type Channel = OutcomeChannel | TurnChannel;

type Defaulted<T, Keys extends keyof T> = Omit<T, Keys> & Partial<Pick<T, Keys>>;

type TurnSignalInput =
  | { kind: 'turn-reward'; rescale?: RescaleStage }
  | { kind: 'information-gain'; lastTurn?: LastTurn; rescale?: RescaleStage }
  | { kind: 'joined' };

/** A channel with its defaults left out: no rescaling, no accumulation, a group of one gets 0 (its raw value where nothing is centred or scaled), weight 1. */
export type ChannelInput =
  | (Defaulted<Omit<OutcomeChannel, 'group'>, 'weight'> & {
      group: Defaulted<OutcomeChannel['group'], 'singleton'>;
      accumulate?: never;
      then?: never;
    })
  | (Defaulted<Omit<TurnChannel, 'signal' | 'group'>, 'accumulate' | 'then' | 'weight'> & {
      signal: TurnSignalInput;
      group: Defaulted<GroupStage, 'singleton'>;
    });

const GAMMA = { min: 0, max: 1 };
const NOT_NEGATIVE = { min: 0 };
const SINGLETONS = ['zero', 'raw', 'throw'] as const;

export function readChannel(value: unknown, path: string): Channel {
  const fields = new Fields(value, path);
  const signal = fields.object('signal', readSignal);
  const outcome = signal.kind === 'outcome';
  const center = fields.object('center', (f): CenterStage => ({ kind: f.oneOf('kind', ['none', 'mean']) }));
  const scale = fields.object('scale', readScale);
  // Without any statistic nobody is compared: a group of one is like any other.
  const alone = center.kind === 'none' && scale.kind === 'none' ? 'raw' : 'zero';
  const group = fields.object(
    'group',
    (f): GroupStage => ({
      kind: f.oneOf('kind', outcome ? ['batch', 'prompt'] : ['batch', 'prompt', 'prompt-turn']),
      singleton: f.oneOf('singleton', SINGLETONS, alone),
    }),
  );
  const weight = readWeight(fields);
  if (outcome) {
    fields.end('An outcome channel has one value per trajectory and does not accumulate');
    return { signal, group, center, scale, weight } as OutcomeChannel;
  }
  const accumulate = fields.has('accumulate') ? fields.object('accumulate', readAccumulate) : { kind: 'none' as const };
  const then = fields.has('then') ? fields.object('then', readThen) : { kind: 'none' as const };
  fields.end();
  return { signal, accumulate, group, center, scale, then, weight };
}

function readSignal(fields: Fields): TurnSignal | { kind: 'outcome' } {
  const kind = fields.oneOf('kind', ['outcome', 'turn-reward', 'information-gain', 'joined']);
  if (kind === 'outcome' || kind === 'joined') return { kind };
  const rescale = fields.has('rescale') ? fields.object('rescale', readRescale) : { kind: 'none' as const };
  if (kind === 'turn-reward') return { kind, rescale };
  return { kind, lastTurn: fields.oneOf('lastTurn', ['outcome', 'signal'], 'outcome'), rescale };
}

function readRescale(fields: Fields): RescaleStage {
  const kind = fields.oneOf('kind', ['none', 'match-outcome-std']);
  return kind === 'none' ? { kind } : { kind, floor: fields.number('floor', { above: 0 }) };
}

function readAccumulate(fields: Fields): AccumulateStage {
  const kind = fields.oneOf('kind', ['none', 'discounted']);
  if (kind === 'none') return { kind };
  return {
    kind,
    gamma: fields.number('gamma', GAMMA),
    bootstrap: fields.oneOf('bootstrap', ['zero', 'outcome'], 'zero'),
  };
}

function readScale(fields: Fields): ScaleStage {
  const kind = fields.oneOf('kind', ['none', 'std']);
  if (kind === 'none') return { kind };
  // One of the two keeps the quotient of nearly equal values finite.
  const varianceFloor = fields.number('varianceFloor', NOT_NEGATIVE, 0);
  return {
    kind,
    ddof: fields.number('ddof', { integer: true, min: 0, max: 1 }) as 0 | 1,
    varianceFloor,
    eps: fields.number('eps', varianceFloor > 0 ? NOT_NEGATIVE : { above: 0 }),
  };
}

function readThen(fields: Fields): ThenStage {
  const kind = fields.oneOf('kind', ['none', 'discounted']);
  if (kind === 'none') return { kind };
  return { kind, gamma: fields.number('gamma', GAMMA), divide: fields.oneOf('divide', ['none', 'sqrt-terms'], 'none') };
}

function readWeight(fields: Fields): Weight {
  const value = fields.take('weight');
  if (typeof value !== 'object' || value === null) return fields.number('weight', {}, 1);
  return fields.object('weight', (f) => ({ inner: f.number('inner', {}), last: f.number('last', {}) }));
}

/** The flat record of native/ops.h. */
export function channelArgs(channel: Channel): ChannelArgs {
  const turn = 'then' in channel ? channel : undefined;
  const accumulate = turn?.accumulate ?? { kind: 'none' };
  const then = turn?.then ?? { kind: 'none' };
  const { signal, group, center, scale, weight } = channel;
  const rescale = 'rescale' in signal ? signal.rescale : { kind: 'none' as const };
  return {
    signal: signal.kind,
    matchOutcomeStd: rescale.kind === 'match-outcome-std',
    stdFloor: rescale.kind === 'match-outcome-std' ? rescale.floor : 0,
    accumulate: accumulate.kind,
    gamma: accumulate.kind === 'discounted' ? accumulate.gamma : 0,
    bootstrap: accumulate.kind === 'discounted' ? accumulate.bootstrap : 'zero',
    group: group.kind,
    singleton: group.singleton,
    center: center.kind,
    scale: scale.kind,
    ddof: scale.kind === 'std' ? scale.ddof : 0,
    eps: scale.kind === 'std' ? scale.eps : 0,
    varianceFloor: scale.kind === 'std' ? scale.varianceFloor : 0,
    then: then.kind,
    thenGamma: then.kind === 'discounted' ? then.gamma : 0,
    thenDivide: then.kind === 'discounted' ? then.divide : 'none',
    weight: typeof weight === 'number' ? weight : weight.inner,
    lastWeight: typeof weight === 'number' ? weight : weight.last,
  };
}

/** Signals that an estimator needs from the caller. */
export interface Needs {
  outcome: boolean;
  turnRewards: boolean;
  informationGain: boolean;
  /** Some statistic is over turns: turns must be given. */
  turns: boolean;
}

export function channelNeeds(channel: Channel): Needs {
  const { kind } = channel.signal;
  const accumulate = 'accumulate' in channel ? channel.accumulate : undefined;
  const bootstrapped = accumulate?.kind === 'discounted' && accumulate.bootstrap === 'outcome';
  const rescaled = 'rescale' in channel.signal && channel.signal.rescale.kind === 'match-outcome-std';
  return {
    outcome: kind === 'outcome' || kind === 'joined' || bootstrapped || rescaled,
    turnRewards: kind === 'turn-reward',
    informationGain: kind === 'information-gain' || kind === 'joined',
    turns: kind !== 'outcome',
  };
}

/** The kind of channel that `gate.adapt` may name. */
export type AdaptSignal = TurnSignal['kind'];

export function requireChannel(channels: readonly Channel[], kind: AdaptSignal, path: string): number {
  const at = channels.findIndex((channel) => channel.signal.kind === kind);
  if (at >= 0) return at;
  const expected = 'the signal of one of the channels';
  throw new InvalidInputError({ code: 'ERR_ESTIMATOR', path, expected, received: JSON.stringify(kind) });
}
