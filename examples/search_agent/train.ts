/**
 * One step of training, the loop that turnwise is made for: roll out, score, assign credit, update several times.
 */

import {
  type Credit,
  type Estimator,
  estimateAdvantages,
  gatherLogProbsSync,
  informationGain,
  policyLossSync,
  type Turns,
} from 'turnwise';
import type { Random } from '../shared/random.js';
import { type KnowledgeBase, maxTurns, type Question } from './environment.js';
import { Adam, type Policy } from './policy.js';
import { packBatch, policyAgent, rollOut, successRate, type Trajectory } from './rollout.js';

const promptsPerStep = 16;
const rolloutsPerPrompt = 16;
export const episodesPerStep = promptsPerStep * rolloutsPerPrompt;
const epochs = 2;
const trajectoriesPerUpdate = 64;
const trajectoriesPerMicroBatch = 32;
const learningRate = 1e-3;

export interface StepReport {
  /** Share of the episodes with the right answer. */
  successRate: number;
  /** Mean information gain by turn index, without the last possible turn, which never has one; NaN where no turn had one. */
  meanGain: number[];
  /** Share of the loss tokens whose ratio was clipped. */
  clipFraction: number;
  /** Rows of logits that went through turnwise. */
  tokens: number;
  /** Seconds inside turnwise. */
  lossSeconds: number;
}

export class Trainer {
  private readonly adam: Adam;
  private tokens = 0;
  private lossSeconds = 0;

  constructor(
    private readonly policy: Policy,
    private readonly estimator: Estimator,
    private readonly knowledge: KnowledgeBase,
    private readonly questions: readonly Question[],
    private readonly random: Random,
  ) {
    this.adam = new Adam(policy, learningRate);
  }

  step(): StepReport {
    this.tokens = 0;
    this.lossSeconds = 0;
    const { trajectories, groups } = this.rollOutPrompts();
    const outcome = Float64Array.from(trajectories, (trajectory) => trajectory.outcome);
    const batch = packBatch(trajectories);
    const { turns } = batch;
    const oldLogProbs = this.score(batch.features, batch.targets);
    const gain = this.scoreAnswers(turns, trajectories);

    // Once for the whole batch: credit compares the rollouts of a prompt with each other. A signal that an estimator does not use
    // is refused, and GRPO uses the outcome only.
    const usesGain = this.estimator.channels.some(({ signal }) => signal.terms.includes('information-gain'));
    const signals = usesGain ? { turns, groups, outcome, informationGain: gain } : { turns, groups, outcome };
    const credit = this.timed(() => estimateAdvantages(signals, this.estimator));

    const clipFraction = this.update(trajectories, batch.trajectoryOffsets, oldLogProbs, credit);
    return {
      successRate: successRate(trajectories),
      meanGain: meanByTurn(turns, gain),
      clipFraction,
      tokens: this.tokens,
      lossSeconds: this.lossSeconds,
    };
  }

  /** Several updates from the same rollouts: the clipped ratio keeps the policy near theirs. Returns the share of tokens clipped. */
  private update(
    trajectories: readonly Trajectory[],
    offsets: Int32Array,
    oldLogProbs: Float32Array,
    credit: Credit,
  ): number {
    let clipped = 0;
    let counted = 0;
    for (let epoch = 0; epoch < epochs; epoch++) {
      const order = this.random.shuffle(Array.from(trajectories.keys()));
      for (const members of chunks(order, trajectoriesPerUpdate)) {
        // The mean over this update's own tokens; its micro-batches keep that denominator, so that their gradients add up to it.
        const updateCredit = credit.slice(members, { denominators: 'own' });
        for (const some of chunks(members, trajectoriesPerMicroBatch)) {
          const { features, targets, turns } = packBatch(some.map((m) => trajectories[m]));
          const input = {
            logits: this.policy.forward(features),
            targets,
            oldLogProbs: rowsOf(some, offsets, oldLogProbs),
            turns,
            credit: updateCredit.slice(some),
          };
          // In place: the gradient takes the memory of the logits.
          const { grad, metrics } = this.timed(() => policyLossSync(input, this.estimator, { inPlace: true }));
          this.policy.backward(features, grad.logits);
          this.tokens += targets.length;
          clipped += metrics.clipFraction * metrics.tokens;
          counted += metrics.tokens;
        }
        this.adam.step();
      }
    }
    return clipped / counted;
  }

  /** All rollouts of one prompt are one group. */
  private rollOutPrompts(): { trajectories: Trajectory[]; groups: Int32Array } {
    const agent = policyAgent(this.policy, this.random);
    const prompts = Array.from({ length: promptsPerStep }, () => this.random.choice(this.questions));
    const groups = Int32Array.from({ length: episodesPerStep }, (_, m) => Math.floor(m / rolloutsPerPrompt));
    return { trajectories: Array.from(groups, (prompt) => rollOut(agent, this.knowledge, prompts[prompt])), groups };
  }

  /** Log-probs of `targets` under the current policy, as the loss will compute them: not the sampler's rounding of them. */
  private score(features: Int32Array, targets: Int32Array): Float32Array {
    const logits = this.policy.forward(features);
    this.tokens += targets.length;
    return this.timed(() => gatherLogProbsSync({ logits, targets })).logProbs;
  }

  /**
   * [K] by how much each turn raised the probability that the policy gives to the true answer, had it to answer at once; NaN on
   * last turns, which carry the outcome. (The default mode compares log-probs. Those of a language model move by less than those
   * of this small network, which swing between -15 and 0.)
   */
  scoreAnswers(turns: Turns, trajectories: readonly Trajectory[]): Float64Array {
    const afterTurns = Int32Array.from(trajectories.flatMap((trajectory) => trajectory.afterTurns));
    const beforeTurns = Int32Array.from(trajectories.flatMap((trajectory) => trajectory.beforeTurns));
    // An answer is one token here: one log-prob before the first turn, and one after each.
    const answers = Int32Array.from(trajectories, ({ question }) => question.answer);
    const promptLogProbs = this.score(beforeTurns, answers);
    const answerLogProbs = this.score(
      afterTurns,
      turns.trajectory.map((m) => answers[m]),
    );
    const answerOffsets = Int32Array.from({ length: turns.count + 1 }, (_, k) => k);
    const promptOffsets = Int32Array.from({ length: answers.length + 1 }, (_, m) => m);
    const mode = 'probability';
    return informationGain({ turns, answerLogProbs, answerOffsets, promptLogProbs, promptOffsets, mode });
  }

  private timed<T>(work: () => T): T {
    const start = performance.now();
    const value = work();
    this.lossSeconds += (performance.now() - start) / 1000;
    return value;
  }
}

function meanByTurn(turns: Turns, values: Float64Array): number[] {
  const sums = new Array<number>(maxTurns - 1).fill(0);
  const counts = new Array<number>(maxTurns - 1).fill(0);
  values.forEach((value, k) => {
    if (Number.isNaN(value)) return;
    sums[turns.index[k]] += value;
    counts[turns.index[k]]++;
  });
  return sums.map((sum, index) => sum / counts[index]);
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

/** The values of some trajectories' tokens, in the order that `packBatch` gives them. */
function rowsOf(members: readonly number[], offsets: Int32Array, values: Float32Array): Float32Array {
  return Float32Array.from(members.flatMap((m) => [...values.subarray(offsets[m], offsets[m + 1])]));
}
