import { describe } from '../check/describe.js';
import { Fields } from '../check/fields.js';
import { InvalidInputError } from '../errors.js';
import { type Aggregate, readAggregate } from './stages/aggregate.js';
import { type Channel, type ChannelInput, readChannel, requireChannel } from './stages/channel.js';
import { type Combine, readCombine } from './stages/combine.js';
import { type Gate, type GateInput, readGate } from './stages/gate.js';
import { type Kl, type KlInput, readKl } from './stages/kl.js';
import { type Ratio, type RatioInput, readRatio } from './stages/ratio.js';

/**
 * A method, as data: which signals, normalised over whom, accumulated how; which ratio, clipped how, averaged over what.
 * Frozen and JSON-serialisable: log it beside the run, parse it back with `estimator(JSON.parse(text))`.
 */
export interface Estimator {
  readonly version: 1;
  readonly name: string;
  readonly channels: readonly Channel[];
  readonly combine: Combine;
  readonly ratio: Ratio;
  readonly gate: Gate;
  readonly kl: Kl | null;
  readonly aggregate: Aggregate;
}

/** What `estimator` takes: defaults may be left out. */
export interface EstimatorInput {
  version?: 1;
  name: string;
  channels: readonly ChannelInput[];
  /** Default: sum. */
  combine?: Combine;
  /** Default: token level. */
  ratio?: RatioInput;
  gate: GateInput;
  /** Default: null, no KL term. */
  kl?: KlInput | null;
  /** Default: 'token-mean'. */
  aggregate?: Aggregate;
}

const checked = new WeakSet<object>();

/** Channels are few; native code holds them inline (ChannelList in native/ops.h). */
const MAX_CHANNELS = 8;

/**
 * Checks a definition, fills in the defaults and freezes it.
 *
 * @throws InvalidInputError with the path of the stage: a missing or unknown field, a value out of range, an option without effect.
 */
export function estimator(definition: EstimatorInput): Estimator {
  if (typeof definition === 'object' && definition !== null && checked.has(definition)) return definition as Estimator;
  const fields = new Fields(definition, '', 'estimator');
  const version = fields.number('version', { integer: true, min: 1, max: 1 }, 1) as 1;
  const name = fields.string('name');
  const channels = readChannels(fields.required('channels', 'an array of 1 to 8 channels'));
  const combine = fields.has('combine') ? fields.object('combine', readCombine) : { kind: 'sum' as const };
  const ratio = fields.has('ratio')
    ? fields.object('ratio', readRatio)
    : readRatio(new Fields({ level: 'token' }, 'ratio'));
  const gate = fields.object('gate', readGate);
  const kl = (fields.take('kl') ?? null) === null ? null : fields.object('kl', readKl);
  const aggregate = readAggregate(fields, 'token-mean');
  fields.end();
  if (gate.adapt !== null) requireChannel(channels, gate.adapt.signal, 'gate.adapt.signal');
  const result: Estimator = { version, name, channels, combine, ratio, gate, kl, aggregate };
  checked.add(deepFreeze(result));
  return result;
}

function readChannels(value: unknown): Channel[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_CHANNELS) {
    const expected = `an array of 1 to ${MAX_CHANNELS} channels`;
    throw new InvalidInputError({ code: 'ERR_TYPE', path: 'channels', expected, received: describe(value) });
  }
  return value.map((channel, i) => readChannel(channel, `channels[${i}]`));
}

function deepFreeze<T extends object>(value: T): T {
  for (const item of Object.values(value)) if (typeof item === 'object' && item !== null) deepFreeze(item);
  return Object.freeze(value);
}
