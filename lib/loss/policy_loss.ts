import { Fields } from '../check/fields.js';
import { type CustomFunctions, readCustom } from '../credit/custom.js';
import { estimator as checkEstimator } from '../estimator/estimator.js';
import type { EstimatorInput } from '../estimator/types.js';
import type { ArrayAt } from '../tensor/column.js';
import { type GivenLogProbs, type LogitsBatch, type LogProbsBatch, placeOf, readBatch } from './batch.js';
import { fromLogProbs } from './from_log_probs.js';
import { fromLogits } from './from_logits.js';
import type { AnyLogits, Like, Logits, PlaceOf } from './logits.js';
import type { Metrics } from './metrics.js';
import { type AsyncOptions, type CallOptions, NON_FINITE, readBackend, readSignal } from './options.js';
import { type Prepared, prepareIn, runAsync, runSync } from './run.js';

export interface LogitsOptions<L extends AnyLogits = Logits> extends CallOptions<PlaceOf<L>>, CustomFunctions {
  /** softmax(logits / temperature). Default 1. */
  temperature?: number | undefined;
  /** Overwrite logits with their gradient. */
  inPlace?: boolean | undefined;
  /** Where to write the gradient: an array of the kind of `logits`, where they are. */
  out?: { logits: Like<L> } | undefined;
  /** Multiplies the gradient before it is rounded to the logits' dtype. Default 1. */
  gradScale?: number | undefined;
  /**
   * 'applied' (default): grad.logits is dLoss/dLogits. 'deferred': grad.logits is d logProb / d logits, unscaled, and grad.rowScale [N] the factor
   * of each row: exact, one pass at every ratio level, and apt to be applied to the hidden states instead.
   */
  rowScale?: 'applied' | 'deferred' | undefined;
}

export interface LogProbsOptions<P extends GivenLogProbs = Float32Array>
  extends CallOptions<PlaceOf<P>>,
    CustomFunctions {
  /** Multiplies the gradient. Default 1. */
  gradScale?: number | undefined;
  /** Where to write the gradient. */
  out?: { logProbs: ArrayAt<'f32', PlaceOf<P>> } | undefined;
}

/** Arrays are where the logits are; tensors on a device are the caller's to dispose of. */
export interface LogitsResult<L extends AnyLogits> {
  readonly loss: number;
  readonly grad: {
    /** dLoss/dLogits [N, V]. */
    readonly logits: Like<L>;
    /** [N], with rowScale: 'deferred': dLoss/dLogits = rowScale ⊙ grad.logits. */
    readonly rowScale?: ArrayAt<'f32', PlaceOf<L>>;
  };
  /** [N] log π(targets); 0 outside the loss. */
  readonly logProbs: ArrayAt<'f32', PlaceOf<L>>;
  /** [N] entropy in nats; 0 outside the loss. */
  readonly entropy: ArrayAt<'f32', PlaceOf<L>>;
  readonly metrics: Metrics;
}

export interface LogProbsResult<P extends GivenLogProbs = Float32Array> {
  readonly loss: number;
  /** dLoss/dLogProbs [N]; 0 outside the loss. */
  readonly grad: { readonly logProbs: ArrayAt<'f32', PlaceOf<P>> };
  readonly logProbs: ArrayAt<'f32', PlaceOf<P>>;
  readonly metrics: Metrics;
}

/**
 * Policy loss and gradient of a batch: log-probs gathered from logits, importance ratio, gate, KL, aggregation, and dLogits in the same pass
 * over memory. Credit comes from `credit` (phase A, micro-batches), `advantages`, or raw signals.
 *
 *   loss = Σ_t w_t (f(ρ_t, A_t) + coef KL_t),   dLogits[n, v] = dLoss/dLogProb_n ([v = target_n] - softmax(logits_n / T)_v) / T
 *
 * The result does not depend on threads, on the order of trajectories or on other rows, bit for bit.
 *
 * From raw signals it is one native call: instead of `turns` the batch may hold what they are found by (turnIds, tokens with delimiters,
 * spans, or the runs of 1 of actionMask), with trajectoryOffsets. What is said of the turns is then checked when they are found, so that
 * such an error comes after the work.
 *
 * With logits (or logProbs) in tensors on a GPU the call runs there, any array of the batch may be a tensor there, and the results stay
 * there; numbers come back. What is in such arrays is checked on the device: the errors are the same, but a gain of a last turn, a
 * negative clip scale and a baseline or value that is missing are not looked for.
 *
 * @throws InvalidInputError before any compute, but for what only reading shows: rows that are not finite (see `nonFinite`) or too large,
 * ERR_SINGLETON, and a credit, loss or gradient that overflowed. BackendError.
 */
export function policyLossSync<L extends AnyLogits>(
  batch: LogitsBatch<L>,
  estimator: EstimatorInput,
  options?: LogitsOptions<L>,
): LogitsResult<L>;
export function policyLossSync<P extends GivenLogProbs>(
  batch: LogProbsBatch<P>,
  estimator: EstimatorInput,
  options?: LogProbsOptions<P>,
): LogProbsResult<P>;
export function policyLossSync(batch: unknown, estimator: EstimatorInput, options: unknown = {}): unknown {
  return runSync(prepare(batch, estimator, options, false));
}

/**
 * `policyLossSync` off the main thread. What it is given is copied, except float arrays of [N] and [N, V] that are `Tensor.alloc` tensors or
 * views of a SharedArrayBuffer, which `inPlace` and `out` need.
 */
export function policyLoss<L extends AnyLogits>(
  batch: LogitsBatch<L>,
  estimator: EstimatorInput,
  options?: LogitsOptions<L> & AsyncOptions,
): Promise<LogitsResult<L>>;
export function policyLoss<P extends GivenLogProbs>(
  batch: LogProbsBatch<P>,
  estimator: EstimatorInput,
  options?: LogProbsOptions<P> & AsyncOptions,
): Promise<LogProbsResult<P>>;
export async function policyLoss(batch: unknown, estimator: EstimatorInput, options: unknown = {}): Promise<unknown> {
  return runAsync(prepare(batch, estimator, options, true));
}

function prepare(
  batch: unknown,
  definition: EstimatorInput,
  options: unknown,
  asynchronous: boolean,
): Prepared<unknown> {
  const estimator = checkEstimator(definition);
  const fields = new Fields(options, 'options');
  const batchFields = new Fields(batch, '', 'batch');
  const at = placeOf(batchFields);
  const backend = readBackend(fields, at);
  const nonFinite = fields.oneOf('nonFinite', NON_FINITE, 'throw');
  const signal = readSignal(fields, asynchronous);
  const gradScale = fields.number('gradScale', { min: -3e38, max: 3e38 }, 1);
  const custom = readCustom(fields, estimator);
  const finite = nonFinite !== 'propagate';
  return prepareIn<unknown>(at, (memory) => {
    const checked = readBatch(batchFields, { estimator, backend, memory, custom, asynchronous, finite });
    const call = { estimator, backend, memory, nonFinite, signal, gradScale, asynchronous };
    return checked.logits === null
      ? fromLogProbs(checked, fields, call)
      : fromLogits(checked, checked.logits, fields, call);
  });
}
