/** From an estimator (stages, unions, null = off) to the flat records that ops take. */
import type { SurrogateArgs, TurnStatisticsArgs } from '../ops.js';
import type { Estimator } from './estimator.js';
import { aggregateArgs } from './stages/aggregate.js';
import { channelArgs, channelNeeds, type Needs, requireChannel } from './stages/channel.js';
import { gateArgs } from './stages/gate.js';
import { klArgs } from './stages/kl.js';
import { ratioArgs } from './stages/ratio.js';

type CreditPlan = Pick<
  TurnStatisticsArgs,
  'channels' | 'combine' | 'joinGamma' | 'normalizedChannel' | 'clipScaleBeta'
>;

export function creditPlan({ channels, combine, gate }: Estimator): CreditPlan {
  // Without an adaptive clip range the first turn-level channel is the one worth looking at.
  const shown = channels.findIndex((channel) => channel.signal.kind !== 'outcome');
  return {
    channels: channels.map(channelArgs),
    combine: combine.kind,
    joinGamma: combine.kind === 'join' ? combine.gamma : 0,
    normalizedChannel: gate.adapt
      ? requireChannel(channels, gate.adapt.signal, 'gate.adapt.signal')
      : Math.max(shown, 0),
    clipScaleBeta: gate.adapt?.beta ?? 0,
  };
}

type LossPlan = Pick<SurrogateArgs, 'ratio' | 'gate' | 'kl' | 'aggregate' | 'horizon'>;

export function lossPlan({ ratio, gate, kl, aggregate }: Estimator): LossPlan {
  return { ratio: ratioArgs(ratio), gate: gateArgs(gate), kl: klArgs(kl), ...aggregateArgs(aggregate) };
}

/** The signals that the caller must give. */
export function needs({ channels, combine }: Estimator): Needs {
  const all = channels.map(channelNeeds);
  return {
    outcome: all.some((n) => n.outcome),
    turnRewards: all.some((n) => n.turnRewards),
    informationGain: all.some((n) => n.informationGain),
    turns: combine.kind === 'join' || all.some((n) => n.turns),
  };
}

/** Whether a finite information gain on a last turn contradicts the estimator (that turn carries the outcome). */
export function lastTurnCarriesOutcome({ channels }: Estimator): boolean {
  return channels.some(
    ({ signal }) => signal.kind === 'joined' || (signal.kind === 'information-gain' && signal.lastTurn === 'outcome'),
  );
}
