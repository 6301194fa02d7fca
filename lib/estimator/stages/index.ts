/** The types of all stages. */
export type { Aggregate } from './aggregate.js';
export type {
  AccumulateStage,
  CenterStage,
  Channel,
  ChannelInput,
  GroupStage,
  LastTurn,
  OutcomeChannel,
  RescaleStage,
  ScaleStage,
  ThenStage,
  TurnChannel,
  TurnSignal,
  Weight,
} from './channel.js';
export type { Combine } from './combine.js';
export type { Adapt, Gate, GateInput } from './gate.js';
export type { Kl, KlInput } from './kl.js';
export type { LogRatioClamp, Ratio, RatioInput } from './ratio.js';
