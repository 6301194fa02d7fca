/** The stand-in for the policy: a language model that has read half of the conversations, and the same a few steps later. */
import { type Batch, eachRow } from './batch.js';
import { LanguageModel } from './language_model.js';

const TRAINING_RATE = 0.3;
/** From "old" to "new": small steps, so that mean log-ratios of turns come near A²TGPO's clip range of a few thousandths. */
const DRIFT_RATE = 0.003;

/** One pass over the first half of the conversations. */
export function trainPolicy(batch: Batch): { policy: LanguageModel; crossEntropy: number } {
  const policy = new LanguageModel(batch.vocabulary);
  return { policy, crossEntropy: learn(policy, batch, [0, 1 / 2], TRAINING_RATE) };
}

/** A copy of the policy after some small steps on the third quarter: ratios to the old one differ from 1. */
export function driftedFrom(policy: LanguageModel, batch: Batch): LanguageModel {
  const drifted = policy.clone();
  learn(drifted, batch, [1 / 2, 3 / 4], DRIFT_RATE);
  return drifted;
}

/** Gradient descent, row after row, on a share of the trajectories; returns the mean cross-entropy on the way. */
function learn(model: LanguageModel, batch: Batch, [from, to]: [number, number], rate: number): number {
  const trajectories = batch.conversations.length;
  let loss = 0;
  let rows = 0;
  for (let m = Math.ceil(from * trajectories); m < Math.ceil(to * trajectories); m++) {
    eachRow(batch, m, (place) => {
      loss += model.learn(place, rate);
      rows++;
    });
  }
  return loss / rows;
}
