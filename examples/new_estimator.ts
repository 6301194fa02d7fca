/**
 * A method of one's own, in one file: stages put together as data, and where data is not enough, a function.
 *
 *   npm run build && node build/examples/new_estimator.js
 *
 * test/new_estimator.test.ts checks its credit against numbers worked out by hand: copy both to start a method.
 */
import { pathToFileURL } from 'node:url';
import { type CustomContext, type Estimator, estimateAdvantages, estimator, policyLossSync } from 'turnwise';

export interface ProgressOptions {
  /** Discount over later turns. */
  gamma?: number;
  /** Share of the outcome in the credit. */
  outcomeWeight?: number;
}

/**
 * "Progress": every turn's discounted reward against the other rollouts' turns of the same index, plus a share of the outcome.
 *
 *   G_k = r_k + gamma G_{k+1},   A_k = (G_k - mean of the others') + w (R - mean) / (std + 1e-6)
 *
 * Ratio of the turn, sigmoid gate. No code anywhere else knows this name: cpu and reference run it, and it survives JSON.
 */
export function progress({ gamma = 0.5, outcomeWeight = 0.5 }: ProgressOptions = {}): Estimator {
  return estimator({
    name: 'progress',
    channels: [
      {
        signal: 'turn-reward',
        accumulate: { kind: 'discounted', gamma },
        group: { kind: 'prompt-turn' },
        center: { kind: 'leave-one-out' },
        scale: { kind: 'none' },
      },
      {
        signal: 'outcome',
        group: { kind: 'prompt' },
        center: { kind: 'mean' },
        scale: { kind: 'std', ddof: 1, eps: 1e-6 },
        weight: outcomeWeight,
      },
    ],
    ratio: { level: 'turn', form: 'straight-through' },
    gate: { kind: 'sigmoid', temperature: { positive: 1, negative: 1.05 } },
    aggregate: 'turn-mean-token-mean',
  });
}

/** What no stage does: squash the advantages, so that one lucky turn cannot dominate a batch. */
export function squashed({ advantages }: CustomContext): Float64Array {
  return advantages.map(Math.tanh);
}

/** Two rollouts of one prompt, two turns of two tokens each. */
export const batch = {
  turns: {
    count: 4,
    starts: Int32Array.of(0, 2, 4, 6),
    ends: Int32Array.of(2, 4, 6, 8),
    tokens: Int32Array.of(2, 2, 2, 2),
    trajectory: Int32Array.of(0, 0, 1, 1),
    index: Int32Array.of(0, 1, 0, 1),
  },
  groups: [7, 7],
  outcome: [1, 0],
  turnRewards: [0.5, 1, 0, 0],
};

function main(): void {
  const credit = estimateAdvantages(batch, progress(), { advantage: squashed });
  console.log('advantages', Array.from(credit.advantages, (a) => a.toFixed(4)).join('  '));
  console.log('the record says which stage a function took over:', credit.estimator.custom);
  const oldLogProbs = new Float32Array(8).fill(-1);
  const logProbs = Float32Array.from(oldLogProbs, (old, n) => old + 0.05 * Math.sin(n));
  const { loss, grad } = policyLossSync({ logProbs, oldLogProbs, turns: batch.turns, credit }, credit.estimator);
  console.log(`loss ${loss.toFixed(6)}, gradient of the first token ${grad.logProbs[0].toFixed(6)}`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main();
