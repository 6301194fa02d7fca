/** An estimator in words: one short cell per stage, the same for every method, so that two can be read side by side. */

import { type Channel, comparesMembers } from './stages/channel.js';
import type { Ratio } from './stages/ratio.js';
import { nameOf } from './stages/signal.js';
import type { Estimator } from './types.js';

/** Stage -> what the estimator has there; '' = off. Cells of the channels' stages have one line per channel. */
export type Description = Readonly<Record<(typeof STAGES)[number], string>>;

export const STAGES = [
  'signal',
  'accumulate',
  'group',
  'center, scale',
  'then',
  'weight',
  'combine',
  'whiten',
  'ratio',
  'gate',
  'weights',
  'KL, entropy',
  'aggregate',
] as const;

export function describeEstimator(estimator: Estimator): Description {
  const { channels, combine, modulate, whiten, ratio, gate, weights, kl, entropy, aggregate } = estimator;
  const each = (cell: (channel: Channel) => string) => {
    const cells = channels.map(cell);
    return cells.every((text) => text === '') ? '' : cells.map((text) => text || '-').join('\n');
  };
  const combined = channels.length === 1 && combine.kind === 'sum' ? '' : phrase(combine);
  return {
    signal: each(signalCell),
    accumulate: each(({ accumulate }) => (accumulate ? phrase(accumulate) : '')),
    group: each(groupCell),
    'center, scale': each(normalizeCell),
    then: each((channel) => phrase(channel.then)),
    weight: each(weightCell),
    combine: combined,
    whiten: [modulate && `modulate: ${phrase(modulate)}`, whiten && phrase(whiten)].filter(Boolean).join('\n'),
    ratio: ratioCell(ratio),
    gate: gate.kind === 'none' ? 'none: -A ρ' : phrase(gate),
    weights: weights.map(phrase).join('\n'),
    'KL, entropy': [kl && `KL ${values(kl)}`, entropy && `entropy ${values(entropy)}`].filter(Boolean).join('\n'),
    aggregate: typeof aggregate === 'string' ? aggregate : phrase(aggregate),
  };
}

function signalCell({ signal, use }: Channel): string {
  const { level, terms, ...rest } = signal;
  const details = values(rest);
  const target = use ? `, as ${use}` : '';
  return `${terms.map(nameOf).join(' + ')} per ${level}${details && ` (${details})`}${target}`;
}

/** Without any statistic nobody is compared, whatever the group. */
function groupCell(channel: Channel): string {
  return comparesMembers(channel) ? phrase(channel.group) : '';
}

function normalizeCell({ transform, center, scale }: Channel): string {
  // Floors of 0 are off.
  const used = Object.entries(scale).filter(([name, value]) => value !== 0 || name === 'ddof');
  const scaled = phrase(Object.fromEntries(used) as Channel['scale']);
  const stages = [transform ?? '', center.kind === 'none' ? '' : center.kind, scaled];
  return stages.filter(Boolean).join(', ');
}

function ratioCell(ratio: Ratio): string {
  const { low, high } = ratio.clamp;
  const segment = ratio.level === 'token' ? null : ratio;
  const cells = [
    segment ? `${ratio.level} ${segment.reduce}, ${segment.form}` : ratio.level,
    ratio.denominator === 'old' ? '' : `to the ${ratio.denominator}`,
    low === null && high === null
      ? ''
      : `clamp [${low === null ? '-∞' : short(low)}, ${high === null ? '∞' : short(high)}]`,
    segment?.tokenClamp ? `token clamp ±${segment.tokenClamp}` : '',
    segment?.tokenClip ? `token clip (${values(segment.tokenClip)})` : '',
  ];
  return cells.filter(Boolean).join(', ');
}

function weightCell({ weight, cap, gate }: Channel): string {
  const cells = [
    weight === 1 ? '' : `× ${typeof weight === 'number' ? weight : values(weight)}`,
    cap ? `cap (${values(cap)})` : '',
    gate ? `outcome gate (${values(gate)})` : '',
  ];
  return cells.filter(Boolean).join(', ');
}

/** `ppo (low 0.2, high 0.28)`; '' for kind none. */
function phrase(stage: { kind: string }): string {
  const { kind, ...rest } = stage;
  if (kind === 'none') return '';
  const details = values(rest);
  return details ? `${kind} (${details})` : kind;
}

/** Fields that say something: those that are off (null, 0, false) are left out. */
function values(fields: object): string {
  return Object.entries(fields)
    .map(([name, value]) => {
      if (value === null || value === false || value === 'none') return '';
      if (value === true) return name;
      if (typeof value === 'number') return `${name} ${short(value)}`;
      if (typeof value !== 'object') return `${name} ${value}`;
      const inner = values(value);
      return inner && `${name} (${inner})`;
    })
    .filter(Boolean)
    .join(', ');
}

/** 1e-6, not 0.000001. */
function short(value: number): string {
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential() : String(Number(value.toPrecision(5)));
}

/** Where two estimators differ, by the path of the value; undefined = not there. */
export function differences(a: unknown, b: unknown, path = ''): [path: string, a: unknown, b: unknown][] {
  if (Object.is(a, b)) return [];
  const nested = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
  if (!nested(a) || !nested(b) || Array.isArray(a) !== Array.isArray(b)) return [[path, a, b]];
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return names.flatMap((name) => {
    const at = Array.isArray(a) ? `${path}[${name}]` : path ? `${path}.${name}` : name;
    return differences(a[name], b[name], at);
  });
}
