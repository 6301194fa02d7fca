import { checkAttached, type Integers, type Mask } from '../check/arrays.js';
import { describe } from '../check/describe.js';
import { Fields } from '../check/fields.js';
import { readMaskOf } from '../data/turn_source.js';
import { InvalidInputError } from '../errors.js';
import { type ArrayAt, type Column, isOnDevice, type OnDevice, operand } from '../tensor/column.js';
import { type AnyLogits, keep, type Logits, type PlaceOf, readLogits, rowsArgs } from './logits.js';
import {
  type AsyncOptions,
  type CallOptions,
  NON_FINITE,
  readBackend,
  readSignal,
  readTemperature,
} from './options.js';
import { type Prepared, prepareIn, runAsync, runSync } from './run.js';
import { statusError } from './status.js';
import { keepTargets, readTargetsOf } from './targets.js';

export interface GatherLogProbsInput<L extends AnyLogits = Logits> {
  /** [N, V] */
  logits: L;
  /** [N] token ids; row n scores targets[n]. */
  targets: Integers | OnDevice<'int32', PlaceOf<L>>;
  /** [N] rows with 0 are not read; their results are 0. Default: every row. */
  actionMask?: Mask | OnDevice<'u8', PlaceOf<L>> | undefined;
}

export interface GatherLogProbsOptions<L extends AnyLogits = Logits> extends CallOptions<PlaceOf<L>> {
  /** Default 1. */
  temperature?: number | undefined;
}

/** Where the logits are; tensors on a device are the caller's to dispose of. */
export interface GatherLogProbsResult<L extends AnyLogits = Logits> {
  /** [N] log softmax(logits / T)[target] in nats: float32 whatever the logits' dtype. */
  readonly logProbs: ArrayAt<'f32', PlaceOf<L>>;
  /** [N] log Σ_v exp(logits_v / T). */
  readonly logSumExp: ArrayAt<'f64', PlaceOf<L>>;
  /** [N] -Σ_v p_v log p_v in nats. */
  readonly entropy: ArrayAt<'f32', PlaceOf<L>>;
}

/**
 * Log-prob of each target, log-sum-exp and entropy in one pass over the logits, without an [N, V] temporary.
 *
 *   logProbs[n] = (z_t - z_max) / T - log1p(s),   s = Σ_{v ≠ argmax} exp((z_v - z_max) / T)
 *
 * The argmax never enters the sum, so probabilities near 1 keep their digits: within (4 + gap) ULP of float64, gap = (z_max - runner-up) / T.
 */
export function gatherLogProbsSync<L extends AnyLogits>(
  input: GatherLogProbsInput<L>,
  options: GatherLogProbsOptions<L> = {},
): GatherLogProbsResult<L> {
  return runSync(prepare(input, options, false)) as GatherLogProbsResult<L>;
}

/** `gatherLogProbsSync` off the main thread; logits are copied unless their memory is pinned (see policyLoss). */
export async function gatherLogProbs<L extends AnyLogits>(
  input: GatherLogProbsInput<L>,
  options: GatherLogProbsOptions<L> & AsyncOptions = {},
): Promise<GatherLogProbsResult<L>> {
  return (await runAsync(prepare(input, options, true))) as GatherLogProbsResult<L>;
}

interface Result {
  logProbs: Column<'f32'>;
  logSumExp: Column<'f64'>;
  entropy: Column<'f32'>;
}

function prepare(input: unknown, options: unknown, asynchronous: boolean): Prepared<Result> {
  const fields = new Fields(input, '', 'input');
  const rawLogits = fields.take('logits');
  const at = isOnDevice(rawLogits) ? 'cuda' : 'cpu';
  const optionFields = new Fields(options, 'options');
  const backend = readBackend(optionFields, at);
  const nonFinite = optionFields.oneOf('nonFinite', NON_FINITE, 'throw');
  const signal = readSignal(optionFields, asynchronous);
  const temperature = readTemperature(optionFields);
  optionFields.end();

  const rawTargets = fields.required('targets', 'an Int32Array of token ids [N]');
  if (ArrayBuffer.isView(rawTargets)) checkAttached(rawTargets, 'targets');
  const count = isOnDevice(rawTargets) ? rawTargets.size : (rawTargets as { length?: unknown } | null)?.length;
  if (typeof count !== 'number') {
    const expected = 'an Int32Array of token ids [N]';
    throw new InvalidInputError({ code: 'ERR_TYPE', path: 'targets', expected, received: describe(rawTargets) });
  }
  const matrix = readLogits(rawLogits, 'logits', count);
  const rawMask = fields.take('actionMask');
  const actionMask = rawMask === undefined ? null : readMaskOf(rawMask, at, count);
  const given = readTargetsOf(rawTargets, matrix.width, { actionMask, tokens: count, at });
  fields.end();

  return prepareIn(at, (memory) => {
    const targets = keepTargets(given, asynchronous);
    const result: Result = {
      logProbs: memory.result('f32', [count]),
      logSumExp: memory.result('f64', [count]),
      entropy: memory.result('f32', [count]),
    };
    return {
      backend,
      op: 'gatherLogProbs',
      args: {
        logits: rowsArgs({ ...matrix, data: keep(matrix.data, asynchronous) }),
        targets: operand(targets),
        actionMask,
        temperature,
        nonFinite,
        logProbs: operand(result.logProbs),
        logSumExp: operand(result.logSumExp),
        entropy: operand(result.entropy),
      },
      signal,
      memory,
      finish(status) {
        if (status.code === 'ok') return result;
        throw statusError(status, { op: 'gatherLogProbs', device: backend.name, inputs: { targets }, inPlace: false });
      },
    };
  });
}
