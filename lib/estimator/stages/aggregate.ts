import { Fields } from '../../check/fields.js';
import type { Aggregate as AggregateName } from '../../ops.js';

/**
 * S13, how token terms f become one number; |y| and |u| = loss tokens of a trajectory and of a turn, the counts below are global:
 *
 *   token-mean               Σ f / tokens                  token-sum            Σ f
 *   seq-mean-token-mean      Σ f / |y| / sequences         seq-mean-token-sum   Σ f / sequences
 *   turn-mean-token-mean     Σ f / |u| / turns             seq-mean-token-sum-norm   Σ f / horizon / sequences
 *   prompt-mean              Σ f / prompts, where f is a prompt's (gate log-sum-exp only); KL and entropy sum over its tokens
 */
export type Aggregate =
  | Exclude<AggregateName, 'seq-mean-token-sum-norm'>
  | { kind: 'seq-mean-token-sum-norm'; horizon: number };

const NAMES = [
  'token-mean',
  'seq-mean-token-mean',
  'seq-mean-token-sum',
  'turn-mean-token-mean',
  'token-sum',
  'prompt-mean',
] as const;

export function readAggregate(fields: Fields, fallback: Aggregate): Aggregate {
  const value = fields.has('aggregate') ? fields.take('aggregate') : fallback;
  if (typeof value !== 'object') return fields.oneOf('aggregate', NAMES, fallback as (typeof NAMES)[number]);
  const nested = new Fields(value, fields.at('aggregate'));
  const kind = nested.oneOf('kind', ['seq-mean-token-sum-norm']);
  const horizon = nested.number('horizon', { above: 0 });
  nested.end();
  return { kind, horizon };
}

export function aggregateArgs(aggregate: Aggregate): { aggregate: AggregateName; horizon: number } {
  if (typeof aggregate === 'string') return { aggregate, horizon: 1 };
  return { aggregate: aggregate.kind, horizon: aggregate.horizon };
}
