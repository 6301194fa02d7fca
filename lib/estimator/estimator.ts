import { describe } from '../check/describe.js';
import { Fields } from '../check/fields.js';
import { InvalidInputError } from '../errors.js';
import { checkComposition } from './composition.js';
import { readAggregate } from './stages/aggregate.js';
import { type Channel, readChannel } from './stages/channel.js';
import { readCombine, readModulate, readWhiten } from './stages/combine.js';
import { readGate } from './stages/gate.js';
import { readKl } from './stages/kl.js';
import { readRatio } from './stages/ratio.js';
import { readWeights } from './stages/weights.js';
import type { CustomStage, Estimator, EstimatorInput } from './types.js';

const checked = new WeakSet<object>();

/** Channels are few; native code holds them inline (ChannelList in native/ops.h). */
const MAX_CHANNELS = 8;

/**
 * Checks a definition, fills in the defaults and freezes it.
 *
 * @throws InvalidInputError with the path of the stage: a missing or unknown field, a value out of range, an option without effect, stages that do
 * not fit together; ERR_ESTIMATOR for one whose credit was made by functions.
 */
export function estimator(definition: EstimatorInput): Estimator {
  if (typeof definition === 'object' && definition !== null && checked.has(definition)) return definition as Estimator;
  const fields = new Fields(definition, '', 'estimator');
  refuseCustom(fields.take('custom'));
  const version = fields.number('version', { integer: true, min: 1, max: 1 }, 1) as 1;
  const name = fields.string('name');
  const channels = readChannels(fields.required('channels', 'an array of 1 to 8 channels'));
  const ifGiven = <T>(stage: string, read: (f: Fields) => T): T | null =>
    (fields.take(stage) ?? null) === null ? null : fields.object(stage, read);
  const result: Estimator = {
    version,
    name,
    channels,
    combine: fields.has('combine') ? fields.object('combine', readCombine) : { kind: 'sum' },
    modulate: ifGiven('modulate', readModulate),
    whiten: ifGiven('whiten', readWhiten),
    ratio: fields.has('ratio') ? fields.object('ratio', readRatio) : readRatio(new Fields({ level: 'token' }, 'ratio')),
    gate: fields.object('gate', readGate),
    weights: readWeights(fields),
    kl: ifGiven('kl', readKl),
    entropy: ifGiven('entropy', (f) => ({ coef: f.number('coef', { above: 0 }) })),
    aggregate: readAggregate(fields, 'token-mean'),
  };
  fields.end();
  checkComposition(result);
  return remember(result);
}

/** The same estimator, marked as one whose credit came from functions. */
export function withCustom(base: Estimator, custom: readonly CustomStage[]): Estimator {
  return custom.length === 0 ? base : remember({ ...base, custom: [...custom] });
}

function remember(result: Estimator): Estimator {
  checked.add(deepFreeze(result));
  return result;
}

function refuseCustom(custom: unknown): void {
  if (custom === undefined || (Array.isArray(custom) && custom.length === 0)) return;
  throw new InvalidInputError({
    code: 'ERR_ESTIMATOR',
    path: 'custom',
    expected: 'an estimator that is data alone',
    received: Array.isArray(custom) ? `credit made by the functions ${custom.join(', ')}` : describe(custom),
    hint: 'Take out `custom` and give the same functions as options of estimateAdvantages',
  });
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
