/** What presets have in common: options of the loss that most methods leave to the user, and defaults per release. */
import { describe } from '../check/describe.js';
import { Fields } from '../check/fields.js';
import { InvalidInputError } from '../errors.js';
import { type Aggregate, readAggregate } from '../estimator/stages/aggregate.js';
import type { ChannelInput } from '../estimator/stages/channel.js';
import type { Whiten } from '../estimator/stages/combine.js';
import type { KlInput, KlValueInput } from '../estimator/stages/kl.js';
import type { ScaleInput } from '../estimator/stages/normalize.js';
import type { LogRatioClamp } from '../estimator/stages/ratio.js';
import type { SignalInput, Term } from '../estimator/stages/signal.js';
import type { WeightInput } from '../estimator/stages/weights.js';
import type { Entropy, EstimatorInput } from '../estimator/types.js';
import type { Singleton } from '../ops.js';

/** Whose defaults: the paper's (default), or a release's where it differs. Options that are given win over both. */
export type Compat = 'paper' | 'verl' | 'trl';

/** Terms of the loss that belong to no method. */
export interface LossOptions {
  /** KL term to a reference policy. Default null. */
  kl?: KlInput | null | undefined;
  /** Entropy bonus. Default null. */
  entropy?: Entropy | null | undefined;
  /** Factors of the surrogate: corrections for the sampler, masks. Default none. */
  weights?: readonly WeightInput[] | undefined;
  /** How token terms become one number. */
  aggregate?: Aggregate | undefined;
}

/** Options of methods with PPO's clip. */
export interface ClipOptions extends LossOptions {
  /** [low, high] epsilons. */
  clip?: Clip | undefined;
  /** Dual clip's constant, above 1. Default null, off. */
  dual?: number | null | undefined;
}

export type Clip = readonly [low: number, high: number];

export interface SingletonOption {
  /** What a group of one gets: 0, its raw value, or an error. */
  singleton?: Singleton | undefined;
}

/** What the paper says, and in what a release differs from it. */
export type Defaults<T extends object> = { paper: T } & Partial<Record<Exclude<Compat, 'paper'>, Partial<T>>>;

/** Reads `compat`: a release that is not listed has no defaults of its own, and is refused. */
export function readCompat<T extends object>(fields: Fields, defaults: Defaults<T>): T {
  const compat = fields.oneOf('compat', Object.keys(defaults) as Compat[], 'paper');
  return { ...defaults.paper, ...defaults[compat] };
}

type LossStages = Pick<EstimatorInput, 'kl' | 'entropy' | 'weights' | 'aggregate'>;

/** Checked with the whole estimator; here, as below, they are only passed on. */
export function readRegularizers(fields: Fields): Pick<EstimatorInput, 'kl' | 'entropy'> {
  return {
    kl: (fields.take('kl') ?? null) as KlInput | null,
    entropy: (fields.take('entropy') ?? null) as Entropy | null,
  };
}

export function readLoss(fields: Fields, aggregate: Aggregate): LossStages {
  return {
    ...readRegularizers(fields),
    weights: (fields.take('weights') ?? []) as readonly WeightInput[],
    aggregate: readAggregate(fields, aggregate),
  };
}

/** The gate and the loss stages of a method with PPO's clip. */
export function readClippedLoss(
  fields: Fields,
  defaults: { clip: Clip; aggregate: Aggregate; dual?: number | null },
): LossStages & { gate: { kind: 'ppo'; low: number; high: number; dual: number | null } } {
  const [low, high] = readClip(fields, defaults.clip);
  const dual = fields.numberOrNull('dual', { above: 1 }, defaults.dual ?? null);
  return { gate: { kind: 'ppo', low, high, dual }, ...readLoss(fields, defaults.aggregate) };
}

export function readSingleton(fields: Fields, fallback: Singleton): Singleton {
  return fields.oneOf('singleton', ['zero', 'raw', 'throw'], fallback);
}

/** `clip: [low, high]`, epsilons of the range [1 - low, 1 + high]. */
export function readClip(fields: Fields, fallback: Clip): Clip {
  const value = fields.has('clip') ? fields.take('clip') : fallback;
  const path = fields.at('clip');
  if (!Array.isArray(value) || value.length !== 2) {
    throw new InvalidInputError({ code: 'ERR_TYPE', path, expected: 'a pair [low, high]', received: describe(value) });
  }
  const pair = new Fields({ low: value[0], high: value[1] }, path);
  return [pair.number('low', { min: 0, max: 1 }), pair.number('high', { min: 0 })];
}

/** (x - mean) / (std + eps) within the prompt: the channel of GRPO, and of all that keep its advantage. */
export function normalized(
  signal: SignalInput,
  options: {
    singleton: Singleton;
    /** Default 'std'. */
    scale?: ScaleInput['kind'];
    /** Default 1. */
    ddof?: 0 | 1;
    /** Default 1e-6. */
    eps?: number | undefined;
    /** Default prompt. */
    group?: 'prompt' | 'prompt-turn' | 'batch';
  },
): ChannelInput {
  const { singleton, scale = 'std', ddof = 1, eps = 1e-6, group = 'prompt' } = options;
  return {
    signal,
    group: { kind: group, singleton },
    center: { kind: 'mean' },
    scale: scale === 'none' ? { kind: scale } : { kind: scale, ddof, eps },
  };
}

/** Options of the advantage (R - mean) / (std + eps) within the prompt. */
export type GroupOptions = SingletonOption &
  (
    | {
        /** Divide by the standard deviation of the group (default), of the batch, or not at all. */
        scale?: 'std' | 'batch-std' | undefined;
        /** Added to the standard deviation. Default 1e-6 (TRL 1e-4). */
        eps?: number | undefined;
      }
    | { scale: 'none'; eps?: never }
  );

/** TRL does not clamp log-ratios. */
export const UNCLAMPED: { readonly clamp: LogRatioClamp } = { clamp: { low: null, high: null } };

/** `ratio`: only what differs from the defaults of the ratio stage, which are verl's clamps. */
export interface GroupDefaults {
  eps: number;
  singleton: Singleton;
  ratio: { readonly clamp?: LogRatioClamp };
}

/** verl: a group of one has mean 0 and standard deviation 1. TRL: another eps, no clamps. */
export const GROUP_DEFAULTS: Required<Defaults<GroupDefaults>> = {
  paper: { eps: 1e-6, singleton: 'zero', ratio: {} },
  verl: { singleton: 'raw' },
  trl: { eps: 1e-4, ratio: UNCLAMPED },
};

/** The channel of GRPO from its options, and what to say of an `eps` that is left over. */
export function readGroupAdvantage(
  fields: Fields,
  defaults: Pick<GroupDefaults, 'eps' | 'singleton'>,
): { channel: ChannelInput; hint: string } {
  const scale = fields.oneOf('scale', ['std', 'batch-std', 'none'], 'std');
  const eps = scale === 'none' ? undefined : fields.number('eps', { above: 0 }, defaults.eps);
  const channel = normalized('outcome', { scale, eps, singleton: readSingleton(fields, defaults.singleton) });
  return { channel, hint: epsHint(scale) };
}

/** What to say of an `eps` that is left over. */
export function epsHint(scale: ScaleInput['kind']): string {
  return scale === 'none' ? 'eps has no effect with scale "none"' : '';
}

/** Options of methods whose paper has REINFORCE's gradient and whose releases clip. */
export interface OptionalClipOptions extends LossOptions {
  /** [low, high] epsilons of PPO's clip; null = REINFORCE, -A logProb. */
  clip?: Clip | null | undefined;
  /** Dual clip's constant, above 1; only with a clip. */
  dual?: number | null | undefined;
}

/** The gate and the loss stages, and what to say of a `dual` that is left over. */
export function readPolicyGradient(
  fields: Fields,
  defaults: { clip: Clip | null; aggregate: Aggregate; dual: number | null },
): { loss: LossStages & Pick<EstimatorInput, 'gate'>; hint: string } {
  const given = fields.take('clip');
  const clip = (given === undefined ? defaults.clip : given) as Clip | null;
  if (clip !== null) return { loss: readClippedLoss(fields, { ...defaults, clip }), hint: '' };
  const gate = { kind: 'detached', low: 0, high: 0 } as const;
  const hint = 'dual has no effect without a clip';
  return { loss: { gate, ...readLoss(fields, defaults.aggregate) }, hint };
}

/** Options of methods with one reward per token. */
export interface TokenRewardOptions {
  /** What is rewarded: terms of a token-level signal; coarser ones go to the last token of their unit. Default ['outcome']. */
  rewards?: readonly Term[] | undefined;
  /** -coef * KL(old || reference) in the reward of every loss token. Default null. */
  klPenalty?: KlValueInput | null | undefined;
}

export function readTokenRewards(fields: Fields): SignalInput {
  // Checked with the whole estimator; here they are only passed on.
  return penalized((fields.take('rewards') ?? ['outcome']) as readonly Term[], fields);
}

/** Terms per token, less the `klPenalty` of the options. */
export function penalized(terms: readonly Term[], fields: Fields): SignalInput {
  const klPenalty = (fields.take('klPenalty') ?? null) as KlValueInput | null;
  return { level: 'token', terms, ...(klPenalty === null ? {} : { klPenalty }) };
}

/** (A - mean) / sqrt(variance + 1e-8) over the batch's loss tokens, sample variance (verl's masked_whiten). */
export const TOKEN_WHITEN: Whiten = { kind: 'standardize', over: 'token', ddof: 1, eps: 0, varianceFloor: 1e-8 };

/** Options of methods with one reward per turn. */
export interface TurnRewardOptions {
  /** What is rewarded: terms of a turn-level signal; an outcome goes to the last turn. Default ['turn-reward']. */
  rewards?: readonly Term[] | undefined;
}

export function readTurnRewards(fields: Fields): readonly Term[] {
  // Checked with the whole estimator; here they are only passed on.
  return (fields.take('rewards') ?? ['turn-reward']) as readonly Term[];
}
