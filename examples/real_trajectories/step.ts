/**
 * Phase B: loss and gradient, one micro-batch after the other, with the credit that phase A gave the whole batch.
 * Memory: the logits of one micro-batch, overwritten by their gradient, however large the batch is.
 */
import { type Credit, type Device, policyLossSync, segmentTurns } from 'turnwise';
import { type Batch, eachRow, type MicroBatch } from './batch.js';
import type { LanguageModel } from './language_model.js';

export interface Rollouts {
  batch: Batch;
  microBatches: MicroBatch[];
  /** [N] under the policy before the update. */
  oldLogProbs: Float32Array;
}

/** What a pass over the batch saw, counted over the loss tokens. */
export interface PassResult {
  loss: number;
  tokens: number;
  clippedLow: number;
  clippedHigh: number;
  ratioMin: number;
  ratioMax: number;
  /** Euclidean norm of dLoss/dLogits over all N x V. */
  gradientNorm: number;
  /** Seconds in the library, the model's own excluded. */
  seconds: number;
}

/** Loss and gradient of each micro-batch; `grad.logits` is valid until the next one. */
function* losses({ batch, microBatches, oldLogProbs }: Rollouts, model: LanguageModel, credit: Credit, device: Device) {
  const { vocabulary } = batch;
  const logits = new Float32Array(Math.max(...microBatches.map(({ start, end }) => end - start)) * vocabulary);
  for (const micro of microBatches) {
    const { start, end, trajectories, trajectoryOffsets } = micro;
    for (const m of trajectories) {
      eachRow(batch, m, (place, row) => {
        const at = (row - start) * vocabulary;
        model.logitsInto(logits.subarray(at, at + vocabulary), place);
      });
    }
    const began = performance.now();
    const turns = segmentTurns({ trajectoryOffsets, turnIds: batch.turnIds.subarray(start, end) }, { device });
    const result = policyLossSync(
      {
        logits: logits.subarray(0, (end - start) * vocabulary),
        targets: batch.targets.subarray(start, end),
        oldLogProbs: oldLogProbs.subarray(start, end),
        turns,
        credit: credit.slice(trajectories),
      },
      credit.estimator,
      { device, inPlace: true },
    );
    yield { ...result, micro, seconds: (performance.now() - began) / 1000 };
  }
}

/**
 * Loss and gradient over the whole batch.
 * @param learn descended along the gradient, if given: not the model that is evaluated, so that the parts add up to one step
 */
export function pass(
  rollouts: Rollouts,
  model: LanguageModel,
  credit: Credit,
  device: Device,
  learn?: { updated: LanguageModel; rate: number },
): PassResult {
  const total = {
    loss: 0,
    tokens: 0,
    clippedLow: 0,
    clippedHigh: 0,
    ratioMin: Number.POSITIVE_INFINITY,
    ratioMax: Number.NEGATIVE_INFINITY,
    seconds: 0,
  };
  let squares = 0;
  for (const { loss, metrics, grad, micro, seconds } of losses(rollouts, model, credit, device)) {
    // The denominators are those of the whole batch, so the parts add up to its loss and its gradient.
    total.loss += loss;
    total.tokens += metrics.tokens;
    total.clippedLow += metrics.clipFractionLow * metrics.tokens;
    total.clippedHigh += metrics.clipFractionHigh * metrics.tokens;
    total.ratioMin = Math.min(total.ratioMin, metrics.ratio?.min ?? total.ratioMin);
    total.ratioMax = Math.max(total.ratioMax, metrics.ratio?.max ?? total.ratioMax);
    total.seconds += seconds;
    for (let i = 0; i < grad.logits.length; i++) squares += grad.logits[i] * grad.logits[i];
    if (learn) descend(rollouts.batch, micro, grad.logits, learn.updated, learn.rate);
  }
  return { ...total, gradientNorm: Math.sqrt(squares) };
}

/** The model's backward pass: from dLoss/dLogits to its parameters. */
function descend(batch: Batch, micro: MicroBatch, slopes: Float32Array, updated: LanguageModel, rate: number): void {
  const { vocabulary } = batch;
  for (const m of micro.trajectories) {
    eachRow(batch, m, (place, row) => {
      const at = (row - micro.start) * vocabulary;
      updated.descend(slopes.subarray(at, at + vocabulary), place, rate);
    });
  }
}

export interface Difference {
  /** max |a - b|; NaN beside a number counts as infinite, NaN beside NaN as equal (both say: no signal). */
  largest: number;
  /** max |a|, to see the difference in proportion. */
  magnitude: number;
}

export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): Difference {
  if (a.length !== b.length) return { largest: Number.POSITIVE_INFINITY, magnitude: Number.NaN };
  let largest = 0;
  let magnitude = 0;
  for (let i = 0; i < a.length; i++) {
    if (Number.isNaN(a[i]) && Number.isNaN(b[i])) continue;
    const apart = Math.abs(a[i] - b[i]);
    largest = Math.max(largest, Number.isNaN(apart) ? Number.POSITIVE_INFINITY : apart);
    magnitude = Math.max(magnitude, Math.abs(a[i]));
  }
  return { largest, magnitude };
}

/** How far two backends are apart, over all micro-batches of `rollouts`. */
export function compareDevices(
  rollouts: Rollouts,
  model: LanguageModel,
  credits: readonly [Credit, Credit],
  devices: readonly [Device, Device],
): { loss: Difference; gradient: Difference } {
  const loss: Difference = { largest: 0, magnitude: 0 };
  const gradient: Difference = { largest: 0, magnitude: 0 };
  const others = losses(rollouts, model, credits[1], devices[1]);
  for (const one of losses(rollouts, model, credits[0], devices[0])) {
    const { value: other } = others.next();
    if (!other) throw new Error('both backends run the same micro-batches');
    widen(loss, largestDifference([one.loss], [other.loss]));
    widen(gradient, largestDifference(one.grad.logits, other.grad.logits));
  }
  return { loss, gradient };
}

function widen(difference: Difference, seen: Difference): void {
  difference.largest = Math.max(difference.largest, seen.largest);
  difference.magnitude = Math.max(difference.magnitude, seen.magnitude);
}
