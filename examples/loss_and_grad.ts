/**
 * The smallest whole use: two prompts, two rollouts each, a few turns; loss and gradient by A²TGPO.
 *
 *   npm run build && node build/examples/loss_and_grad.js
 */
import { a2tgpo, estimateAdvantages, informationGain, policyLossSync, segmentTurns } from 'turnwise';

const vocabulary = 50;
const trajectoryOffsets = Int32Array.of(0, 9, 18, 27, 36);
// Two turns and an answer per rollout; the zeros between them are tool results.
const actionMask = Uint8Array.from({ length: 36 }, (_, n) => Number(n % 9 !== 2 && n % 9 !== 5));
const turns = segmentTurns({ trajectoryOffsets, actionMask });

// The policy's log-prob of the true answer (one token here) after each turn: it rises where the turn helped.
const answerLogProbs = [-3.0, -0.5, -0.4, -3.1, -2.9, -3.0, -2.0, -1.0, -0.9, -2.2, -2.3, -2.1];
const gain = informationGain({
  turns,
  answerLogProbs,
  answerOffsets: Int32Array.from({ length: turns.count + 1 }, (_, k) => k),
  promptLogProbs: [-3.5, -3.5, -2.5, -2.5],
  promptOffsets: [0, 1, 2, 3, 4],
});

const estimator = a2tgpo();
const credit = estimateAdvantages(
  { turns, groups: [0, 0, 1, 1], outcome: [1, 0, 1, 0], informationGain: gain },
  estimator,
);

// What a model and a sampler would give: logits [N, V], the sampled tokens, and their log-probs at sampling time.
const logits = Float32Array.from({ length: 36 * vocabulary }, (_, i) => 2 * Math.sin(i * i));
const targets = Int32Array.from({ length: 36 }, (_, n) => (n * 7) % vocabulary);
const oldLogProbs = new Float32Array(36).fill(-4);

const { loss, grad, metrics } = policyLossSync({ logits, targets, oldLogProbs, turns, actionMask, credit }, estimator);

console.log('advantage of each turn  ', Array.from(credit.advantages, (a) => a.toFixed(2)).join('  '));
console.log('clip scale of each turn ', Array.from(credit.clipScale, (c) => c.toFixed(2)).join('  '));
console.log(`loss ${loss.toFixed(6)}, ${metrics.tokens} tokens, clipped ${(100 * metrics.clipFraction).toFixed(0)} %`);
console.log(`gradient of the first token's target: ${grad.logits[targets[0]].toExponential(3)}`);
