/** From an estimator (stages, unions, null = off) to the flat records that ops take. */
import type { Level, SurrogateArgs, TurnStatisticsArgs } from '../ops.js';
import { type Column, operand } from '../tensor/column.js';
import { isPerToken, pathOf } from './inputs.js';
import { aggregateArgs } from './stages/aggregate.js';
import { type Channel, channelArgs, termOf } from './stages/channel.js';
import { modulationArgs, whitenArgs } from './stages/combine.js';
import { adaptOf, gateArgs } from './stages/gate.js';
import { klArgs } from './stages/kl.js';
import { ratioArgs } from './stages/ratio.js';
import { weightArgs } from './stages/weights.js';
import type { Estimator } from './types.js';

type CreditPlan = Pick<
  TurnStatisticsArgs,
  'channels' | 'combine' | 'joinGamma' | 'modulation' | 'whiten' | 'normalizedChannel' | 'clipScaleBeta' | 'resultLevel'
>;

/** The arrays of a batch by path (`creditInputs`). */
export type SignalArrays = Readonly<Record<string, Float64Array | Float32Array | Int32Array | Uint8Array>>;
/** The same where they may be on a device. */
export type SignalColumns = Readonly<Record<string, Column<'f64' | 'f32' | 'int32' | 'u8'>>>;

export function creditPlan(estimator: Estimator, arrays: SignalColumns): CreditPlan {
  const { channels, combine, modulate, whiten, gate } = estimator;
  const adapt = adaptOf(gate);
  // Without an adaptive clip range the first channel finer than a trajectory is the one worth looking at.
  const shown = channels.findIndex(({ signal }) => signal.level !== 'sequence');
  return {
    channels: channels.map((channel) => channelArgs(channel, arraysOf(channel, arrays))),
    combine: combine.kind,
    joinGamma: combine.kind === 'join' ? combine.gamma : 0,
    modulation: modulationArgs(modulate),
    whiten: whitenArgs(whiten),
    normalizedChannel: adapt?.channel ?? Math.max(shown, 0),
    clipScaleBeta: adapt?.beta ?? 0,
    resultLevel: isPerToken(estimator) ? 'token' : 'turn',
  };
}

function arraysOf(channel: Channel, arrays: SignalColumns) {
  const of = (level: Level) => {
    const term = termOf(channel, level);
    return term === undefined ? null : (operand(arrays[pathOf(term)]) as Float64Array);
  };
  const { accumulate, center, group } = channel;
  return {
    trajectorySignal: of('sequence'),
    turnSignal: of('turn'),
    tokenSignal: of('token'),
    values: accumulate?.kind === 'gae' ? (operand(arrays.values) as Float64Array) : null,
    baseline: center.kind === 'given' ? (operand(arrays.baseline) as Float64Array) : null,
    keys: group.kind === 'prompt-key' ? (operand(arrays[`keys.${group.key}`]) as Int32Array) : null,
  };
}

type LossPlan = Pick<SurrogateArgs, 'ratio' | 'gate' | 'weights' | 'kl' | 'entropyCoef' | 'aggregate' | 'horizon'>;

export function lossPlan({ ratio, gate, weights, kl, entropy, aggregate }: Estimator): LossPlan {
  return {
    ratio: ratioArgs(ratio),
    gate: gateArgs(gate),
    weights: weights.map(weightArgs),
    kl: klArgs(kl),
    entropyCoef: entropy?.coef ?? 0,
    ...aggregateArgs(aggregate),
  };
}
