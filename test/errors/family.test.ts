/** Wrong inputs of the methods beyond outcomes and gains: signals by name, keys, trees, critics, samplers, functions. */
import { describe, expect, test } from 'vitest';
import {
  a2tgpo,
  atpo,
  cispo,
  type EstimatorInput,
  estimateAdvantages,
  estimator,
  gbpo,
  gdpo,
  gigpo,
  grpo,
  type LogProbsBatch,
  policyLossSync,
  portool,
  ppo,
  real,
  tPpo,
} from '../../lib/index.js';
import { type Row, testErrors } from '../support/error_table.js';
import { batchFor, signalsFor } from '../support/estimator_batch.js';
import { fromLogits, sample } from '../support/sample.js';

const from = sample({ seed: 6, trajectories: 5, prompts: 2 });
const { turns, actionMask } = from;
const lossToken = actionMask.indexOf(1);
const any = (value: unknown) => value as never;

type Change = (arrays: Record<string, unknown>) => void;

const credit =
  (definition: EstimatorInput, change: Change, options = {}) =>
  () => {
    const arrays: Record<string, unknown> = structuredClone(signalsFor(estimator(definition), from));
    change(arrays);
    return estimateAdvantages(any({ turns, actionMask, ...arrays }), definition, options);
  };

const loss =
  (definition: EstimatorInput, change: Change, options = {}) =>
  () => {
    const batch = { ...batchFor(estimator(definition), from) } as Record<string, unknown>;
    change(batch);
    return policyLossSync(batch as unknown as LogProbsBatch, definition, options);
  };

const REWARDS = gdpo({ rewards: { accuracy: 1, format: 0.5 } });
const TREE = portool({ forkWeight: 1, trajectoryWeight: 1 });
const SAMPLER = estimator({ ...grpo(), weights: [{ kind: 'importance', level: 'token', mode: 'truncate', high: 2 }] });
const WEIGHTED = estimator({ ...grpo(), weights: [{ kind: 'given' }] });
const BONUS = estimator({ ...grpo(), entropy: { coef: 1e-3 } });
const PENALTY = estimator({
  ...grpo(),
  channels: [
    {
      signal: { level: 'token', terms: ['outcome'], klPenalty: { coef: 0.1, estimator: 'k1' } },
      accumulate: { kind: 'discounted', gamma: 1 },
      group: { kind: 'batch' },
      center: { kind: 'none' },
      scale: { kind: 'none' },
    },
  ],
});

describe('credit', () => {
  const rows: Row[] = [
    [
      'a reward by name that is missing',
      credit(REWARDS, (b) => delete (b.signals as Record<string, unknown>).format),
      { code: 'ERR_MISSING', path: 'signals.format', expected: 'numbers [M]' },
    ],
    [
      'a reward by name that nobody asked for',
      credit(REWARDS, (b) => Object.assign(b.signals as object, { style: [1, 1, 1, 1, 1] })),
      { code: 'ERR_NO_EFFECT', path: 'signals.style', expected: /no signals.style: the estimator "gdpo"/ },
    ],
    ['signals that are an array', credit(REWARDS, (b) => (b.signals = [1])), { code: 'ERR_TYPE', path: 'signals' }],
    [
      'keys of the wrong length',
      credit(gigpo(), (b) => (b.keys = { anchor: [1, 2] })),
      { code: 'ERR_LENGTH', path: 'keys.anchor', expected: `length ${turns.count} ([K])` },
    ],
    [
      'keys that are no integers',
      credit(gigpo(), (b) => (b.keys = { anchor: turns.index.map(() => 1).join() })),
      { code: 'ERR_TYPE', path: 'keys.anchor' },
    ],
    [
      'a critic without a value',
      credit(ppo(), (b) => ((b.values as Float64Array)[lossToken] = Number.NaN)),
      { code: 'ERR_NON_FINITE', path: `values[${lossToken}]`, expected: 'a finite number' },
    ],
    [
      'no critic',
      credit(ppo(), (b) => delete b.values),
      { code: 'ERR_MISSING', path: 'values', expected: 'numbers [N]' },
    ],
    [
      'truncated of 2',
      credit(tPpo({ gamma: 1, lambda: 1 }), (b) => (b.truncated = [0, 2, 0, 0, 0])),
      { code: 'ERR_RANGE', path: 'truncated[1]', expected: '0 or 1' },
    ],
    [
      'a node with two parents',
      credit(atpo(), (b) => {
        b.nodes = Int32Array.from({ length: turns.count }, (_, k) => (turns.index[k] === 1 ? -5 : k));
      }),
      { code: 'ERR_TURNS', path: 'nodes[4]', expected: /one parent/ },
    ],
    [
      'one node with two rewards',
      credit(TREE, (b) => {
        b.nodes = Int32Array.from({ length: turns.count }, (_, k) => (turns.index[k] === 0 ? -1 : k));
        b.turnRewards = Float64Array.from({ length: turns.count }, (_, k) => k);
      }),
      { code: 'ERR_TURNS', path: 'turnRewards[3]', expected: /both are node -1/ },
    ],
    [
      'a penalty without a reference',
      () =>
        estimateAdvantages(
          any({ turns, actionMask, groups: from.groups, outcome: from.outcome, oldLogProbs: from.oldLogProbs }),
          PENALTY,
        ),
      { code: 'ERR_MISSING', path: 'refLogProbs' },
    ],
    [
      'a function that is none',
      credit(grpo(), () => {}, { advantage: 3 }),
      { code: 'ERR_TYPE', path: 'advantage', expected: /a function/ },
    ],
    [
      'a function that returns too few',
      credit(grpo(), () => {}, { advantage: () => [1] }),
      { code: 'ERR_LENGTH', path: 'advantage()' },
    ],
    [
      'a function that returns nothing',
      credit(grpo(), () => {}, { advantage: () => undefined }),
      { code: 'ERR_TYPE', path: 'advantage()', received: 'undefined' },
    ],
    [
      'a function that returns a Promise',
      credit(grpo(), () => {}, { advantage: async () => Promise.reject(new Error('late')) }),
      { code: 'ERR_TYPE', path: 'advantage()', received: 'a Promise' },
    ],
    [
      'a function whose labels change within a trajectory',
      credit(real(), () => {}, { advantage: (c: { advantages: Float64Array }) => c.advantages.map((_, k) => k) }),
      { code: 'ERR_RANGE', path: 'advantage()[1]', expected: /gate log-sum-exp/ },
    ],
    [
      'log-probs that no penalty reads',
      () =>
        estimateAdvantages(
          any({ turns, actionMask, groups: from.groups, outcome: from.outcome, oldLogProbs: 'rubbish' }),
          grpo(),
        ),
      { code: 'ERR_NO_EFFECT', path: 'oldLogProbs' },
    ],
    [
      'an estimator of functions without them',
      () => {
        const made = estimateAdvantages({ turns, groups: from.groups, outcome: from.outcome }, grpo(), {
          advantage: ({ advantages }) => advantages.map(Math.tanh),
        });
        return estimateAdvantages.fromRows(made.rows(), made.estimator);
      },
      { code: 'ERR_ESTIMATOR', path: 'advantage', received: 'none' },
    ],
    [
      'rows without a value of the critic',
      () => {
        const rows = credit(ppo(), () => {})().rows();
        (rows.trajectories[1].values.values as (number | null)[])[0] = null;
        return estimateAdvantages.fromRows(rows, ppo());
      },
      { code: 'ERR_NON_FINITE', path: 'values[3]' },
    ],
    [
      'half a prompt of a coupled loss',
      () => credit(real(), () => {})().slice([0]),
      { code: 'ERR_RANGE', path: 'trajectories', expected: /all trajectories of prompt/ },
    ],
    [
      'a function that returns NaN',
      credit(grpo(), () => {}, { advantage: (c: { advantages: Float64Array }) => c.advantages.fill(Number.NaN) }),
      { code: 'ERR_NON_FINITE', path: 'advantage()[0]' },
    ],
    [
      'a negative clip scale',
      credit(grpo(), () => {}, { clipRange: (c: { advantages: Float64Array }) => c.advantages.map(() => -1) }),
      { code: 'ERR_RANGE', path: 'clipRange()[0]', expected: 'a finite number of at least 0' },
    ],
    [
      'a clip range of a gate without one',
      credit(real(), () => {}, { clipRange: () => [] }),
      { code: 'ERR_NO_EFFECT', path: 'clipRange' },
    ],
  ];
  testErrors(rows);
});

describe('loss', () => {
  const made = estimateAdvantages({ turns, groups: from.groups, outcome: from.outcome }, grpo());
  const rows: Row[] = [
    [
      'no rollout log-probs',
      loss(SAMPLER, (b) => delete b.rolloutLogProbs),
      { code: 'ERR_MISSING', path: 'rolloutLogProbs', expected: /corrects for the sampler/ },
    ],
    [
      'rollout log-probs that nobody reads',
      loss(grpo(), (b) => (b.rolloutLogProbs = from.oldLogProbs)),
      { code: 'ERR_NO_EFFECT', path: 'rolloutLogProbs', expected: /neither compares with them nor corrects/ },
    ],
    [
      'a rollout log-prob of NaN',
      loss(SAMPLER, (b) => {
        const spoiled = Float32Array.from(from.oldLogProbs);
        spoiled[lossToken] = Number.NaN;
        b.rolloutLogProbs = spoiled;
      }),
      { code: 'ERR_NON_FINITE', path: `rolloutLogProbs[${lossToken}]` },
    ],
    [
      'old log-probs where the sampler is the denominator',
      loss(
        estimator({ ...grpo(), ratio: { level: 'token', denominator: 'rollout' } }),
        (b) => (b.oldLogProbs = from.oldLogProbs),
      ),
      { code: 'ERR_NO_EFFECT', path: 'oldLogProbs', expected: /does not compare with them/ },
    ],
    ['no token weights', loss(WEIGHTED, (b) => delete b.tokenWeights), { code: 'ERR_MISSING', path: 'tokenWeights' }],
    [
      'a token weight of Infinity',
      loss(WEIGHTED, (b) => ((b.tokenWeights as Float64Array)[lossToken] = Number.POSITIVE_INFINITY)),
      { code: 'ERR_NON_FINITE', path: `tokenWeights[${lossToken}]` },
    ],
    [
      'token weights that nobody reads',
      loss(grpo(), (b) => (b.tokenWeights = new Float64Array(from.tokens))),
      { code: 'ERR_NO_EFFECT', path: 'tokenWeights' },
    ],
    [
      'an entropy bonus from log-probs',
      loss(BONUS, () => {}),
      { code: 'ERR_MISSING', path: 'logits', expected: /entropy bonus/, received: 'logProbs' },
    ],
    [
      'an entropy bonus with a deferred scale',
      () => policyLossSync({ ...fromLogits(from), credit: made }, BONUS, { rowScale: 'deferred' }),
      { code: 'ERR_ESTIMATOR', path: 'rowScale' },
    ],
    [
      'l1-target of given advantages without targets',
      () => {
        const { logProbs, oldLogProbs } = from;
        const advantages = new Float64Array(turns.count);
        return policyLossSync({ logProbs, oldLogProbs, turns, actionMask, advantages }, gbpo());
      },
      { code: 'ERR_MISSING', path: 'ratioTargets' },
    ],
    [
      'targets that no gate reads',
      () => {
        const { logProbs, oldLogProbs } = from;
        const advantages = new Float64Array(turns.count);
        return policyLossSync(
          { logProbs, oldLogProbs, turns, actionMask, advantages, ratioTargets: advantages },
          grpo(),
        );
      },
      { code: 'ERR_NO_EFFECT', path: 'ratioTargets' },
    ],
    [
      'clip scales of a gate without a clip range',
      () => {
        const { logProbs, oldLogProbs } = from;
        const advantages = new Float64Array(turns.count);
        const sigmoid = estimator({ ...grpo(), gate: { kind: 'sigmoid', temperature: { positive: 1, negative: 1 } } });
        return policyLossSync({ logProbs, oldLogProbs, turns, actionMask, advantages, clipScale: advantages }, sigmoid);
      },
      { code: 'ERR_NO_EFFECT', path: 'clipScale' },
    ],
    [
      'a coupled gate of given advantages',
      () => {
        const { logProbs, oldLogProbs } = from;
        const advantages = new Float64Array(turns.count);
        return policyLossSync({ logProbs, oldLogProbs, turns, actionMask, advantages }, real());
      },
      { code: 'ERR_MISSING', path: 'groups', expected: /compares the trajectories of a prompt/ },
    ],
    [
      'denominators without prompts of a mean over prompts',
      loss(real(), (b) => (b.denominators = { tokens: 500, turns: 500, sequences: 500 })),
      { code: 'ERR_MISSING', path: 'denominators.prompts' },
    ],
    [
      'raw signals of an estimator of functions without them',
      () => {
        const squashed = estimateAdvantages({ turns, groups: from.groups, outcome: from.outcome }, grpo(), {
          advantage: ({ advantages }) => advantages.map(Math.tanh),
        });
        const { logProbs, oldLogProbs, groups, outcome } = from;
        return policyLossSync({ logProbs, oldLogProbs, turns, actionMask, groups, outcome }, squashed.estimator);
      },
      { code: 'ERR_ESTIMATOR', path: 'advantage' },
    ],
    [
      'credit that was written into',
      () => {
        const spoiled = estimateAdvantages({ turns, groups: from.groups, outcome: from.outcome }, grpo());
        spoiled.clipScale.fill(Number.NaN);
        const { logProbs, oldLogProbs } = from;
        return policyLossSync({ logProbs, oldLogProbs, turns, actionMask, credit: spoiled }, grpo());
      },
      { code: 'ERR_NON_FINITE', path: 'credit.clipScale[0]' },
    ],
    [
      'a function beside credit',
      () =>
        policyLossSync(
          { logProbs: from.logProbs, oldLogProbs: from.oldLogProbs, turns, actionMask, credit: made },
          grpo(),
          { advantage: () => [] },
        ),
      { code: 'ERR_NO_EFFECT', path: 'advantage', expected: /raw signals/ },
    ],
    [
      'credit of functions with an estimator that does not say so',
      () => {
        const squashed = estimateAdvantages({ turns, groups: from.groups, outcome: from.outcome }, grpo(), {
          advantage: ({ advantages }) => advantages.map(Math.tanh),
        });
        return policyLossSync(
          { logProbs: from.logProbs, oldLogProbs: from.oldLogProbs, turns, actionMask, credit: squashed },
          grpo(),
        );
      },
      { code: 'ERR_ESTIMATOR', path: 'estimator.custom' },
    ],
  ];
  testErrors(rows);

  test('functions in one call = functions in credit; what they are told is theirs to spoil', () => {
    const functions = {
      advantage: (c: { advantages: Float64Array }) => c.advantages.map((a) => 2 * a),
      clipRange: (c: { clipScale: Float64Array; groups: Int32Array }) => {
        c.groups.fill(0);
        return c.clipScale.map(() => 0.5);
      },
    };
    const { logProbs, oldLogProbs, groups, outcome, informationGain } = from;
    const input = { turns, groups, outcome, informationGain };
    const credit = estimateAdvantages({ ...input, actionMask }, a2tgpo(), functions);
    expect(credit.estimator.custom).toEqual(['advantage', 'clipRange']);
    expect(credit.clipScale.every((scale) => scale === 0.5)).toBe(true);
    const direct = policyLossSync({ logProbs, oldLogProbs, actionMask, ...input }, a2tgpo(), functions);
    const apart = policyLossSync({ logProbs, oldLogProbs, turns, actionMask, credit }, credit.estimator);
    expect(direct.loss).toBe(apart.loss);
    expect(direct.loss).not.toBe(policyLossSync({ logProbs, oldLogProbs, actionMask, ...input }, a2tgpo()).loss);
  });

  test('functions of per-token methods see the same in one call as in credit: loss tokens alone', () => {
    const seen: number[] = [];
    const advantage = ({ advantages }: { advantages: Float64Array }) => {
      seen.push(advantages.length);
      const mean = advantages.reduce((sum, a) => sum + a, 0) / advantages.length;
      return advantages.map((a) => a - mean / 2);
    };
    const batch: Record<string, unknown> = { ...batchFor(ppo(), from) };
    const { logProbs, oldLogProbs, ...signals } = batch;
    const apart = estimateAdvantages(any(signals), ppo(), { advantage });
    const first = policyLossSync(any({ logProbs, oldLogProbs, turns, actionMask, credit: apart }), apart.estimator);
    expect(policyLossSync(any(batch), ppo(), { advantage }).loss).toBe(first.loss);
    expect(new Set(seen)).toEqual(new Set([apart.denominators.tokens]));
  });

  test('cispo without the bound that its paper leaves open', () => {
    expect(() => cispo(any({}))).toThrow(/high: expected/);
  });
});
