/** Op records that read every array there is, by name: what the hostile tests shorten, share, spoil and fill with extremes. */
import type {
  ChannelArgs,
  LogitsGradientArgs,
  PolicyLossArgs,
  SurrogateArgs,
  TurnStatisticsArgs,
  TurnsArgs,
} from '../../lib/ops.js';
import { statisticsArgs, turnsOf } from '../reference/fixtures.js';
import { CHANNEL, GATE, LOSS_INPUTS, NO_KL, RATIO, WEIGHT } from '../support/records.mjs';
import { native } from './helpers.js';

export const OK = { code: 'ok', position: -1 };
export const INVALID = { code: 'invalid-argument', position: -1 };

export type Arrays = Int32Array | Uint8Array | Float32Array | Float64Array;

/** 4 trajectories of 2 turns of 2 tokens: M, K and N differ. */
export const M = 4;
export const K = 2 * M;
export const N = 2 * K;

export const turns = (): TurnsArgs => turnsOf(Array.from({ length: M }, () => [2, 2]));

const wave = (length: number, phase: number) => Float64Array.from({ length }, (_, i) => Math.sin(2 * i + phase));
const ids = (length: number, shift: number) => Int32Array.from({ length }, (_, i) => i >> shift);

const NORMALIZED: Partial<ChannelArgs> = { center: 'mean', scale: 'std', eps: 1e-6 };

/** Every array of the record and of its channels is read. */
export function creditArgs(): TurnStatisticsArgs {
  const channel = (given: Partial<ChannelArgs>): ChannelArgs => ({ ...CHANNEL, ...NORMALIZED, ...given });
  return statisticsArgs({
    turns: turns(),
    groups: ids(M, 1),
    outcome: wave(M, 1),
    actionMask: new Uint8Array(N).fill(1),
    oldLogProbs: new Float32Array(N).fill(-1),
    refLogProbs: Float32Array.from(wave(N, 2), (x) => x - 2),
    turnEntropies: wave(K, 3).map(Math.abs),
    // Trajectories of a prompt share their first turn.
    nodes: Int32Array.from({ length: K }, (_, k) => (k % 2 === 0 ? -1 : k)),
    bootstrapValues: wave(M, 4),
    truncated: Uint8Array.of(0, 1, 0, 1),
    channels: [
      channel({
        level: 'token',
        tokenSignal: wave(N, 5),
        klPenalty: { ...NO_KL, coef: 0.1, estimator: 'k3' },
        accumulate: 'gae',
        gamma: 0.9,
        lambda: 0.95,
        bootstrap: 'given',
        values: wave(N, 6),
        group: 'prompt-key',
        keys: ids(K, 2),
      }),
      channel({
        level: 'turn',
        turnSignal: wave(K, 7),
        accumulate: 'gae',
        bootstrap: 'carry',
        values: wave(K, 8),
        center: 'given',
        baseline: wave(K, 9),
      }),
      channel({
        level: 'turn',
        trajectorySignal: wave(M, 10),
        accumulate: 'tree',
        treeBackup: 'child-softmax',
        treeBaseline: 'parent',
        group: 'parent',
      }),
      channel({
        trajectorySignal: wave(M, 11),
        group: 'prompt-key',
        keys: ids(M, 1),
        gateTemperature: 0.5,
        use: 'ratio-target',
      }),
      channel({ trajectorySignal: wave(M, 12), center: 'given', baseline: wave(M, 13), capEps: 1e-6 }),
    ],
    modulation: { kind: 'entropy', decay: 1, bonus: 0.1, bonusDecay: 1 },
    whiten: { kind: 'standardize', over: 'token', ddof: 1, eps: 1e-6, varianceFloor: 0 },
    clipScaleBeta: 0.3,
    resultLevel: 'token',
    ratioTargets: new Float64Array(N),
  });
}

/** An array of a record by its path, `channels[0].values`. */
export interface Field {
  path: string;
  /** The record cannot do without it. */
  needed: boolean;
  get(): Arrays;
  set(value: Arrays | null): void;
}

/** Fields are replaced at run time by what the types forbid: that is the test. */
function fieldsOf(record: object, prefix: string, optional: readonly string[]): Field[] {
  return Object.entries(record).flatMap(([name, value]): Field[] => {
    if (!ArrayBuffer.isView(value)) return [];
    return [
      {
        path: prefix + name,
        needed: !optional.includes(name),
        get: () => Reflect.get(record, name),
        set: (to) => void Reflect.set(record, name, to),
      },
    ];
  });
}

export const CREDIT_OUTPUTS = ['advantages', 'clipScale', 'ratioTargets', 'normalizedSignal', 'groupStats'] as const;

/** What turnStatistics reads. Signals add up, so one may be missing; the tree needs its own. */
export function creditFields(args: TurnStatisticsArgs): Field[] {
  const all = [
    ...fieldsOf(args.turns, 'turns.', []),
    ...fieldsOf(args, '', ['nodes']),
    ...args.channels.flatMap((channel, c) => {
      const signals = channel.accumulate === 'tree' ? [] : ['trajectorySignal', 'turnSignal', 'tokenSignal'];
      return fieldsOf(channel, `channels[${c}].`, signals);
    }),
  ];
  return all.filter(({ path }) => !(CREDIT_OUTPUTS as readonly string[]).includes(path));
}

/** Every array but `groups` is read, which belongs to a gate without weights: `coupledArgs`. */
export function surrogateArgs(): SurrogateArgs {
  return {
    ...LOSS_INPUTS,
    logProbs: new Float32Array(N),
    oldLogProbs: new Float32Array(N).fill(-1),
    refLogProbs: new Float32Array(N).fill(-1),
    rolloutLogProbs: Float32Array.from(wave(N, 1), (x) => x / 10 - 1),
    entropy: new Float32Array(N).fill(0.5),
    tokenWeights: wave(N, 2).map(Math.abs),
    actionMask: new Uint8Array(N).fill(1),
    turns: turns(),
    advantageLevel: 'turn',
    advantages: new Float64Array(K).fill(-1e9),
    clipScale: new Float64Array(K).fill(1),
    ratioTargets: wave(K, 3),
    ratio: { ...RATIO, level: 'turn', form: 'true' },
    gate: { ...GATE, kind: 'l1-target', low: 0.2, high: 0.2 },
    weights: [
      { ...WEIGHT, low: 0.9, high: 1.1 },
      { ...WEIGHT, kind: 'reject', divergence: 'k3', level: 'turn', high: 10 },
      { ...WEIGHT, kind: 'given' },
      { ...WEIGHT, kind: 'off-policy-mask', level: 'sequence', high: 1 },
    ],
    kl: { ...NO_KL, coef: 0.1 },
    entropyCoef: 0.1,
    aggregate: 'token-mean',
    denominators: { tokens: N, turns: K, sequences: M, prompts: 2 },
    nonFinite: 'throw',
    coefficients: new Float64Array(N),
    entropyCoefficients: new Float64Array(N),
    metrics: new Float64Array(native.schema.enums.Metric.length),
  };
}

export function coupledArgs(): SurrogateArgs {
  return {
    ...surrogateArgs(),
    groups: ids(M, 1),
    advantages: wave(K, 4),
    ratio: { ...RATIO, level: 'sequence', form: 'true' },
    gate: { ...GATE, kind: 'log-sum-exp', temperature: 0.5 },
    weights: [],
  };
}

export const SURROGATE_OUTPUTS = ['coefficients', 'entropyCoefficients', 'metrics'] as const;

/** What surrogate reads. */
export function surrogateFields(args: SurrogateArgs): Field[] {
  const coupled = args.gate.kind === 'log-sum-exp';
  const optional = [
    'refLogProbs',
    'clipScale',
    ...(coupled ? ['ratioTargets', 'rolloutLogProbs', 'tokenWeights'] : []),
  ];
  return [...fieldsOf(args.turns, 'turns.', []), ...fieldsOf(args, '', optional)].filter(
    ({ path }) => !(SURROGATE_OUTPUTS as readonly string[]).includes(path),
  );
}

/** N rows of V logits with coefficients and entropy's. */
export function gradientArgs(width = 37): LogitsGradientArgs {
  const logits = { data: Float32Array.from(wave(N * width, 1)), dtype: 'f32', width } as const;
  const args: LogitsGradientArgs = {
    logits,
    targets: Int32Array.from({ length: N }, (_, n) => (5 * n) % width),
    actionMask: new Uint8Array(N).fill(1),
    logProbs: new Float32Array(N),
    logSumExp: new Float64Array(N),
    coefficients: wave(N, 2),
    entropy: new Float32Array(N),
    entropyCoefficients: wave(N, 3),
    temperature: 0.9,
    gradScale: 2,
    gradient: { ...logits, data: new Float32Array(N * width).fill(-99) },
    underflowed: new Float64Array(1),
  };
  const { targets, actionMask, temperature, logProbs, logSumExp, entropy } = args;
  const rows = { logits, targets, actionMask, temperature, logProbs, logSumExp, entropy };
  const { code } = native.backends.cpu.ops.gatherLogProbs({ ...rows, nonFinite: 'throw' });
  if (code !== 'ok') throw new Error(code);
  return args;
}

export function gradientFields(args: LogitsGradientArgs): Field[] {
  const arrays = fieldsOf(args, '', ['actionMask']).filter(({ path }) => path !== 'underflowed');
  // Without entropy's coefficients the entropy itself is not read.
  return arrays.map((field) => (field.path === 'entropyCoefficients' ? { ...field, needed: false } : field));
}

/** The whole step with an entropy bonus and every weight, on the arrays of `surrogateArgs`. */
export function policyLossArgs(): PolicyLossArgs {
  const surrogate = surrogateArgs();
  const { logProbs, actionMask, coefficients, entropy, entropyCoefficients } = surrogate;
  const { logits, targets, temperature, gradScale, gradient, underflowed } = gradientArgs();
  const logSumExp = new Float64Array(N);
  const rows = { logits, targets, actionMask, temperature, logProbs, logSumExp, entropy };
  return {
    segment: null,
    statistics: null,
    gather: { ...rows, nonFinite: 'throw' },
    surrogate,
    gradient: { ...rows, coefficients, entropyCoefficients, gradScale, gradient, underflowed },
  };
}
