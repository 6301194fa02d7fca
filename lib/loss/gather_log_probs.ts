import {
  checkAttached,
  type Integers,
  type Mask,
  privateCopy,
  mask as readMask,
  targets as readTargets,
} from '../check/arrays.js';
import { describe } from '../check/describe.js';
import { Fields } from '../check/fields.js';
import { InvalidInputError } from '../errors.js';
import { keep, type Logits, readLogits } from './logits.js';
import {
  type AsyncOptions,
  type CallOptions,
  NON_FINITE,
  readBackend,
  readSignal,
  readTemperature,
} from './options.js';
import { type Prepared, runAsync, runSync } from './run.js';
import { statusError } from './status.js';

export interface GatherLogProbsInput {
  /** [N, V] */
  logits: Logits;
  /** [N] token ids; row n scores targets[n]. */
  targets: Integers;
  /** [N] rows with 0 are not read; their results are 0. Default: every row. */
  actionMask?: Mask | undefined;
}

export interface GatherLogProbsOptions extends CallOptions {
  /** Default 1. */
  temperature?: number | undefined;
}

export interface GatherLogProbsResult {
  /** [N] log softmax(logits / T)[target] in nats: float32 whatever the logits' dtype. */
  readonly logProbs: Float32Array;
  /** [N] log Σ_v exp(logits_v / T). */
  readonly logSumExp: Float64Array;
  /** [N] -Σ_v p_v log p_v in nats. */
  readonly entropy: Float32Array;
}

/**
 * Log-prob of each target, log-sum-exp and entropy in one pass over the logits, without an [N, V] temporary.
 *
 *   logProbs[n] = (z_t - z_max) / T - log1p(s),   s = Σ_{v ≠ argmax} exp((z_v - z_max) / T)
 *
 * The argmax never enters the sum, so probabilities near 1 keep their digits: within (4 + gap) ULP of float64, gap = (z_max - runner-up) / T.
 */
export function gatherLogProbsSync(
  input: GatherLogProbsInput,
  options: GatherLogProbsOptions = {},
): GatherLogProbsResult {
  return runSync(prepare(input, options, false));
}

/** `gatherLogProbsSync` off the main thread; logits are copied unless their memory is pinned (see policyLoss). */
export async function gatherLogProbs(
  input: GatherLogProbsInput,
  options: GatherLogProbsOptions & AsyncOptions = {},
): Promise<GatherLogProbsResult> {
  return runAsync(prepare(input, options, true));
}

function prepare(input: unknown, options: unknown, asynchronous: boolean): Prepared<GatherLogProbsResult> {
  const optionFields = new Fields(options, 'options');
  const backend = readBackend(optionFields);
  const nonFinite = optionFields.oneOf('nonFinite', NON_FINITE, 'throw');
  const signal = readSignal(optionFields, asynchronous);
  const temperature = readTemperature(optionFields);
  optionFields.end();

  const fields = new Fields(input, '', 'input');
  const rawTargets = fields.required('targets', 'an Int32Array of token ids [N]');
  const count = (rawTargets as { length?: unknown } | null)?.length;
  if (ArrayBuffer.isView(rawTargets)) checkAttached(rawTargets, 'targets');
  if (typeof count !== 'number') {
    const expected = 'an Int32Array of token ids [N]';
    throw new InvalidInputError({ code: 'ERR_TYPE', path: 'targets', expected, received: describe(rawTargets) });
  }
  const rows = readLogits(fields.take('logits'), 'logits', count);
  const rawMask = fields.take('actionMask');
  const actionMask = rawMask === undefined ? null : readMask(rawMask, 'actionMask', count);
  const given = readTargets(rawTargets, 'targets', rows.width, actionMask, count);
  const targets = asynchronous ? privateCopy(given) : given;
  fields.end();

  const logits = { ...rows, data: keep(rows.data, asynchronous) };
  const logProbs = new Float32Array(count);
  const logSumExp = new Float64Array(count);
  const entropy = new Float32Array(count);
  return {
    backend,
    op: 'gatherLogProbs',
    args: { logits, targets, actionMask, temperature, nonFinite, logProbs, logSumExp, entropy },
    signal,
    finish(status) {
      if (status.code === 'ok') return { logProbs, logSumExp, entropy };
      throw statusError(status, { op: 'gatherLogProbs', device: backend.name, inputs: { targets }, inPlace: false });
    },
  };
}
