/** What a Credit is after the call that made it: its own copy of everything, sliceable, and honest about its denominators. */
import { describe, expect, it } from 'vitest';
import { a2tgpo, estimateAdvantages, estimator, grpo, policyLossSync, segmentTurns, tensor } from '../lib/index.js';

const trajectoryOffsets = Int32Array.of(0, 5, 9, 14, 18);
const actionMask = Uint8Array.of(1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 1);
const turns = segmentTurns({ trajectoryOffsets, actionMask });
const NONE = Number.NaN;
/** Without an aggregate by sequences, so that tokens alone are a batch. */
const GRPO = grpo({ aggregate: 'token-mean' });
const make = () => ({
  turns,
  groups: Int32Array.of(0, 0, 1, 1),
  outcome: Float64Array.of(1, 0, 0.5, 0.25),
  informationGain: Float64Array.of(0.3, NONE, -0.1, NONE, 0.7, NONE, 0.2, NONE),
});

describe('Credit', () => {
  it('does not change when the caller reuses or transfers its arrays', () => {
    const input = make();
    const credit = estimateAdvantages(input, a2tgpo());
    const before = JSON.stringify(credit.rows());
    input.groups.fill(9);
    input.outcome.fill(-1);
    structuredClone(0, { transfer: [input.informationGain.buffer] });
    expect(JSON.stringify(credit.rows())).toBe(before);
    expect(credit.slice([1]).rows().trajectories).toEqual(credit.rows().trajectories.slice(1, 2));
  });

  it('a micro-batch keeps the denominators, a mini-batch counts its own', () => {
    const credit = estimateAdvantages(make(), a2tgpo());
    expect(credit.denominators).toEqual({ tokens: 13, turns: 8, sequences: 4, prompts: 2 });
    expect(credit.slice([0, 3]).denominators).toEqual(credit.denominators);
    const mini = credit.slice([0, 3], { denominators: 'own' });
    // Trajectory 0 has 4 loss tokens in 2 turns, trajectory 3 has 3 in 2.
    expect(mini.denominators).toEqual({ tokens: 7, turns: 4, sequences: 2, prompts: 2 });
    expect(mini.slice([3]).denominators).toEqual(mini.denominators);
    expect(mini.advantages).toEqual(credit.slice([0, 3]).advantages);
  });

  it('is sliced by its own ids, of any kind and size', () => {
    const ids = [2 ** 40, 5, -3, 0];
    const credit = estimateAdvantages({ ...make(), trajectoryIds: ids }, a2tgpo());
    expect(credit.slice(credit.trajectoryIds).advantages).toEqual(credit.advantages);
    expect(credit.slice(Int32Array.of(5)).advantages).toEqual(credit.slice([5]).advantages);
    const merged = estimateAdvantages.fromRows(JSON.parse(JSON.stringify(credit.rows())), a2tgpo());
    expect(Array.from(merged.trajectoryIds)).toEqual([-3, 0, 5, 2 ** 40]);
    expect(merged.slice(ids).advantages).toEqual(credit.advantages);
  });

  it('signals whose squares would overflow are refused, and credit that overflows all the same', () => {
    const { informationGain: _, ...input } = { ...make(), outcome: [1e200, -1e200, 0, 1] };
    for (const device of ['cpu', 'reference'] as const) {
      const run = () => estimateAdvantages(input, grpo(), { device });
      expect(run, device).toThrow(/outcome\[0\]: expected a magnitude of at most 1e\+150/);
    }
  });

  it('without centre and scale a group of one keeps its raw value', () => {
    const reinforce = estimator({
      ...grpo(),
      name: 'reinforce',
      channels: [{ signal: 'outcome', group: { kind: 'prompt' }, center: { kind: 'none' }, scale: { kind: 'none' } }],
    });
    const { informationGain: _, ...input } = { ...make(), groups: [0, 1, 2, 3] };
    const { advantages } = estimateAdvantages(input, reinforce);
    expect(Array.from(advantages)).toEqual([1, 1, 0, 0, 0.5, 0.5, 0.25, 0.25]);
  });

  it('lastTurn "signal" lets the last turn have a gain of its own', () => {
    const input = make();
    input.informationGain.fill(0.5, 1, 2);
    expect(() => estimateAdvantages(input, a2tgpo())).toThrow(/lastTurn: "signal"/);
    const credit = estimateAdvantages(input, a2tgpo({ lastTurn: 'signal' }));
    expect(credit.groupStats[0].members).toBe(5);
  });
});

describe('policyLossSync beside a Credit', () => {
  const N = actionMask.length;
  const V = 3;
  const arrays = () => ({
    logits: Float32Array.from({ length: N * V }, (_, i) => Math.sin(i)),
    targets: Int32Array.from({ length: N }, (_, n) => n % V),
    oldLogProbs: new Float32Array(N).fill(-1),
    turns,
    actionMask,
  });

  it('a NaN in oldLogProbs is found before anything is overwritten', () => {
    const batch = { ...arrays(), credit: estimateAdvantages(make(), a2tgpo()) };
    batch.oldLogProbs[13] = Number.NaN;
    const before = batch.logits.slice();
    expect(() => policyLossSync(batch, a2tgpo(), { inPlace: true })).toThrow(/oldLogProbs\[13\].*NaN/);
    expect(batch.logits).toEqual(before);
  });

  it('advantages alone do not silently drop the adaptive clip range', () => {
    const { advantages, clipScale } = estimateAdvantages(make(), a2tgpo());
    expect(() => policyLossSync({ ...arrays(), advantages }, a2tgpo())).toThrow(/clipScale/);
    expect(policyLossSync({ ...arrays(), advantages, clipScale }, a2tgpo()).loss).toBe(
      policyLossSync({ ...arrays(), credit: estimateAdvantages(make(), a2tgpo()) }, a2tgpo()).loss,
    );
  });

  it('a turn ratio needs turns, from every source of credit', () => {
    const { turns: _, actionMask: __, ...noTurns } = arrays();
    const batch = { ...noTurns, trajectoryOffsets, advantages: [1, 1, 1, 1], clipScale: [1, 1, 1, 1] };
    expect(() => policyLossSync(batch, a2tgpo())).toThrow(/turns: expected turns/);
  });

  it('an input that lies where the gradient is written is refused', () => {
    const memory = new Float32Array(N * V);
    const batch = { ...arrays(), logits: memory, oldLogProbs: memory.subarray(0, N) };
    const credit = estimateAdvantages(make(), a2tgpo());
    expect(() => policyLossSync({ ...batch, credit }, a2tgpo(), { inPlace: true })).toThrow(
      /oldLogProbs.*memory apart/,
    );
  });

  it('denominators smaller than the batch itself are refused', () => {
    const { advantages } = estimateAdvantages(make(), a2tgpo());
    const denominators = { tokens: 1, turns: 1, sequences: 1 };
    expect(() => policyLossSync({ ...arrays(), advantages, denominators }, GRPO)).toThrow(/denominators.tokens/);
  });

  it('an overflowing ratio is an error, not an infinite loss', () => {
    const unclamped = estimator({ ...GRPO, ratio: { level: 'token', clamp: { low: null, high: null } } });
    const batch = {
      logProbs: new Float32Array(2),
      oldLogProbs: Float32Array.of(-1000, -1),
      advantages: [-1, -1],
      advantageLevel: 'token',
    } as const;
    expect(() => policyLossSync(batch, unclamped)).toThrow(/loss: expected a finite loss/);
    expect(policyLossSync(batch, unclamped, { nonFinite: 'propagate' }).loss).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('a gradient beyond its dtype is an error', () => {
  const advantages = [8, 8];
  const base = {
    targets: Int32Array.of(0, 1),
    oldLogProbs: Float32Array.of(-1, -1),
    advantages,
    advantageLevel: 'token' as const,
  };
  const logits = () => new Float32Array(6);

  it('float32, applied and deferred', () => {
    const run = (options: object) => () => policyLossSync({ ...base, logits: logits() }, GRPO, options);
    expect(run({ gradScale: 3e38, temperature: 0.1 })).toThrow(/grad\.logits\[0\]: expected a gradient within f32/);
    expect(run({ gradScale: 3e38, rowScale: 'deferred' })).toThrow(/grad\.rowScale\[0\]/);
    // Unscaled rows are within 1 / T, whatever gradScale is.
    expect(run({ gradScale: 1e37, temperature: 1e-2, rowScale: 'deferred' })).not.toThrow();
  });

  it('float16 ends at 65504', () => {
    const half = tensor(new Uint16Array(6), [2, 3], 'f16');
    const run = () => policyLossSync({ ...base, logits: half }, GRPO, { gradScale: 1e6 });
    expect(run).toThrow(/within f16/);
  });

  it('log-probs', () => {
    const { targets: _, ...rest } = base;
    const batch = { ...rest, logProbs: Float32Array.of(-1, -1) };
    expect(() => policyLossSync(batch, GRPO, { gradScale: 3e38 })).toThrow(/grad\.logProbs\[0\]/);
  });

  it('an output over the log-probs themselves is refused', () => {
    const logProbs = Float32Array.of(-1, -1);
    const { targets: _, ...rest } = base;
    expect(() => policyLossSync({ ...rest, logProbs }, GRPO, { out: { logProbs } })).toThrow(/memory apart/);
  });
});

describe('fromRows', () => {
  const row = { group: 0, index: [0], tokens: [1_200_000_000] };
  const part = (trajectories: object[], signals: object = { outcome: 'sequence' }) =>
    ({ version: 1, signals, trajectories }) as never;

  it('counts more loss tokens than an int32 holds', () => {
    const rows = [0, 1, 2].map((id) => ({ ...row, id, values: { outcome: id } }));
    const credit = estimateAdvantages.fromRows(part(rows), grpo());
    expect(credit.denominators.tokens).toBe(3_600_000_000);
    expect(Array.from(credit.advantages, Math.sign)).toEqual([-1, 0, 1]);
  });

  it('misses an outcome that the rows promise, and refuses one per turn', () => {
    const without = { ...row, id: 0, values: {} };
    expect(() => estimateAdvantages.fromRows(part([without]), grpo())).toThrow(/trajectories\[0\]\.values\.outcome/);
    expect(() => estimateAdvantages.fromRows(part([], { outcome: 'turn' }), grpo())).toThrow(/rows\[0\]\.signals/);
  });
});
