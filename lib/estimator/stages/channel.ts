/**
 * A channel turns one signal into one number per token, turn or trajectory:
 *
 *   signal -> accumulate -> group -> transform, center, scale -> then -> cap, gate -> weight
 *
 * Stages S1 to S6 of the algebra. Every stage is data; a stage that is off is absent.
 */
import { Fields } from '../../check/fields.js';
import { InvalidInputError } from '../../errors.js';
import type { ChannelArgs, Level } from '../../ops.js';
import {
  type Accumulate,
  type AccumulateInput,
  accumulateArgs,
  readAccumulate,
  readThen,
  type Then,
  type ThenInput,
} from './accumulate.js';
import { klArgs } from './kl.js';
import {
  type Center,
  type Group,
  type GroupInput,
  readCenter,
  readGroup,
  readScale,
  type Scale,
  type ScaleInput,
  scaleArgs,
} from './normalize.js';
import { levelOf, readSignal, type Signal, type SignalInput, type Term } from './signal.js';

/** One weight for all turns, or another one for the last turn of each trajectory. */
export type ChannelWeight = number | { inner: number; last: number };

/** min(1, max(std(A) + eps, 1) / (std(channel) + eps)) over the batch's loss tokens, A = the channels before (InfoPO). */
export interface Cap {
  eps: number;
}

/** Multiplied by sigmoid(-std of the prompt's outcomes / temperature): strong only where outcomes do not discriminate (InfoPO). */
export interface OutcomeGate {
  temperature: number;
}

export interface Channel {
  signal: Signal;
  /** Absent at sequence level. */
  accumulate?: Accumulate;
  group: Group;
  /** Ranks of the group's members as quantiles of a normal distribution, Φ⁻¹((rank - 1/2) / n), before centring. */
  transform?: 'rank-gauss';
  center: Center;
  scale: Scale;
  then: Then;
  cap?: Cap;
  gate?: OutcomeGate;
  /** 'ratio-target': the channel is no part of the advantage; it steers the target of the gate l1-target. */
  use?: 'ratio-target';
  weight: ChannelWeight;
}

/** A channel with its defaults left out: no accumulation, a group of one gets 0 (its raw value where nothing is centred or scaled), weight 1. */
export interface ChannelInput extends Omit<Channel, 'signal' | 'accumulate' | 'group' | 'scale' | 'then' | 'weight'> {
  signal: SignalInput;
  accumulate?: AccumulateInput;
  group: GroupInput;
  scale: ScaleInput;
  then?: ThenInput;
  weight?: ChannelWeight;
}

export function readChannel(value: unknown, path: string): Channel {
  const fields = new Fields(value, path);
  const signal = readSignal(fields);
  const { level } = signal;
  const accumulate: Accumulate =
    level !== 'sequence' && fields.has('accumulate')
      ? fields.object('accumulate', (f) => readAccumulate(f, level))
      : { kind: 'none' };
  const center = fields.object('center', readCenter);
  const scale = fields.object('scale', readScale);
  const transform = fields.has('transform') ? { transform: fields.oneOf('transform', ['rank-gauss']) } : {};
  // Without any statistic nobody is compared: a group of one is like any other.
  const alone = comparesMembers({ ...transform, center, scale }) ? 'zero' : 'raw';
  const group = fields.object('group', (f) => readGroup(f, level, alone));
  const then: Then = fields.has('then') ? fields.object('then', (f) => readThen(f, level)) : { kind: 'none' };
  const positive = (name: string) => (f: Fields) => f.number(name, { above: 0 });
  const channel: Channel = {
    signal,
    ...(level === 'sequence' ? {} : { accumulate }),
    group,
    ...transform,
    center,
    scale,
    then,
    ...(fields.has('cap') ? { cap: { eps: fields.object('cap', positive('eps')) } } : {}),
    ...(fields.has('gate') ? { gate: { temperature: fields.object('gate', positive('temperature')) } } : {}),
    ...(fields.has('use') ? { use: fields.oneOf('use', ['ratio-target']) } : {}),
    weight: readWeight(fields),
  };
  fields.end(level === 'sequence' ? 'A trajectory has one value: nothing to accumulate' : '');
  checkChannel(channel, path);
  return channel;
}

function readWeight(fields: Fields): ChannelWeight {
  const value = fields.take('weight');
  if (typeof value !== 'object' || value === null) return fields.number('weight', {}, 1);
  return fields.object('weight', (f) => ({ inner: f.number('inner', {}), last: f.number('last', {}) }));
}

/** Whether any statistic of the group is used. */
export function comparesMembers({
  transform,
  center,
  scale,
}: Pick<Channel, 'transform' | 'center' | 'scale'>): boolean {
  return transform !== undefined || !['none', 'given'].includes(center.kind) || scale.kind !== 'none';
}

/** Whether the channel's value may differ between the turns of a trajectory. */
export function differsWithinTrajectory({ signal, then }: Channel): boolean {
  return signal.level !== 'sequence' || then.kind === 'tree';
}

/** Stages that are right by themselves and say nothing together. */
function checkChannel(channel: Channel, path: string): void {
  const fail = (stage: string, expected: string, received: string): never => {
    throw new InvalidInputError({ code: 'ERR_ESTIMATOR', path: `${path}.${stage}`, expected, received });
  };
  const { signal, accumulate, group, transform } = channel;
  if (accumulate?.kind === 'tree' && (signal.terms.length !== 1 || levelOf(signal.terms[0]) !== 'sequence')) {
    fail('accumulate', 'one term per trajectory to back up the tree', `${signal.terms.length} terms, or a finer one`);
  }
  if (accumulate?.kind === 'discounted' && accumulate.bootstrap === 'outcome' && termOf(channel, 'sequence')) {
    fail('accumulate.bootstrap', '"zero": the outcome is among the terms', '"outcome"');
  }
  if (transform && group.members === 'first')
    fail('transform', 'members "all": ranks are among all members', '"first"');
}

/** The channel's term of a level. */
export function termOf({ signal }: Channel, level: Level): Term | undefined {
  return signal.terms.find((term) => levelOf(term) === level);
}

/** The arrays of a batch that a channel reads. */
export type ChannelArrays = Pick<
  ChannelArgs,
  'trajectorySignal' | 'turnSignal' | 'tokenSignal' | 'values' | 'baseline' | 'keys'
>;

/** The flat record of native/ops.h. */
export function channelArgs(channel: Channel, arrays: ChannelArrays): ChannelArgs {
  const { signal, accumulate, group, transform, center, scale, then, cap, gate, use, weight } = channel;
  return {
    level: signal.level,
    trajectorySignal: arrays.trajectorySignal,
    turnSignal: arrays.turnSignal,
    tokenSignal: arrays.tokenSignal,
    place: signal.place ?? 'last',
    klPenalty: klArgs(signal.klPenalty ?? null),
    matchOutcomeStd: signal.rescale !== undefined,
    stdFloor: signal.rescale?.floor ?? 0,
    ...accumulateArgs(accumulate ?? { kind: 'none' }, then),
    values: arrays.values,
    group: group.kind,
    keys: arrays.keys,
    members: group.members ?? 'all',
    singleton: group.singleton,
    transform: transform ?? 'none',
    center: center.kind,
    baseline: arrays.baseline,
    ...scaleArgs(scale),
    gateTemperature: gate?.temperature ?? 0,
    capEps: cap?.eps ?? 0,
    use: use ?? 'advantage',
    weight: typeof weight === 'number' ? weight : weight.inner,
    lastWeight: typeof weight === 'number' ? weight : weight.last,
  };
}
