/** The loss from log-probs that were gathered elsewhere. */
import { float32 } from '../check/arrays.js';
import { Fields } from '../check/fields.js';
import { checkFiniteCredit, statisticsError } from '../credit/turn_statistics.js';
import { capacityOf, segmentTurnsArgs } from '../data/turn_source.js';
import { type Column, isOnDevice, readColumn } from '../tensor/column.js';
import type { TensorDevice } from '../tensor/tensor.js';
import type { Batch } from './batch.js';
import type { TurnSearch } from './batch_layout.js';
import {
  type Call,
  checkGradient,
  groupsOf,
  lossColumns,
  lossOf,
  namedInputs,
  surrogateArgs,
  writeScaled,
} from './call.js';
import { checkApart, checkPlace, checkWritable, keep } from './logits.js';
import { type Metrics, makeMetrics } from './metrics.js';
import type { Prepared } from './run.js';
import { searchError, statusError } from './status.js';

interface Result {
  loss: number;
  grad: { logProbs: Column<'f32'> };
  logProbs: Column<'f32'>;
  metrics: Metrics;
}

export function fromLogProbs(batch: Batch, fields: Fields, call: Call): Prepared<Result> {
  const { backend, memory, asynchronous } = call;
  const out = fields.take('out');
  fields.end('The batch has logProbs; temperature, inPlace and rowScale belong to logits');
  const target = readOut(out, batch.tokens, batch.at);
  if (target) checkWritable(target, 'out.logProbs', asynchronous);
  const { statistics } = batch.credit;
  // Turns and their statistics are small beside everything else, and there is no fused form without logits.
  if (batch.search) findTurns(batch.search, batch, call);
  if (statistics) {
    const status = backend.ops.turnStatistics(statistics);
    if (status.code !== 'ok') throw statisticsError(status, backend.name);
    checkFiniteCredit(batch.credit);
  }
  const logProbs = keep(batch.logProbs!, asynchronous);
  const columns = lossColumns(batch, logProbs, call);
  const args = surrogateArgs(batch, columns, call);
  const inputs = namedInputs(batch, columns);
  if (target) checkApart(target, inputs);
  const grad = target ?? memory.result('f32', [batch.tokens]);
  return {
    backend,
    op: 'surrogate',
    args,
    signal: call.signal,
    memory,
    finish(status) {
      const device = backend.name;
      if (status.code !== 'ok') throw statusError(status, { op: 'policyLoss', device, inputs, batch, inPlace: false });
      const metrics = makeMetrics(args.metrics, {
        estimator: call.estimator,
        hasEntropy: false,
        underflowed: 0,
        groups: groupsOf(batch, call),
        temperature: null,
        backend: device,
      });
      batch.credit.recheck();
      const loss = lossOf(metrics, call);
      const { coefficients } = columns;
      checkGradient(args, { coefficients, factor: call.gradScale, dtype: 'f32', path: 'grad.logProbs' }, call);
      return { loss, grad: { logProbs: writeScaled(grad, coefficients, call.gradScale) }, logProbs, metrics };
    },
  };
}

/** Fills the batch's turns. */
function findTurns(search: TurnSearch, batch: Batch, { backend }: Call): void {
  const { source, args } = search;
  const found = { ...segmentTurnsArgs(source, capacityOf(source), null), effectiveMask: args.effectiveMask };
  const status = backend.ops.segmentTurns(found);
  const [count] = found.count;
  const { length } = args.starts;
  const isRight = status.code !== 'ok' || count === length;
  const ended = isRight ? status : ({ code: 'turn-count', position: count } as const);
  if (ended.code !== 'ok') throw searchError(ended, search, backend.name);
  for (const name of ['starts', 'ends', 'tokens', 'trajectory', 'index'] as const) {
    args[name].set(found[name].subarray(0, length));
  }
  batch.credit.recheck();
}

function readOut(out: unknown, tokens: number, at: TensorDevice): Column<'f32'> | null {
  if (out === undefined) return null;
  const fields = new Fields(out, 'out');
  const value = fields.take('logProbs');
  const wanted = { dtype: 'f32', shape: '[N]', length: tokens, at } as const;
  if (!isOnDevice(value) && value instanceof Float32Array) checkPlace(value, at, 'out.logProbs');
  const array = readColumn(value, 'out.logProbs', wanted, () => float32(value, 'out.logProbs', '[N]', tokens));
  fields.end('The batch has logProbs');
  return array;
}
