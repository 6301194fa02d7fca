/** The loss from logits: everything in one op. */
import { Fields } from '../check/fields.js';
import { checkFiniteCredit } from '../credit/turn_statistics.js';
import { InvalidInputError } from '../errors.js';
import { type Column, isOnDevice, operand, operandOrNull } from '../tensor/column.js';
import { Tensor } from '../tensor/tensor.js';
import type { Batch } from './batch.js';
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
import { type AnyLogits, checkApart, checkWritable, gradientRows, keep, type Matrix, rowsArgs } from './logits.js';
import { type Metrics, makeMetrics } from './metrics.js';
import { readTemperature } from './options.js';
import type { Prepared } from './run.js';
import { AFTERWARDS, statusError } from './status.js';
import { keepTargets } from './targets.js';

interface Result {
  loss: number;
  grad: { logits: AnyLogits; rowScale?: Column<'f32'> };
  logProbs: Column<'f32'>;
  entropy: Column<'f32'>;
  metrics: Metrics;
}

export function fromLogits(batch: Batch, given: Matrix, fields: Fields, call: Call): Prepared<Result> {
  const { memory, asynchronous, backend } = call;
  const temperature = readTemperature(fields);
  const inPlace = fields.boolean('inPlace', false);
  const deferred = fields.oneOf('rowScale', ['applied', 'deferred'], 'applied') === 'deferred';
  const out = readOut(fields.take('out'));
  fields.end();
  const bonus = call.estimator.entropy !== null;
  if (deferred && bonus) {
    const expected = '"applied": the gradient of an entropy bonus is no multiple of that of the log-prob';
    throw new InvalidInputError({ code: 'ERR_ESTIMATOR', path: 'rowScale', expected, received: '"deferred"' });
  }
  if (inPlace) checkWritable(given.data, 'logits', asynchronous);
  const logits: Matrix = inPlace ? given : { ...given, data: keep(given.data, asynchronous) };
  const gradient = gradientRows(logits, out, inPlace, memory);
  if (out !== undefined) checkWritable(gradient.data, 'out.logits', asynchronous);

  const { tokens, credit, search } = batch;
  const targets = keepTargets(batch.targets!, asynchronous);
  const logProbs = memory.result('f32', [tokens]);
  const entropy = memory.result('f32', [tokens]);
  const rowScale = deferred ? memory.result('f32', [tokens]) : null;
  const logSumExp = memory.scratch('f64', tokens);
  const entropyCoefficients = bonus ? memory.scratch('f64', tokens) : null;
  const underflowed = new Float64Array(1);
  const columns = lossColumns(batch, logProbs, call);
  const { coefficients } = columns;
  const { logProbs: _, ...inputs } = { ...namedInputs(batch, columns), targets };
  const { advantages, clipScale, ratioTargets } = credit;
  const { count: _count, ...turns } = batch.turns;
  checkApart(gradient.data, { ...inputs, advantages, clipScale, ratioTargets, ...turns });

  const rows = {
    logits: rowsArgs(logits),
    targets: operand(targets),
    actionMask: operand(batch.actionMask),
    temperature,
    logProbs: operand(logProbs),
    logSumExp: operand(logSumExp),
  };
  const surrogate = {
    ...surrogateArgs(batch, columns, call),
    entropy: operand(entropy),
    entropyCoefficients: operandOrNull(entropyCoefficients),
  };
  const args = {
    segment: search?.args ?? null,
    statistics: credit.statistics,
    gather: { ...rows, nonFinite: call.nonFinite, entropy: surrogate.entropy },
    surrogate,
    gradient: {
      ...rows,
      coefficients: deferred ? null : surrogate.coefficients,
      entropy: bonus ? surrogate.entropy : null,
      entropyCoefficients: surrogate.entropyCoefficients,
      gradScale: call.gradScale,
      gradient: rowsArgs(gradient),
      underflowed,
    },
  };
  return {
    backend,
    op: 'policyLoss',
    args,
    signal: call.signal,
    memory,
    finish(status) {
      const device = backend.name;
      if (status.code !== 'ok') {
        const overwritten = inPlace && call.nonFinite !== 'check-first';
        throw statusError(status, { op: 'policyLoss', device, inputs, batch, inPlace: overwritten });
      }
      if (credit.statistics) checkFiniteCredit(credit);
      const metrics = makeMetrics(surrogate.metrics, {
        estimator: call.estimator,
        hasEntropy: true,
        underflowed: underflowed[0],
        groups: groupsOf(batch, call),
        temperature,
        backend: device,
      });
      credit.recheck();
      const hint = inPlace ? `. ${AFTERWARDS}` : '';
      const loss = lossOf(metrics, call, hint);
      const { gradScale } = call;
      const checked = deferred
        ? ({ factor: gradScale, dtype: 'f32', path: 'grad.rowScale' } as const)
        : { factor: gradScale / temperature, dtype: logits.dtype, path: 'grad.logits' };
      checkGradient(surrogate, { coefficients, hint, ...checked }, call);
      const grad = { logits: wrap(gradient, batch.givenLogits, out, inPlace) };
      return {
        loss,
        grad: rowScale ? { ...grad, rowScale: writeScaled(rowScale, coefficients, gradScale) } : grad,
        logProbs,
        entropy,
        metrics,
      };
    },
  };
}

function readOut(out: unknown): unknown {
  if (out === undefined) return undefined;
  const fields = new Fields(out, 'out');
  const logits = fields.required('logits', 'a buffer for the gradient [N, V]');
  fields.end('The batch has logits');
  return logits;
}

/** The gradient in the kind of array that the caller used; it may have disposed of its logits while the call ran. */
function wrap(gradient: Matrix, given: unknown, out: unknown, inPlace: boolean): AnyLogits {
  if (isOnDevice(gradient.data)) return gradient.data;
  if (out instanceof Tensor) return out;
  if (!(given instanceof Tensor)) return gradient.data as Float32Array;
  if (inPlace) return given;
  return Tensor.from(gradient.data, given.shape, gradient.dtype);
}
