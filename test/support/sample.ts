/** A whole batch for tests of the public API: ragged turns, observations between them, prompts of several trajectories. */

import { type Device, segmentTurns, type Turns, tensor } from '../../lib/index.js';
import type { DTypeOfLogits } from '../../lib/ops.js';
import type { TypedArrayOf } from '../../lib/tensor/dtype.js';
import { encode } from './numbers.js';
import { random } from './random.js';
import { isLastTurn, randomLayout } from './turns.js';

/** One trajectory's own data; a batch is a list of them, so that they can be reordered and left out. */
interface Trajectory {
  group: number;
  outcome: number;
  actionMask: Uint8Array;
  turnIds: Int32Array;
  logits: Float32Array;
  targets: Int32Array;
  oldLogProbs: Float32Array;
  refLogProbs: Float32Array;
  logProbs: Float32Array;
  turnRewards: Float64Array;
  informationGain: Float64Array;
}

export interface Sample {
  /** N, V, M, K */
  tokens: number;
  width: number;
  count: number;
  turns: Turns;
  trajectoryOffsets: Int32Array;
  actionMask: Uint8Array;
  turnIds: Int32Array;
  groups: Int32Array;
  outcome: Float64Array;
  turnRewards: Float64Array;
  informationGain: Float64Array;
  logits: Float32Array;
  targets: Int32Array;
  oldLogProbs: Float32Array;
  refLogProbs: Float32Array;
  logProbs: Float32Array;
  trajectories: readonly Trajectory[];
}

export interface SampleOptions {
  seed?: number;
  trajectories?: number;
  prompts?: number;
  width?: number;
  /** Scale of the logits: how far ratios are from 1. */
  scale?: number;
  device?: Device;
}

export function sample(options: SampleOptions = {}): Sample {
  const { seed = 1, trajectories = 8, prompts = 3, width = 13, scale = 0.5, device = 'reference' } = options;
  const layout = randomLayout(seed, trajectories, 4, 6);
  const { normal, integer } = random(seed + 1000);
  const { turns, trajectoryOffsets } = layout;
  const own = Array.from({ length: trajectories }, (_, m): Trajectory => {
    const [begin, end] = [trajectoryOffsets[m], trajectoryOffsets[m + 1]];
    const length = end - begin;
    const ks = Array.from(turns.trajectory.keys()).filter((k) => turns.trajectory[k] === m);
    const logProb = (spread: number) =>
      Float32Array.from({ length }, () => Math.min(0, -Math.log(width) + spread * normal()));
    return {
      group: 100 * integer(prompts) - 7,
      outcome: integer(4) / 4,
      actionMask: layout.actionMask.slice(begin, end),
      turnIds: layout.turnIds.slice(begin, end),
      logits: Float32Array.from({ length: length * width }, () => scale * normal()),
      targets: Int32Array.from({ length }, () => integer(width)),
      oldLogProbs: logProb(0.2),
      refLogProbs: logProb(0.3),
      logProbs: logProb(0.2),
      turnRewards: Float64Array.from(ks, normal),
      informationGain: Float64Array.from(ks, (k) => (isLastTurn(turns, k) ? Number.NaN : normal())),
    };
  });
  return pack(own, width, device);
}

/** The sample of some trajectories, in the order given. */
export function pick(from: Sample, trajectories: readonly number[], device: Device = 'reference'): Sample {
  return pack(
    trajectories.map((m) => from.trajectories[m]),
    from.width,
    device,
  );
}

function pack(trajectories: readonly Trajectory[], width: number, device: Device): Sample {
  const join = <T extends Float32Array | Float64Array | Int32Array | Uint8Array>(
    empty: new (length: number) => T,
    of: (own: Trajectory) => T,
  ): T => {
    const parts = trajectories.map(of);
    const whole = new empty(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  };
  const trajectoryOffsets = Int32Array.of(0, ...trajectories.map(({ targets }) => targets.length));
  for (let m = 1; m < trajectoryOffsets.length; m++) trajectoryOffsets[m] += trajectoryOffsets[m - 1];
  const actionMask = join(Uint8Array, (own) => own.actionMask);
  const turnIds = join(Int32Array, (own) => own.turnIds);
  return {
    tokens: actionMask.length,
    width,
    count: trajectories.length,
    turns: segmentTurns({ trajectoryOffsets, turnIds, actionMask }, { device }),
    trajectoryOffsets,
    actionMask,
    turnIds,
    groups: Int32Array.from(trajectories, (own) => own.group),
    outcome: Float64Array.from(trajectories, (own) => own.outcome),
    turnRewards: join(Float64Array, (own) => own.turnRewards),
    informationGain: join(Float64Array, (own) => own.informationGain),
    logits: join(Float32Array, (own) => own.logits),
    targets: join(Int32Array, (own) => own.targets),
    oldLogProbs: join(Float32Array, (own) => own.oldLogProbs),
    refLogProbs: join(Float32Array, (own) => own.refLogProbs),
    logProbs: join(Float32Array, (own) => own.logProbs),
    trajectories,
  };
}

/** The raw signals that A²TGPO needs. */
export function signals({ groups, outcome, informationGain }: Sample) {
  return { groups, outcome, informationGain };
}

/** A batch from logits, without credit. */
export function fromLogits({ logits, targets, oldLogProbs, turns, actionMask }: Sample) {
  return { logits, targets, oldLogProbs, turns, actionMask };
}

/** The same with logits of another dtype, in a tensor. */
export function withDType(from: Sample, dtype: DTypeOfLogits) {
  const { targets, oldLogProbs, turns, actionMask } = from;
  const shape = [from.tokens, from.width];
  const logits = tensor(encode(from.logits, dtype) as TypedArrayOf[typeof dtype], shape, dtype);
  return { logits, targets, oldLogProbs, turns, actionMask };
}

/** A batch from log-probs, without credit. */
export function fromLogProbs({ logProbs, oldLogProbs, turns, actionMask }: Sample) {
  return { logProbs, oldLogProbs, turns, actionMask };
}

/** Rows of a [N, V] array that belong to trajectory m. */
export function rowsOf({ trajectoryOffsets, width }: Sample, array: Float32Array, m: number): Float32Array {
  return array.subarray(trajectoryOffsets[m] * width, trajectoryOffsets[m + 1] * width);
}
