/** Uses that must compile: read by the type checker only (test/types.test.ts), never run. */
import {
  a2tgpo,
  type Credit,
  type Denominators,
  type Estimator,
  estimateAdvantages,
  estimator,
  gatherLogProbsSync,
  grpo,
  info,
  policyLoss,
  policyLossSync,
  segmentTurns,
  sumDenominators,
  Tensor,
  type Turns,
  tensor,
} from '../../lib/index.js';

declare const f32: Float32Array;
declare const ids: Int32Array;
declare const mask: Uint8Array;
declare const turns: Turns;
declare const signals: { groups: number[]; outcome: number[]; informationGain: Float64Array };

export const segmented: Turns = segmentTurns({
  trajectoryOffsets: ids,
  tokens: ids,
  delimiters: { open: 1, close: 2 },
});

/** The gradient comes back in the kind of array that went in. */
const base = { targets: ids, oldLogProbs: f32, turns, actionMask: mask };
export const plain: Float32Array = policyLossSync({ ...base, logits: f32, ...signals }, a2tgpo()).grad.logits;
const bf16 = Tensor.alloc([3, 5], 'bf16');
export const half: Tensor<'bf16'> = policyLossSync({ ...base, logits: bf16, ...signals }, a2tgpo(), { inPlace: true })
  .grad.logits;
export const bits: Uint16Array = half.data;
export const borrowed: Tensor<'f32'> = policyLossSync({ ...base, logits: tensor(f32, [3, 5]), ...signals }, a2tgpo())
  .grad.logits;
export const fromLogProbs: Float32Array = policyLossSync({ logProbs: f32, oldLogProbs: f32, advantages: f32 }, grpo())
  .grad.logProbs;

/** dtypes that an array implies need not be said. */
export const integers: Tensor<'int32'> = tensor(ids, [3]);
export const doubles: Tensor<'f64'> = tensor(new Float64Array(3), [3]);
export const bytes: Tensor<'u8'> = tensor(mask, [3]);
export const f16: Tensor<'f16'> = tensor(new Uint16Array(3), [3], 'f16');

/** Credit from each of the three sources. */
const credit: Credit = estimateAdvantages({ turns, ...signals }, a2tgpo());
const tokens = { logProbs: f32, oldLogProbs: f32, turns, actionMask: mask };
export const losses: number[] = [
  policyLossSync({ ...tokens, credit: credit.slice([0, 1]) }, credit.estimator).loss,
  policyLossSync({ ...tokens, advantages: [1, 2], clipScale: [1, 1], denominators: credit.denominators }, a2tgpo())
    .loss,
  policyLossSync({ ...tokens, ...signals, denominators: sumDenominators([credit.denominators]) }, a2tgpo()).loss,
];
export const merged: Denominators = estimateAdvantages.fromRows([credit.rows()], a2tgpo()).denominators;

/** Estimators are made of each other. */
export const mine: Estimator = estimator({
  ...a2tgpo(),
  name: 'mine',
  aggregate: 'turn-mean-token-mean',
  kl: { coef: 1e-3, estimator: 'k3' },
});
export const ratio: Estimator = estimator({
  ...mine,
  ratio: { level: 'turn', form: 'true', clamp: { low: null, high: 10 } },
});

export async function later(signal: AbortSignal): Promise<number> {
  const { grad, metrics } = await policyLoss({ ...base, logits: bf16, ...signals }, mine, {
    signal,
    rowScale: 'deferred',
  });
  const scale: Float32Array | undefined = grad.rowScale;
  return (scale?.length ?? 0) + (metrics.kl ?? 0) + (metrics.groups?.[0].singletons ?? 0);
}

export const entropy: Float32Array = gatherLogProbsSync(
  { logits: bf16, targets: [1, 2, 3] },
  { temperature: 0.7 },
).entropy;
export const targets: readonly string[] = info().simd?.supported ?? [];

export function disposes(): number {
  using scratch = Tensor.alloc([2], 'f32');
  return scratch.size;
}

/** With logits on a GPU any array of the batch may be there; what comes back is there. */
const onGpu = Tensor.alloc([3, 5], 'bf16', 'cuda');
declare const deviceIds: Tensor<'int32', 'cuda'>;
declare const deviceReals: Tensor<'f32', 'cuda'>;
const there = policyLossSync(
  { logits: onGpu, targets: deviceIds, oldLogProbs: deviceReals, turns, actionMask: mask, ...signals },
  a2tgpo(),
  { device: 'cuda', rowScale: 'deferred', out: { logits: onGpu } },
);
export const deviceGradient: Tensor<'bf16', 'cuda'> = there.grad.logits;
export const deviceArrays: (Tensor<'f32', 'cuda'> | undefined)[] = [there.logProbs, there.entropy, there.grad.rowScale];
export const deviceLoss: number = there.loss;
export const rawOnGpu: Promise<{ readonly loss: number }> = policyLoss(
  { logits: onGpu, targets: ids, oldLogProbs: f32, trajectoryOffsets: deviceIds, turnIds: deviceIds, ...signals },
  a2tgpo(),
);
export const rawOnHost: number = policyLossSync(
  { logits: f32, targets: ids, oldLogProbs: f32, trajectoryOffsets: ids, turnIds: ids, ...signals },
  a2tgpo(),
).loss;
export const deviceLogProbs: Tensor<'f32', 'cuda'> = policyLossSync(
  { logProbs: deviceReals, oldLogProbs: f32, turns, advantages: f32 },
  grpo(),
).grad.logProbs;
export const gathered: Tensor<'f64', 'cuda'> = gatherLogProbsSync({ logits: onGpu, targets: deviceIds }).logSumExp;

/** To a device and back. */
export async function copies(): Promise<Uint16Array> {
  const moved: Tensor<'f32', 'cuda'> = await tensor(f32, [3]).to('cuda');
  const address: Tensor<'f32', 'cuda'> = Tensor.fromPointer(4096n, [3], 'f32');
  const back: Tensor<'f32'> = (address.disposed ? moved : address).toHostSync();
  return (await onGpu.toHost()).data.subarray(back.size);
}
