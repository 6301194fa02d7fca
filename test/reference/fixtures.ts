/** Complete op arguments with plain defaults, so that a test names only what it is about. */
import {
  type ChannelArgs,
  GROUP_STAT_SLOTS,
  type GroupStatSlot,
  METRIC_SLOTS,
  type MetricSlot,
  type SegmentTurnsArgs,
  type SurrogateArgs,
  type TurnStatisticsArgs,
  type TurnsArgs,
} from '../../lib/ops.js';
import { reference } from '../../lib/reference/index.js';
import { CHANNEL, CREDIT_INPUTS, GATE, LOSS_INPUTS, RATIO } from '../support/records.mjs';

export const { ops } = reference;
const { POSITIVE_INFINITY: INF } = Number;

/** Deterministic numbers in [0, 1) (mulberry32). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Largest |a - b| divided by the largest |b|; NaN must stand in the same places. */
export function deviation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return INF;
  let difference = 0;
  let scale = 0;
  for (let i = 0; i < a.length; i++) {
    if (Number.isNaN(a[i]) && Number.isNaN(b[i])) continue;
    difference = Math.max(difference, Math.abs(a[i] - b[i]));
    scale = Math.max(scale, Math.abs(b[i]));
  }
  return difference === 0 ? 0 : difference / scale;
}

/** Turn spans of `lengths[m]` turns, each given by its number of tokens, without gaps; everything is a loss token. */
export function turnsOf(lengths: number[][]): TurnsArgs {
  const sizes = lengths.flat();
  const ends = sizes.map((_, k) => sizes.slice(0, k + 1).reduce((a, b) => a + b, 0));
  return {
    starts: Int32Array.from(ends, (end, k) => end - sizes[k]),
    ends: Int32Array.from(ends),
    tokens: Int32Array.from(sizes),
    trajectory: Int32Array.from(lengths.flatMap((own, m) => own.map(() => m))),
    index: Int32Array.from(lengths.flatMap((own) => own.map((_, k) => k))),
  };
}

export function segmentArgs(given: Partial<SegmentTurnsArgs> & { room: number }): SegmentTurnsArgs {
  const { room, ...rest } = given;
  const output = () => new Int32Array(room).fill(-9);
  return {
    by: 'action-mask',
    trajectoryOffsets: new Int32Array(1),
    actionMask: null,
    turnIds: null,
    tokenIds: null,
    openToken: 1,
    closeToken: 2,
    unclosed: 'throw',
    spanStarts: null,
    spanEnds: null,
    starts: output(),
    ends: output(),
    tokens: output(),
    trajectory: output(),
    index: output(),
    count: new Int32Array(1),
    effectiveMask: null,
    ...rest,
  };
}

/** The turns that segmentTurns found, trimmed to their number. */
export function segmented(args: SegmentTurnsArgs): TurnsArgs {
  const status = ops.segmentTurns(args);
  if (status.code !== 'ok') throw new Error(`segmentTurns: ${status.code} at ${status.position}`);
  const trim = (array: Int32Array) => array.slice(0, args.count[0]);
  return {
    starts: trim(args.starts),
    ends: trim(args.ends),
    tokens: trim(args.tokens),
    trajectory: trim(args.trajectory),
    index: trim(args.index),
  };
}

/** One channel; by default the outcome as it is. */
export function channel(given: Partial<ChannelArgs> = {}): ChannelArgs {
  return { ...CHANNEL, ...given };
}

type StatisticsInput = Partial<TurnStatisticsArgs> & Pick<TurnStatisticsArgs, 'turns' | 'groups' | 'channels'>;

export function statisticsArgs(given: StatisticsInput): TurnStatisticsArgs {
  const { turns, actionMask } = given;
  const tokenCount = actionMask?.length ?? turns.ends.at(-1) ?? 0;
  const count = given.resultLevel === 'token' ? tokenCount : turns.starts.length;
  return {
    ...CREDIT_INPUTS,
    advantages: new Float64Array(count).fill(-99),
    clipScale: new Float64Array(count).fill(-99),
    normalizedSignal: new Float64Array(count).fill(-99),
    groupStats: new Float64Array(given.channels.length * GROUP_STAT_SLOTS.length).fill(-99),
    ...given,
  };
}

export function groupStat(args: TurnStatisticsArgs, slot: GroupStatSlot, c = 0): number {
  return args.groupStats[c * GROUP_STAT_SLOTS.length + GROUP_STAT_SLOTS.indexOf(slot)];
}

type SurrogateInput = Partial<SurrogateArgs> & Pick<SurrogateArgs, 'logProbs' | 'oldLogProbs' | 'turns' | 'advantages'>;

/** Token-level PPO without a bound in reach; denominators are those of the batch itself, every trajectory its own prompt. */
export function surrogateArgs(given: SurrogateInput): SurrogateArgs {
  const count = given.logProbs.length;
  const actionMask = given.actionMask ?? new Uint8Array(count).fill(1);
  const { tokens, trajectory } = given.turns;
  const withLoss = Array.from(tokens.keys()).filter((k) => tokens[k] > 0);
  const sequences = new Set(withLoss.map((k) => trajectory[k]));
  const prompts = new Set(Array.from(sequences, (m) => given.groups?.[m] ?? `alone ${m}`));
  return {
    ...LOSS_INPUTS,
    actionMask,
    advantageLevel: 'turn',
    ratio: RATIO,
    gate: { ...GATE, low: 0.2, high: 0.2 },
    aggregate: 'token-mean',
    denominators: {
      tokens: tokens.reduce((a, b) => a + b, 0),
      turns: withLoss.length,
      sequences: sequences.size,
      prompts: prompts.size,
    },
    nonFinite: 'throw',
    coefficients: new Float64Array(count).fill(-99),
    metrics: new Float64Array(METRIC_SLOTS.length).fill(-99),
    ...given,
  };
}

export function metric({ metrics }: SurrogateArgs, slot: MetricSlot): number {
  return metrics[METRIC_SLOTS.indexOf(slot)];
}

export function lossOf(args: SurrogateArgs): number {
  const denominator = metric(args, 'lossDenominator');
  return denominator === 0 ? 0 : metric(args, 'lossNumerator') / denominator;
}
