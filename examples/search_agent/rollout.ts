/**
 * Episodes: an agent and the environment taking turns, recorded as the packed arrays that turnwise reads.
 */

import { segmentTurns, type Turns } from 'turnwise';
import type { Random } from '../shared/random.js';
import { Context, featureCount } from './context.js';
import { type KnowledgeBase, maxTurnTokens, type Question, replyTo } from './environment.js';
import type { Policy } from './policy.js';
import { answer, end } from './tokens.js';

/** Chooses the next token of the turn it is in. */
export type Agent = (context: Context) => number;

/** One episode, token by token: what the agent said (actionMask 1) and what the environment replied (actionMask 0). */
export interface Trajectory {
  question: Question;
  tokens: number[];
  actionMask: number[];
  /** [tokens, F] what each token is predicted from. */
  features: number[];
  /** What the agent's answer would be predicted from, had it to answer now: [F] before the first turn, [turns, F] after each. */
  beforeTurns: number[];
  afterTurns: number[];
  outcome: number;
}

/** Trajectories one after the other, without padding; N tokens, M trajectories. Row n of the logits scores `targets[n]`. */
export interface Batch {
  features: Int32Array;
  targets: Int32Array;
  actionMask: Uint8Array;
  trajectoryOffsets: Int32Array;
  turns: Turns;
}

export function rollOut(agent: Agent, knowledge: KnowledgeBase, question: Question): Trajectory {
  const context = new Context(question);
  const tokens: number[] = [];
  const actionMask: number[] = [];
  const features: number[] = [];
  const beforeTurns: number[] = [];
  const afterTurns: number[] = [];
  const record = (token: number, isAction: 0 | 1) => {
    context.writeFeatures(features, features.length);
    tokens.push(token);
    actionMask.push(isAction);
  };
  context.writeFeatures(beforeTurns, 0, [answer]);
  for (let turnIndex = 0; ; turnIndex++) {
    while (context.turn.length < maxTurnTokens && context.turn.at(-1) !== end) {
      const token = agent(context);
      record(token, 1);
      context.say(token);
    }
    const reply = replyTo(knowledge, question, context.turn, turnIndex);
    for (const token of reply.observation) record(token, 0);
    context.observe(reply.observation);
    context.writeFeatures(afterTurns, afterTurns.length, [answer]);
    if (reply.done) return { question, tokens, actionMask, features, beforeTurns, afterTurns, outcome: reply.outcome };
  }
}

/** Samples from the policy. */
export function policyAgent(policy: Policy, random: Random): Agent {
  const features = new Int32Array(featureCount);
  return (context) => {
    context.writeFeatures(features, 0);
    const logits = policy.forward(features);
    const highest = logits.reduce((a, b) => Math.max(a, b));
    return random.weighted(logits.map((logit) => Math.exp(logit - highest)));
  };
}

export function packBatch(trajectories: readonly Trajectory[]): Batch {
  const trajectoryOffsets = new Int32Array(trajectories.length + 1);
  trajectories.forEach(({ tokens }, m) => {
    trajectoryOffsets[m + 1] = trajectoryOffsets[m] + tokens.length;
  });
  const actionMask = Uint8Array.from(trajectories.flatMap((trajectory) => trajectory.actionMask));
  return {
    features: Int32Array.from(trajectories.flatMap(({ features }) => features)),
    targets: Int32Array.from(trajectories.flatMap(({ tokens }) => tokens)),
    actionMask,
    trajectoryOffsets,
    // A reply of the environment stands between any two turns here, so each run of 1 in the mask is one turn.
    turns: segmentTurns({ trajectoryOffsets, actionMask }),
  };
}

export function successRate(trajectories: readonly Trajectory[]): number {
  return trajectories.reduce((sum, { outcome }) => sum + outcome, 0) / trajectories.length;
}
