/** Uses that must not compile: each line below a `@ts-expect-error` is an error of its own kind, or this file is. */
import {
  a2tgpo,
  type Credit,
  type Estimator,
  estimateAdvantages,
  estimator,
  gatherLogProbsSync,
  grpo,
  policyLossSync,
  segmentTurns,
  Tensor,
  type Turns,
  tensor,
} from '../../lib/index.js';

declare const f32: Float32Array;
declare const f64: Float64Array;
declare const ids: Int32Array;
declare const turns: Turns;
declare const credit: Credit;
declare const mine: Estimator;

const logProbs = { logProbs: f32, oldLogProbs: f32, turns };
const logits = { logits: f32, targets: ids, oldLogProbs: f32, turns };
const advantages = [1];

// ---- one source of credit
// @ts-expect-error credit together with advantages
policyLossSync({ ...logProbs, credit, advantages }, mine);
// @ts-expect-error credit together with raw signals
policyLossSync({ ...logProbs, credit, groups: [1] }, mine);
// @ts-expect-error advantages together with raw signals
policyLossSync({ ...logProbs, advantages, groups: [1] }, mine);
// @ts-expect-error no source of credit
policyLossSync(logProbs, mine);
// @ts-expect-error advantages of words
policyLossSync({ ...logProbs, advantages: ['1'] }, mine);
// @ts-expect-error a level that advantages do not have
policyLossSync({ ...logProbs, advantages, advantageLevel: 'sequence' }, mine);

// ---- logits or log-probs
// @ts-expect-error both
policyLossSync({ ...logits, logProbs: f32, advantages }, mine);
// @ts-expect-error targets beside log-probs
policyLossSync({ ...logProbs, targets: ids, advantages }, mine);
// @ts-expect-error logits in float64
policyLossSync({ ...logits, logits: f64, advantages }, mine);
// @ts-expect-error bits without a dtype
policyLossSync({ ...logits, logits: new Uint16Array(4), advantages }, mine);
// @ts-expect-error a tensor of integers
policyLossSync({ ...logits, logits: Tensor.alloc([2], 'int32'), advantages }, mine);
// @ts-expect-error old log-probs in float64
policyLossSync({ ...logits, oldLogProbs: f64, advantages }, mine);

// ---- options that do not exist there
// @ts-expect-error temperature belongs to logits
policyLossSync({ ...logProbs, advantages }, mine, { temperature: 1 });
// @ts-expect-error in place of what
policyLossSync({ ...logProbs, advantages }, mine, { inPlace: true });
// @ts-expect-error deferred row scale of log-probs
policyLossSync({ ...logProbs, advantages }, mine, { rowScale: 'deferred' });
// @ts-expect-error a gradient of logits from log-probs
policyLossSync({ ...logProbs, advantages }, mine, { out: { logits: f32 } });
// @ts-expect-error a misspelled option
policyLossSync({ ...logits, advantages }, mine, { inplace: true });
// @ts-expect-error a blocking call cannot be aborted
policyLossSync({ ...logits, advantages }, mine, { signal: new AbortController().signal });
// @ts-expect-error a device that does not exist
policyLossSync({ ...logits, advantages }, mine, { device: 'gpu' });
// @ts-expect-error gathering has no gradient to scale
gatherLogProbsSync({ logits: f32, targets: ids }, { gradScale: 2 });

// ---- results keep their kind
// @ts-expect-error a tensor gives a tensor
policyLossSync({ ...logits, logits: Tensor.alloc([2, 2], 'f16'), advantages }, mine).grad.logits satisfies Float32Array;
// @ts-expect-error log-probs have no gradient of logits
void policyLossSync({ ...logProbs, advantages }, mine).grad.logits;
// @ts-expect-error a Uint16Array implies no dtype
tensor(new Uint16Array(2), [2]);
// @ts-expect-error data of another dtype
tensor(f64, [2], 'f32');

// ---- estimators without effectless options
// @ts-expect-error cliprange is clip
a2tgpo({ cliprange: [0.1, 0.1] });
// @ts-expect-error a mode that does not exist
a2tgpo({ mode: 'turn' });
// @ts-expect-error alpha belongs to turn-group-v1d
a2tgpo({ mode: 'joint', alpha: 0.3 });
// @ts-expect-error nothing is divided by
grpo({ scale: 'none', eps: 1e-6 });
// @ts-expect-error three clip bounds
grpo({ clip: [0.1, 0.2, 0.3] });
// @ts-expect-error a value clamp is k3's
grpo({ kl: { coef: 1, estimator: 'k1', valueClamp: 10 } });
// @ts-expect-error a horizon belongs to its aggregate
grpo({ aggregate: 'seq-mean-token-sum-norm' });
// @ts-expect-error a form at token level
estimator({ ...mine, ratio: { level: 'token', form: 'true' } });
// @ts-expect-error no form at turn level
estimator({ ...mine, ratio: { level: 'turn' } });
// @ts-expect-error a gamma of a sum
estimator({ ...mine, combine: { kind: 'sum', gamma: 1 } });
// @ts-expect-error an estimator is frozen
mine.aggregate = 'token-sum';

// ---- phase A
// @ts-expect-error groups are needed
estimateAdvantages({ turns, outcome: [1] }, mine);
// @ts-expect-error rows are data, not credit
estimateAdvantages.fromRows(credit, mine);
// @ts-expect-error spans have starts and ends
segmentTurns({ trajectoryOffsets: ids, spans: { starts: ids } });
// @ts-expect-error turns are made by segmentTurns, whose result is read-only
turns.count = 3;

// ---- devices
declare const device: Tensor<'f32', 'cuda'>;
declare const deviceIds: Tensor<'int32', 'cuda'>;
const gpuLogits = Tensor.alloc([2, 2], 'f16', 'cuda');
const onGpu = { logits: gpuLogits, targets: deviceIds, oldLogProbs: device, turns, advantages };
// @ts-expect-error elements on a GPU
device.data.length;
// @ts-expect-error a tensor is in host memory where nothing else is said
Tensor.alloc([2], 'f32') satisfies Tensor<'f32', 'cuda'>;
// @ts-expect-error a tensor in host memory is none on a GPU
tensor(f32, [2]) satisfies Tensor<'f32', 'cuda'>;
// @ts-expect-error nor the other way round
device satisfies Tensor<'f32'>;
// @ts-expect-error a device that does not exist
Tensor.alloc([2], 'f32', 'metal');
// @ts-expect-error host logits with old log-probs on a GPU
policyLossSync({ ...logits, oldLogProbs: device, advantages }, mine);
// @ts-expect-error host logits with targets on a GPU
gatherLogProbsSync({ logits: f32, targets: deviceIds });
// @ts-expect-error targets of reals
policyLossSync({ ...onGpu, targets: device }, mine);
// @ts-expect-error old log-probs in a tensor in host memory
policyLossSync({ ...onGpu, oldLogProbs: tensor(f32, [2]) }, mine);
// @ts-expect-error advantages in float32 on a GPU
policyLossSync({ ...onGpu, advantages: device }, mine);
// @ts-expect-error tensors on a GPU run there
policyLossSync(onGpu, mine, { device: 'cpu' });
// @ts-expect-error their gradient is written there
policyLossSync(onGpu, mine, { out: { logits: Tensor.alloc([2, 2], 'f16') } });
// @ts-expect-error and stays there
policyLossSync(onGpu, mine).grad.logits satisfies Tensor<'f16'>;
// @ts-expect-error so do the log-probs
policyLossSync(onGpu, mine).logProbs satisfies Float32Array;
// @ts-expect-error phase A takes host arrays
estimateAdvantages({ turns, groups: deviceIds }, mine);
// @ts-expect-error so does segmentation
segmentTurns({ trajectoryOffsets: ids, turnIds: deviceIds });
