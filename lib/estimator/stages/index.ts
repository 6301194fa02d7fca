/** The types of all stages. */
export type { Accumulate, AccumulateInput, Then, ThenInput, Tree } from './accumulate.js';
export type { Aggregate } from './aggregate.js';
export type { Cap, Channel, ChannelInput, ChannelWeight, OutcomeGate } from './channel.js';
export type { Combine, Modulate, Whiten } from './combine.js';
export type { Adapt, BySign, Gate, GateInput } from './gate.js';
export type { Kl, KlInput, KlValue, KlValueInput } from './kl.js';
export type { Center, Group, GroupInput, Scale, ScaleInput } from './normalize.js';
export type { Denominator, LogRatioClamp, Ratio, RatioInput, TokenClip } from './ratio.js';
export type { BuiltInTerm, LastTurn, Rescale, Signal, SignalInput, Term } from './signal.js';
export type { Weight, WeightInput } from './weights.js';
