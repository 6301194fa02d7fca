/** Presets over trees of shared turns: the AT²PO and ARPO releases, and numbers worked out by hand. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type AtpoOptions, arpo, atpo, estimateAdvantages, grpo, portool, segmentTurns } from '../../lib/index.js';
import { DEVICES } from '../support/backends.js';
import { expectAdvantages, expectLoss, loadRelease, type Release } from './release.js';

/** 16 digits printed. */
const TOLERANCE = 1e-12;

interface TreeNode {
  parent: number;
  tokens: number;
  entropy: number;
  reward?: number;
}

interface TreeCase {
  trees: 'trees' | 'singleLeafTrees';
  options: Record<string, unknown>;
  nodeValue: number[][];
  nodeAdvantage: number[][];
}

const TREES: { inputs: Record<string, TreeNode[][]>; cases: Record<string, TreeCase> } = JSON.parse(
  readFileSync(new URL('../golden/releases/at2po-tree.json', import.meta.url), 'utf8'),
);

/** A trajectory for every leaf, a turn for every node on its path but the root. */
function rolloutsOf(trees: readonly TreeNode[][]) {
  const paths = trees.flatMap((tree, prompt) =>
    tree.flatMap(({ reward }, leaf) => {
      if (reward === undefined) return [];
      const path: number[] = [];
      for (let node = leaf; node > 0; node = tree[node].parent) path.unshift(node);
      return [{ prompt, path, reward }];
    }),
  );
  const trajectoryOffsets = [0];
  const turnIds: number[] = [];
  for (const { prompt, path } of paths) {
    path.forEach((node, index) => {
      turnIds.push(...new Array(trees[prompt][node].tokens).fill(index));
    });
    trajectoryOffsets.push(turnIds.length);
  }
  const visits = paths.flatMap(({ prompt, path }) => path.map((node) => ({ prompt, node })));
  return {
    visits,
    batch: {
      turns: segmentTurns({ trajectoryOffsets, turnIds }, { device: 'reference' }),
      groups: paths.map(({ prompt }) => prompt),
      outcome: paths.map(({ reward }) => reward),
      nodes: visits.map(({ node }) => node),
    },
    turnEntropies: visits.map(({ prompt, node }) => trees[prompt][node].entropy),
  };
}

const BACKUPS = { child_mean: 'child-mean', child_softmax: 'child-softmax', leaf_mean: 'leaf-mean' } as const;
const ADVANTAGES = {
  node_value: 'value',
  diff_parent: 'parent',
  diff_global: 'root',
  diff_localglobal: 'parent-and-root',
} as const;

const isKnown = (name: unknown): name is keyof typeof ADVANTAGES => String(name) in ADVANTAGES;
const CASES = Object.keys(TREES.cases).filter((name) => isKnown(TREES.cases[name].options.node_adv_mode));

/** The release's losses name their inputs alike. */
function withInputs(release: Release, common: object): Release {
  const cases = Object.entries(release.cases).map(([name, own]) => [name, { ...common, ...own }]);
  return { ...release, cases: Object.fromEntries(cases) };
}
const LOSSES = withInputs(loadRelease('at2po-losses'), { old: 'old', advantages: 'advantages' });
const ARPO = loadRelease('arpo');
const ARPO_LOSSES = withInputs(
  { ...ARPO, cases: { 'ppo.token-mean': ARPO.cases['ppo.token-mean'] } },
  { old: 'old', logProbs: 'wide', advantages: 'advantages' },
);

describe.each(DEVICES)('%s', (device) => {
  test('every node advantage of the release but its plain GRPO is here', () => {
    expect(CASES.length).toBeGreaterThan(15);
  });

  test.each(CASES)('atpo: %s', (name) => {
    const { trees, options, nodeAdvantage } = TREES.cases[name];
    const backup = BACKUPS[options.node_value_mode as keyof typeof BACKUPS];
    const estimator = atpo({
      backup,
      nodeAdvantage: ADVANTAGES[options.node_adv_mode as keyof typeof ADVANTAGES],
      normalize: options.leaf_value_norm as boolean,
    } satisfies AtpoOptions);
    const { visits, batch, turnEntropies } = rolloutsOf(TREES.inputs[trees]);
    const signals = { ...batch, ...(backup === 'child-softmax' ? { turnEntropies } : {}) };
    const { advantages } = estimateAdvantages(signals, estimator, { device });
    const expected = visits.map(({ prompt, node }) => nodeAdvantage[prompt][node]);
    // The sums of a tree cancel to 1e-17 of its leaves, so the scale is that of the leaves.
    const scale = Math.max(1, ...expected.map(Math.abs));
    advantages.forEach((value, k) => {
      expect(Math.abs(value - expected[k]), `turn ${k}`).toBeLessThan(TOLERANCE * scale);
    });
  });

  test('atpo: the defaults are the release’s script', () => {
    expect(atpo()).toEqual(
      atpo({ backup: 'child-softmax', nodeAdvantage: 'value', normalize: true, clip: [3e-3, 4e-3] }),
    );
  });

  test('atpo: a prompt of equal leaves is exactly 0', () => {
    const { visits, batch, turnEntropies } = rolloutsOf(TREES.inputs.trees);
    const { advantages } = estimateAdvantages({ ...batch, turnEntropies }, atpo(), { device });
    const constant = advantages.filter((_, k) => visits[k].prompt === 2);
    expect([...constant]).toEqual(new Array(constant.length).fill(0));
  });

  test('atpo: rollouts without branches have their own outcome on every turn', () => {
    const turns = segmentTurns({ trajectoryOffsets: [0, 2, 3], turnIds: [0, 1, 0] }, { device });
    const batch = { turns, groups: [1, 1], outcome: [1, 0], nodes: [0, 1, 2] };
    const z = 0.5 / (0.5 + 1e-6);
    const { advantages } = estimateAdvantages(batch, atpo({ backup: 'leaf-mean' }), { device });
    expect([...advantages]).toEqual([z, z, -z]);
  });

  test.each(['gspo_turn.near', 'gspo_turn.lp', 'gspo_turn.wide'])('atpo, loss: %s', (name) => {
    const clip = { near: [3e-3, 4e-3], lp: [0.1, 0.15], wide: [0.2, 0.28] }[name.slice(10)] as [number, number];
    expectLoss([LOSSES, name], atpo({ clip }), device);
  });

  test('arpo: the release’s advantage and loss', () => {
    const outcome = ARPO.rows('outcome');
    // It divides the reward of a group of one, as verl does: 1e-6 of it.
    expectAdvantages([ARPO, 'grpo'], { outcome }, arpo({ singleton: 'raw' }), device, 1e-6);
    const without = { ...ARPO, groups: ARPO.groups.map((group) => (group === 3 ? 2 : group)) };
    const same = (estimator: ReturnType<typeof arpo>) =>
      estimateAdvantages({ trajectoryOffsets: without.trajectoryOffsets, groups: without.groups, outcome }, estimator, {
        device,
      });
    expect(same(arpo()).advantages).toEqual(same(grpo()).advantages);
    // 1e-8 beside the tokens of the release.
    expectLoss([ARPO_LOSSES, 'ppo.token-mean'], arpo({ dual: 3 }), device, { tolerance: 1e-9 });
  });

  /** Two turns each; trajectories 0 and 1 share the first, 2 is alone. */
  const turns = segmentTurns({ trajectoryOffsets: [0, 2, 4, 6], turnIds: [0, 1, 0, 1, 0, 1] }, { device });
  const shared = { turns, groups: [5, 5, 5], nodes: [0, 1, 0, 2, 3, 4] };

  test('arpo, hard: shared turns have the mean of their trajectories', () => {
    // Outcomes 3, 0, 0: mean 1, sample variance 3.
    const batch = { ...shared, outcome: [3, 0, 0] };
    const { advantages } = estimateAdvantages(batch, arpo({ attribution: 'hard' }), { device });
    const sd = Math.sqrt(3) + 1e-6;
    [0.5, 2, 0.5, -1, -1, -1].forEach((x, k) => {
      expect(advantages[k]).toBeCloseTo(x / sd, 14);
    });
    const soft = estimateAdvantages({ turns, groups: shared.groups, outcome: batch.outcome }, arpo(), { device });
    expect([...soft.advantages]).toEqual([2, 2, -1, -1, -1, -1].map((x) => x / sd));
  });

  test('portool by hand: against siblings, and against the prompt', () => {
    const batch = { ...shared, outcome: [1, 0, 0], turnRewards: [0.2, 0, 0.2, 0.1, 0, 0.3] };
    const estimator = portool({ forkWeight: 2, trajectoryWeight: 0.5 });
    const { advantages } = estimateAdvantages(batch, estimator, { device });
    // First turns: nodes 0 (0.5 + 0.2) and 3 (0): ±0.35. Below node 0: 1 + 0 and 0 + 0.1: ±0.45. Node 4 is an only child.
    const fork = [0.35, 0.45, 0.35, -0.45, -0.35, 0];
    const trajectory = [2 / 3, 2 / 3, -1 / 3, -1 / 3, -1 / 3, -1 / 3];
    advantages.forEach((value, k) => {
      expect(value, `turn ${k}`).toBeCloseTo(2 * fork[k] + 0.5 * trajectory[k], 14);
    });
  });
});
