import { float32, privateCopy } from '../check/arrays.js';
import { Fields } from '../check/fields.js';
import { type CustomFunctions, readCustom } from '../credit/custom.js';
import { checkFiniteCredit, groupStats, statisticsError } from '../credit/turn_statistics.js';
import { turnsArgs } from '../data/layout.js';
import { InvalidInputError } from '../errors.js';
import { estimator as checkEstimator } from '../estimator/estimator.js';
import { lossPlan } from '../estimator/plan.js';
import type { Estimator, EstimatorInput } from '../estimator/types.js';
import { METRIC_SLOTS, type NonFinite, type Rows, type SurrogateArgs } from '../ops.js';
import type { FloatDType } from '../tensor/dtype.js';
import { Tensor } from '../tensor/tensor.js';
import { type Batch, type LogitsBatch, type LogProbsBatch, readBatch } from './batch.js';
import { checkApart, checkWritable, gradientRows, keep, type Logits } from './logits.js';
import { type Metrics, makeMetrics } from './metrics.js';
import {
  type AsyncOptions,
  type CallOptions,
  NON_FINITE,
  readBackend,
  readSignal,
  readTemperature,
} from './options.js';
import { type Prepared, runAsync, runSync } from './run.js';
import { AFTERWARDS, statusError } from './status.js';

/** The array kind of the gradient is that of the input: a tensor gives a tensor of its dtype and shape. */
type Like<L extends Logits> = L extends Tensor<infer D extends FloatDType> ? Tensor<D> : Float32Array;

export interface LogitsOptions<L extends Logits = Logits> extends CallOptions, CustomFunctions {
  /** softmax(logits / temperature). Default 1. */
  temperature?: number | undefined;
  /** Overwrite logits with their gradient. */
  inPlace?: boolean | undefined;
  /** Where to write the gradient: an array of the kind of `logits`. */
  out?: { logits: Like<L> } | undefined;
  /** Multiplies the gradient before it is rounded to the logits' dtype. Default 1. */
  gradScale?: number | undefined;
  /**
   * 'applied' (default): grad.logits is dLoss/dLogits. 'deferred': grad.logits is d logProb / d logits, unscaled, and grad.rowScale [N] the factor
   * of each row: exact, one pass at every ratio level, and apt to be applied to the hidden states instead.
   */
  rowScale?: 'applied' | 'deferred' | undefined;
}

export interface LogProbsOptions extends CallOptions, CustomFunctions {
  /** Multiplies the gradient. Default 1. */
  gradScale?: number | undefined;
  /** Where to write the gradient. */
  out?: { logProbs: Float32Array } | undefined;
}

export interface LogitsResult<L extends Logits> {
  readonly loss: number;
  readonly grad: {
    /** dLoss/dLogits [N, V]. */
    readonly logits: Like<L>;
    /** [N], with rowScale: 'deferred': dLoss/dLogits = rowScale ⊙ grad.logits. */
    readonly rowScale?: Float32Array;
  };
  /** [N] log π(targets); 0 outside the loss. */
  readonly logProbs: Float32Array;
  /** [N] entropy in nats; 0 outside the loss. */
  readonly entropy: Float32Array;
  readonly metrics: Metrics;
}

export interface LogProbsResult {
  readonly loss: number;
  /** dLoss/dLogProbs [N]; 0 outside the loss. */
  readonly grad: { readonly logProbs: Float32Array };
  readonly logProbs: Float32Array;
  readonly metrics: Metrics;
}

/**
 * Policy loss and gradient of a batch: log-probs gathered from logits, importance ratio, gate, KL, aggregation, and dLogits in the same pass
 * over memory. Credit comes from `credit` (phase A, micro-batches), `advantages`, or raw signals.
 *
 *   loss = Σ_t w_t (f(ρ_t, A_t) + coef KL_t),   dLogits[n, v] = dLoss/dLogProb_n ([v = target_n] - softmax(logits_n / T)_v) / T
 *
 * The result does not depend on threads, on the order of trajectories or on other rows, bit for bit.
 * @throws InvalidInputError before any compute, but for what only reading shows: rows that are not finite (see `nonFinite`) or too large,
 * ERR_SINGLETON, and a credit, loss or gradient that overflowed. BackendError.
 */
export function policyLossSync<L extends Logits>(
  batch: LogitsBatch<L>,
  estimator: EstimatorInput,
  options?: LogitsOptions<L>,
): LogitsResult<L>;
export function policyLossSync(
  batch: LogProbsBatch,
  estimator: EstimatorInput,
  options?: LogProbsOptions,
): LogProbsResult;
export function policyLossSync(batch: unknown, estimator: EstimatorInput, options: unknown = {}): unknown {
  return runSync(prepare(batch, estimator, options, false));
}

/**
 * `policyLossSync` off the main thread. What it is given is copied, except float arrays of [N] and [N, V] that are `Tensor.alloc` tensors or
 * views of a SharedArrayBuffer, which `inPlace` and `out` need.
 */
export function policyLoss<L extends Logits>(
  batch: LogitsBatch<L>,
  estimator: EstimatorInput,
  options?: LogitsOptions<L> & AsyncOptions,
): Promise<LogitsResult<L>>;
export function policyLoss(
  batch: LogProbsBatch,
  estimator: EstimatorInput,
  options?: LogProbsOptions & AsyncOptions,
): Promise<LogProbsResult>;
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
  const backend = readBackend(fields);
  const nonFinite = fields.oneOf('nonFinite', NON_FINITE, 'throw');
  const signal = readSignal(fields, asynchronous);
  const gradScale = fields.number('gradScale', { min: -3e38, max: 3e38 }, 1);
  const custom = readCustom(fields, estimator);
  const finite = nonFinite !== 'propagate';
  const checked = readBatch(batch, { estimator, backend, custom, asynchronous, finite });
  const call = { estimator, backend, nonFinite, signal, gradScale, asynchronous };
  return checked.logits === null
    ? fromLogProbs(checked, fields, call)
    : fromLogits({ ...checked, logits: checked.logits }, fields, call);
}

interface Call {
  estimator: Estimator;
  backend: Prepared<unknown>['backend'];
  nonFinite: NonFinite;
  signal: AbortSignal | null;
  gradScale: number;
  asynchronous: boolean;
}

function surrogateArgs(batch: Batch, logProbs: Float32Array, call: Call): SurrogateArgs {
  const { estimator, asynchronous } = call;
  const { denominator, oldLogProbs, rolloutLogProbs, refLogProbs, tokenWeights } = batch.given;
  const kept = (values: Float32Array | null) => values && keep(values, asynchronous);
  const compared = denominator === 'oldLogProbs' ? oldLogProbs : rolloutLogProbs;
  return {
    logProbs,
    oldLogProbs: keep(compared!, asynchronous),
    refLogProbs: estimator.kl === null ? null : kept(refLogProbs),
    rolloutLogProbs: denominator === 'oldLogProbs' ? kept(rolloutLogProbs) : null,
    entropy: null,
    tokenWeights: tokenWeights && keep(tokenWeights, asynchronous),
    actionMask: batch.actionMask,
    turns: turnsArgs(batch.turns),
    groups: batch.credit.groups,
    advantageLevel: batch.credit.level,
    advantages: batch.credit.advantages,
    clipScale: batch.credit.clipScale,
    ratioTargets: batch.credit.ratioTargets,
    ...lossPlan(estimator),
    denominators: { ...batch.credit.denominators },
    nonFinite: call.nonFinite,
    coefficients: new Float64Array(batch.tokens),
    entropyCoefficients: null,
    metrics: new Float64Array(METRIC_SLOTS.length),
  };
}

/** The float inputs of the loss, under the names that the caller knows them by. */
function namedInputs({ given }: Batch, args: SurrogateArgs) {
  const { logProbs, refLogProbs, rolloutLogProbs, tokenWeights } = args;
  return { logProbs, refLogProbs, rolloutLogProbs, tokenWeights, [given.denominator]: args.oldLogProbs };
}

/** A loss over 0 of anything is 0, not NaN. Inputs were finite, so a loss that is not has overflowed: an estimator without clamps. */
function lossOf({ lossNumerator, lossDenominator }: Metrics, { nonFinite }: Call, hint = ''): number {
  const loss = lossDenominator === 0 ? 0 : lossNumerator / lossDenominator;
  if (Number.isFinite(loss) || nonFinite === 'propagate') return loss;
  throw new InvalidInputError({
    code: 'ERR_NON_FINITE',
    path: 'loss',
    expected: 'a finite loss',
    received: String(loss),
    hint: `A ratio, KL term or advantage overflowed: see ratio.clamp and kl.logRatioClamp of the estimator${hint}`,
  });
}

function fromLogProbs(batch: Batch, fields: Fields, call: Call): Prepared<LogProbsResult> {
  const out = fields.take('out');
  fields.end('The batch has logProbs; temperature, inPlace and rowScale belong to logits');
  const target = readOutLogProbs(out, batch.tokens);
  if (target) checkWritable(target, 'out.logProbs', call.asynchronous);
  const { statistics } = batch.credit;
  // Turn statistics are small beside everything else, and there is no fused form without logits.
  if (statistics) {
    const status = call.backend.ops.turnStatistics(statistics);
    if (status.code !== 'ok') throw statisticsError(status, call.backend.name);
    checkFiniteCredit(statistics);
  }
  const logProbs = keep(batch.logProbs!, call.asynchronous);
  const args = surrogateArgs(batch, logProbs, call);
  const inputs = namedInputs(batch, args);
  if (target) checkApart(target, inputs);
  return {
    backend: call.backend,
    op: 'surrogate',
    args,
    signal: call.signal,
    finish(status) {
      const device = call.backend.name;
      if (status.code !== 'ok') throw statusError(status, { op: 'policyLoss', device, inputs, inPlace: false });
      const metrics = makeMetrics(args.metrics, {
        estimator: call.estimator,
        hasEntropy: false,
        underflowed: 0,
        groups: groupsOf(batch, call),
        temperature: null,
        backend: device,
      });
      const loss = lossOf(metrics, call);
      checkGradient(args.coefficients, call.gradScale, 'f32', 'grad.logProbs', call);
      const grad = target ?? new Float32Array(batch.tokens);
      for (let n = 0; n < grad.length; n++) grad[n] = args.coefficients[n] * call.gradScale;
      return { loss, grad: { logProbs: grad }, logProbs, metrics };
    },
  };
}

function groupsOf({ credit }: Batch, { estimator }: Call): Metrics['groups'] {
  return credit.statistics ? groupStats(credit.statistics, estimator) : credit.groupStats;
}

function readOutLogProbs(out: unknown, tokens: number): Float32Array | null {
  if (out === undefined) return null;
  const fields = new Fields(out, 'out');
  const array = float32(fields.take('logProbs'), 'out.logProbs', '[N]', tokens);
  fields.end('The batch has logProbs');
  return array;
}

type BatchOfLogits = Batch & { logits: Rows };

function fromLogits(batch: BatchOfLogits, fields: Fields, call: Call): Prepared<LogitsResult<Logits>> {
  const temperature = readTemperature(fields);
  const inPlace = fields.boolean('inPlace', false);
  const deferred = fields.oneOf('rowScale', ['applied', 'deferred'], 'applied') === 'deferred';
  const out = readOutLogits(fields.take('out'));
  fields.end();
  const bonus = call.estimator.entropy !== null;
  if (deferred && bonus) {
    const expected = '"applied": the gradient of an entropy bonus is no multiple of that of the log-prob';
    throw new InvalidInputError({ code: 'ERR_ESTIMATOR', path: 'rowScale', expected, received: '"deferred"' });
  }
  if (inPlace) checkWritable(batch.logits.data, 'logits', call.asynchronous);
  const logits: Rows = inPlace ? batch.logits : { ...batch.logits, data: keep(batch.logits.data, call.asynchronous) };
  const gradient = gradientRows(logits, out, inPlace);
  if (out !== undefined) checkWritable(gradient.data, 'out.logits', call.asynchronous);

  const targets = call.asynchronous ? privateCopy(batch.targets!) : batch.targets!;
  const logProbs = new Float32Array(batch.tokens);
  const entropy = new Float32Array(batch.tokens);
  const logSumExp = new Float64Array(batch.tokens);
  const underflowed = new Float64Array(1);
  const entropyCoefficients = bonus ? new Float64Array(batch.tokens) : null;
  const surrogate = { ...surrogateArgs(batch, logProbs, call), entropy, entropyCoefficients };
  const { actionMask } = batch;
  const { statistics } = batch.credit;
  const { advantages, clipScale, ratioTargets } = surrogate;
  const { logProbs: _, ...inputs } = { ...namedInputs(batch, surrogate), targets };
  checkApart(gradient.data, { ...inputs, advantages, clipScale, ratioTargets, ...surrogate.turns });
  const args = {
    statistics,
    gather: { logits, targets, actionMask, temperature, nonFinite: call.nonFinite, logProbs, logSumExp, entropy },
    surrogate,
    gradient: {
      logits,
      targets,
      actionMask,
      logProbs,
      logSumExp,
      coefficients: deferred ? null : surrogate.coefficients,
      entropy: bonus ? entropy : null,
      entropyCoefficients,
      temperature,
      gradScale: call.gradScale,
      gradient,
      underflowed,
    },
  };
  return {
    backend: call.backend,
    op: 'policyLoss',
    args,
    signal: call.signal,
    finish(status) {
      const device = call.backend.name;
      if (status.code !== 'ok')
        throw statusError(status, {
          op: 'policyLoss',
          device,
          inputs,
          inPlace: inPlace && call.nonFinite !== 'check-first',
        });
      if (statistics) checkFiniteCredit(statistics);
      const metrics = makeMetrics(surrogate.metrics, {
        estimator: call.estimator,
        hasEntropy: true,
        underflowed: underflowed[0],
        groups: groupsOf(batch, call),
        temperature,
        backend: device,
      });
      const hint = inPlace ? `. ${AFTERWARDS}` : '';
      const loss = lossOf(metrics, call, hint);
      if (deferred) checkGradient(surrogate.coefficients, call.gradScale, 'f32', 'grad.rowScale', call, hint);
      else checkGradient(surrogate.coefficients, call.gradScale / temperature, logits.dtype, 'grad.logits', call, hint);
      const grad = { logits: wrap(gradient, batch.givenLogits, out, inPlace) };
      const rowScale = () => Float32Array.from(surrogate.coefficients, (coefficient) => coefficient * call.gradScale);
      return {
        loss,
        grad: deferred ? { ...grad, rowScale: rowScale() } : grad,
        logProbs,
        entropy,
        metrics,
      };
    },
  };
}

const LARGEST = { f32: 3.4028234e38, bf16: 3.3895e38, f16: 65504 };

/** Every element of a row's gradient is at most |coefficient * factor|; beyond the dtype it would be infinite or NaN. */
function checkGradient(
  coefficients: Float64Array,
  factor: number,
  dtype: FloatDType,
  path: string,
  { nonFinite }: Call,
  hint = '',
): void {
  if (nonFinite === 'propagate') return;
  const at = coefficients.findIndex((coefficient) => !(Math.abs(coefficient * factor) <= LARGEST[dtype]));
  if (at < 0) return;
  throw new InvalidInputError({
    code: 'ERR_NON_FINITE',
    path: `${path}[${at}]`,
    expected: `a gradient within ${dtype}`,
    received: `up to ${Math.abs(coefficients[at] * factor)}`,
    hint: `gradScale is too large, or temperature too small, for this loss${hint}`,
  });
}

function readOutLogits(out: unknown): unknown {
  if (out === undefined) return undefined;
  const fields = new Fields(out, 'out');
  const logits = fields.required('logits', 'a buffer for the gradient [N, V]');
  fields.end('The batch has logits');
  return logits;
}

/** The gradient in the kind of array that the caller used; it may have disposed of its logits while the call ran. */
function wrap(gradient: Rows, given: unknown, out: unknown, inPlace: boolean): Logits {
  if (out instanceof Tensor) return out;
  if (!(given instanceof Tensor)) return gradient.data as Float32Array;
  if (inPlace) return given;
  return Tensor.from(gradient.data, given.shape, gradient.dtype);
}
