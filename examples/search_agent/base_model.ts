/**
 * The start of training: a policy that knows the language of the task, but not how to solve it.
 *
 * Language models come to reinforcement learning with the format of a tool call already learned. Here the policy learns it by
 * imitating an agent that makes well-formed turns of random content.
 */

import { gatherLogProbsSync, grpo, policyLossSync } from 'turnwise';
import type { Random } from '../shared/random.js';
import type { KnowledgeBase, Question } from './environment.js';
import { Adam, type Policy } from './policy.js';
import { type Agent, packBatch, rollOut } from './rollout.js';
import { answer, end, entities, none, relations, search } from './tokens.js';

const updates = 150;
const demonstrationsPerUpdate = 64;

export function learnLanguage(
  policy: Policy,
  knowledge: KnowledgeBase,
  questions: readonly Question[],
  random: Random,
): void {
  const adam = new Adam(policy, 1e-2);
  const agent = aimlessAgent(random);
  for (let update = 0; update < updates; update++) {
    const demonstrations = Array.from({ length: demonstrationsPerUpdate }, () =>
      rollOut(agent, knowledge, random.choice(questions)),
    );
    const { features, targets, actionMask } = packBatch(demonstrations);
    const logits = policy.forward(features);
    // With advantage 1 and old log-probs equal to the current ones, the policy loss has the gradient of the cross-entropy.
    const { logProbs: oldLogProbs } = gatherLogProbsSync({ logits, targets });
    const advantages = new Float64Array(targets.length).fill(1);
    const { grad } = policyLossSync(
      { logits, targets, oldLogProbs, actionMask, advantages },
      grpo({ aggregate: 'token-mean' }),
      {
        inPlace: true,
      },
    );
    policy.backward(features, grad.logits);
    adam.step();
  }
}

/** Searches for anything and answers anything, with a liking for the words it has seen. */
function aimlessAgent(random: Random): Agent {
  const pick = (seen: readonly number[], any: readonly number[]) =>
    random.choice(random.uniform() < 0.6 ? seen.filter((token) => token !== none) : any);
  return ({ question, turn, lastResult }) => {
    if (turn.length === 0) return random.uniform() < 0.6 ? search : answer;
    if (turn.length === 1) return pick([question.start, lastResult], entities);
    return turn[0] === search && turn.length === 2 ? pick(question.relations, relations) : end;
  };
}
