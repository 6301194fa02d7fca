/**
 * Golden batches in the packed layout: trajectory after trajectory, all T positions of each (padding is a position
 * outside every turn). README.md says where the vectors come from.
 */
import { readFileSync } from 'node:fs';

export const GOLDEN_SEEDS = [11, 12] as const;
export type GoldenSeed = (typeof GOLDEN_SEEDS)[number];

type Matrix = number[][];

export interface LossOptions {
  level?: 'token' | 'turn' | 'turn-sg' | 'seq' | 'seq-sg';
  lo?: number;
  hi?: number;
  dual_c?: number;
  kind?: string;
  agg?: string;
  useClipScale?: boolean;
}

interface GoldenFile {
  B: number;
  T: number;
  mask: Matrix;
  turn: Matrix;
  group: number[];
  K: number[];
  outcome: number[];
  ig: Matrix;
  old: Matrix;
  lp: Matrix;
  near: Matrix;
  ref: Matrix;
  result: {
    advantages: Record<string, { options: Record<string, unknown>; tokens: Matrix; clipScale?: Matrix }>;
    lossAdvantages: Matrix;
    losses: Record<
      string,
      { logProbs: 'lp' | 'near'; options: LossOptions; loss: number; dLogProbs: Matrix; clipFraction?: number }
    >;
    kl: Record<string, { value: Matrix; grad: Matrix }>;
  };
}

export interface GoldenAdvantages {
  /** [N], 0 outside the loss. */
  tokens: Float64Array;
  /** [N] */
  clipScale: Float64Array | null;
}

export interface GoldenLoss {
  logProbs: 'lp' | 'near';
  options: LossOptions;
  loss: number;
  /** [N] */
  dLogProbs: Float64Array;
  clipFraction: number | null;
}

export interface GoldenBatch {
  seed: GoldenSeed;
  /** [M+1] */
  trajectoryOffsets: Int32Array;
  /** [N] */
  actionMask: Uint8Array;
  /** [N], -1 outside every turn */
  turnIds: Int32Array;
  /** [M] */
  groups: Int32Array;
  /** [M] */
  outcome: Float64Array;
  /** [K], NaN on the last turn of each trajectory, which carries the outcome */
  informationGain: Float64Array;
  /** [N] each */
  logProbs: Record<'lp' | 'near' | 'old' | 'ref', Float32Array>;
  advantages: Record<string, GoldenAdvantages>;
  /** [N], the advantages of every loss */
  lossAdvantages: Float64Array;
  losses: Record<string, GoldenLoss>;
  /** value and gradient [N], 0 outside the loss */
  kl: Record<string, { value: Float64Array; gradient: Float64Array }>;
}

export function loadGolden(seed: GoldenSeed): GoldenBatch {
  const file: GoldenFile = JSON.parse(readFileSync(new URL(`./batch-${seed}.json`, import.meta.url), 'utf8'));
  const { result } = file;
  return {
    seed,
    trajectoryOffsets: Int32Array.from({ length: file.B + 1 }, (_, m) => m * file.T),
    actionMask: Uint8Array.from(file.mask.flat()),
    turnIds: Int32Array.from(file.turn.flat()),
    groups: Int32Array.from(file.group),
    outcome: Float64Array.from(file.outcome),
    informationGain: Float64Array.from(file.ig.flatMap((gains) => [...gains, Number.NaN])),
    // 13 digits name a float32 uniquely, so this restores the very numbers the results were computed from.
    logProbs: {
      lp: Float32Array.from(file.lp.flat()),
      near: Float32Array.from(file.near.flat()),
      old: Float32Array.from(file.old.flat()),
      ref: Float32Array.from(file.ref.flat()),
    },
    advantages: mapValues(result.advantages, ({ tokens, clipScale }) => ({
      tokens: flat(tokens),
      clipScale: clipScale === undefined ? null : flat(clipScale),
    })),
    lossAdvantages: flat(result.lossAdvantages),
    losses: mapValues(result.losses, ({ dLogProbs, clipFraction, ...rest }) => ({
      ...rest,
      dLogProbs: flat(dLogProbs),
      clipFraction: clipFraction ?? null,
    })),
    kl: mapValues(result.kl, ({ value, grad }) => ({ value: flat(value), gradient: flat(grad) })),
  };
}

function flat(matrix: Matrix): Float64Array {
  return Float64Array.from(matrix.flat());
}

function mapValues<From, To>(record: Record<string, From>, map: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}
