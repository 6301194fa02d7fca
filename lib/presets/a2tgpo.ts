import { Fields } from '../check/fields.js';
import { InvalidInputError } from '../errors.js';
import { estimator } from '../estimator/estimator.js';
import { type Aggregate, readAggregate } from '../estimator/stages/aggregate.js';
import type { ChannelInput } from '../estimator/stages/channel.js';
import type { Combine } from '../estimator/stages/combine.js';
import type { ScaleInput } from '../estimator/stages/normalize.js';
import type { LastTurn } from '../estimator/stages/signal.js';
import type { Estimator } from '../estimator/types.js';
import type { Singleton } from '../ops.js';
import { readClip } from './common.js';

interface CommonOptions {
  /** Discount over later turns. Default 1. */
  gamma?: number | undefined;
  /** [low, high] epsilons. Default [3e-3, 4e-3], fit for a mean log-ratio. */
  clip?: readonly [low: number, high: number] | undefined;
  /** Default 'token-mean'. */
  aggregate?: Aggregate | undefined;
  /** What a group of one gets. Default 'zero', as released. */
  singleton?: Singleton | undefined;
}

interface LastTurnOption {
  /** 'outcome' (default): the last turn carries the outcome and nothing else; 'signal': its own information gain counts too. */
  lastTurn?: LastTurn | undefined;
}

interface AdaptiveOptions extends CommonOptions, LastTurnOption {
  /** Which of the four published credit assignments; this is the paper's method, and the default. */
  mode?: 'turn-group-v1d' | undefined;
  /** Weight of the accumulated information gain. Default 0.3. */
  alpha?: number | undefined;
  /** Amplitude of the adaptive clip range. Default 0.3. */
  beta?: number | undefined;
}

interface FixedOptions extends CommonOptions, LastTurnOption {
  mode: 'turn-group' | 'separate';
}

interface JointOptions extends CommonOptions {
  mode: 'joint';
}

export type A2tgpoOptions = AdaptiveOptions | FixedOptions | JointOptions;

type Mode = 'turn-group-v1d' | 'turn-group' | 'separate' | 'joint';

interface Parts {
  channels: ChannelInput[];
  combine?: Combine;
}

/** N(x; S) = (x - mean) / (sqrt(var + 1e-8) + 1e-6), population variance. */
const SCALE: ScaleInput = { kind: 'std', ddof: 0, eps: 1e-6, varianceFloor: 1e-8 };
const MEAN = { kind: 'mean' } as const;
/** turn-group weighs the outcome by 1.5 on every turn but the last. */
const TURN_GROUP_OUTCOME_WEIGHT = 1.5;

/**
 * A²TGPO, Agentic Turn-Group Policy Optimization (arXiv 2605.06200), in the four modes of its release.
 *
 *   N(x; S) = (x - mean_S) / (sqrt(var_S + 1e-8) + 1e-6);   o outcome, g_k information gain of turn k, n turns with a gain
 *
 *   turn-group-v1d  z_k = N(g_k; prompt, k),   A_k = alpha Σ_{j≥k} gamma^(j-k) z_j / sqrt(n - k) + N(o; prompt),
 *                   clip range of turn k scaled by c_k = 1 + beta (2 sigmoid(z_k) - 1)
 *   turn-group      D_k = s g_k + gamma D_{k+1} from D_last = gamma o,  s = std(o) / std(g),   A_k = N(D_k; prompt, k) + 1.5 N(o; prompt)
 *   separate        A = discounted suffix sum of (N(g; prompt) ..., N(o; prompt))
 *   joint           the same with one N over all g and o of the prompt
 *
 * The last turn carries the outcome: A_last = N(o; prompt), c_last = 1. Ratio: mean log-ratio of the turn, straight-through.
 * The release finds turns by equal advantages and drops gains of exactly 0; here turns are explicit and 0 is a signal.
 */
export function a2tgpo(options: A2tgpoOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const mode = fields.oneOf('mode', ['turn-group-v1d', 'turn-group', 'separate', 'joint'], 'turn-group-v1d');
  const gamma = fields.number('gamma', { min: 0, max: 1 }, 1);
  const singleton = fields.oneOf('singleton', ['zero', 'raw', 'throw'], 'zero');
  const [low, high] = readClip(fields, [3e-3, 4e-3]);
  const aggregate = readAggregate(fields, 'token-mean');
  const v1d = mode === 'turn-group-v1d';
  if (mode === 'joint' && fields.has('lastTurn')) {
    const received = 'lastTurn with mode "joint"';
    throw new InvalidInputError({ code: 'ERR_NO_EFFECT', path: 'lastTurn', expected: 'another mode', received });
  }
  const lastTurn = fields.oneOf('lastTurn', ['outcome', 'signal'], 'outcome');
  for (const name of ['alpha', 'beta']) {
    if (fields.has(name) && !v1d) {
      const received = `${name} with mode "${mode}"`;
      throw new InvalidInputError({ code: 'ERR_NO_EFFECT', path: name, expected: 'mode "turn-group-v1d"', received });
    }
  }
  const alpha = fields.number('alpha', {}, 0.3);
  const beta = fields.number('beta', { min: 0, max: 1 }, 0.3);
  fields.end();
  return estimator({
    name: v1d ? 'a2tgpo' : `a2tgpo-${mode}`,
    ...MODES[mode]({ gamma, alpha, singleton, lastTurn }),
    ratio: { level: 'turn', form: 'straight-through' },
    gate: { kind: 'ppo', low, high, adapt: v1d ? { channel: 0, beta } : null },
    aggregate,
  });
}

interface ModeOptions {
  gamma: number;
  alpha: number;
  singleton: Singleton;
  lastTurn: LastTurn;
}

const MODES: Record<Mode, (options: ModeOptions) => Parts> = {
  'turn-group-v1d': ({ gamma, alpha, singleton, lastTurn }) => ({
    channels: [
      {
        signal: { level: 'turn', terms: ['information-gain'], lastTurn },
        group: { kind: 'prompt-turn', singleton },
        center: MEAN,
        scale: SCALE,
        then: { kind: 'discounted', gamma, divide: 'sqrt-terms' },
        weight: alpha,
      },
      outcomeChannel(singleton),
    ],
  }),
  'turn-group': ({ gamma, singleton, lastTurn }) => ({
    channels: [
      {
        signal: {
          level: 'turn',
          terms: ['information-gain'],
          lastTurn,
          rescale: { kind: 'match-outcome-std', floor: 1e-6 },
        },
        accumulate: { kind: 'discounted', gamma, bootstrap: 'outcome' },
        group: { kind: 'prompt-turn', singleton },
        center: MEAN,
        scale: SCALE,
      },
      { ...outcomeChannel(singleton), weight: { inner: TURN_GROUP_OUTCOME_WEIGHT, last: 1 } },
    ],
  }),
  separate: ({ gamma, singleton, lastTurn }) => ({
    channels: [
      {
        signal: { level: 'turn', terms: ['information-gain'], lastTurn },
        group: { kind: 'prompt', singleton },
        center: MEAN,
        scale: SCALE,
      },
      outcomeChannel(singleton),
    ],
    combine: { kind: 'join', gamma },
  }),
  joint: ({ gamma, singleton }) => ({
    channels: [
      {
        signal: { level: 'turn', terms: ['information-gain', 'outcome'] },
        group: { kind: 'prompt', singleton },
        center: MEAN,
        scale: SCALE,
        then: { kind: 'discounted', gamma, divide: 'none' },
      },
    ],
  }),
};

function outcomeChannel(singleton: Singleton): ChannelInput {
  return { signal: 'outcome', group: { kind: 'prompt', singleton }, center: MEAN, scale: SCALE, weight: 1 };
}
