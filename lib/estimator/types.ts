import type { Aggregate } from './stages/aggregate.js';
import type { Channel, ChannelInput } from './stages/channel.js';
import type { Combine, Modulate, Whiten } from './stages/combine.js';
import type { Gate, GateInput } from './stages/gate.js';
import type { Kl, KlInput } from './stages/kl.js';
import type { Ratio, RatioInput } from './stages/ratio.js';
import type { Weight, WeightInput } from './stages/weights.js';

/** An entropy bonus: loss - coef * entropy, averaged like the surrogate; its gradient goes through the logits. */
export interface Entropy {
  coef: number;
}

/** A stage of credit that a function took over, so that the data alone does not say what was computed. */
export type CustomStage = 'advantage' | 'clipRange';

/**
 * A method, as data: which signals, normalised over whom, accumulated how; which ratio, clipped how, averaged over what.
 * Frozen and JSON-serialisable: log it beside the run, parse it back with `estimator(JSON.parse(text))`.
 */
export interface Estimator {
  readonly version: 1;
  readonly name: string;
  readonly channels: readonly Channel[];
  readonly combine: Combine;
  readonly modulate: Modulate | null;
  readonly whiten: Whiten | null;
  readonly ratio: Ratio;
  readonly gate: Gate;
  readonly weights: readonly Weight[];
  readonly kl: Kl | null;
  readonly entropy: Entropy | null;
  readonly aggregate: Aggregate;
  /** Only where the credit was made by functions (options of estimateAdvantages). */
  readonly custom?: readonly CustomStage[];
}

/** What `estimator` takes: defaults may be left out. */
export interface EstimatorInput {
  version?: 1;
  name: string;
  channels: readonly ChannelInput[];
  /** Default: sum. */
  combine?: Combine;
  /** Default: null. */
  modulate?: Modulate | null;
  /** Default: null. */
  whiten?: Whiten | null;
  /** Default: token level. */
  ratio?: RatioInput;
  gate: GateInput;
  /** Default: none. */
  weights?: readonly WeightInput[];
  /** Default: null, no KL term. */
  kl?: KlInput | null;
  /** Default: null, no bonus. */
  entropy?: Entropy | null;
  /** Default: 'token-mean'. */
  aggregate?: Aggregate;
  custom?: readonly CustomStage[];
}
