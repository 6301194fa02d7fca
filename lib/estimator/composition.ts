/** Stages that are right each by itself and do not fit together. */
import { InvalidInputError } from '../errors.js';
import { creditInputs } from './inputs.js';
import { differsWithinTrajectory } from './stages/channel.js';
import { adaptOf, hasClipRange } from './stages/gate.js';
import { readsRollout } from './stages/weights.js';
import type { Estimator } from './types.js';

type Check = (estimator: Estimator) => [path: string, expected: string, received: string] | undefined;

const CHECKS: readonly Check[] = [
  ({ channels }) =>
    channels.every(({ use }) => use === 'ratio-target')
      ? ['channels', 'at least one channel that is part of the advantage', 'only ratio targets']
      : undefined,
  ({ channels, gate }) => {
    const adapt = adaptOf(gate);
    if (adapt !== null && !hasClipRange(gate))
      return ['gate.adapt', 'null: the gate has no clip range', 'an adaptive one'];
    if (adapt === null || adapt.channel < channels.length) return undefined;
    return ['gate.adapt.channel', `one of the ${channels.length} channels, from 0`, String(adapt.channel)];
  },
  ({ channels, gate }) => {
    const has = channels.some(({ use }) => use === 'ratio-target');
    if (has === (gate.kind === 'l1-target')) return undefined;
    const expected = 'the gate l1-target together with a channel of use "ratio-target"';
    return ['gate.kind', expected, has ? JSON.stringify(gate.kind) : 'no such channel'];
  },
  ({ channels, combine }) => {
    const tokens = channels.findIndex(({ signal }) => signal.level === 'token');
    return combine.kind === 'join' && tokens >= 0
      ? ['combine.kind', 'sum or weighted-mean: a channel is per token', '"join"']
      : undefined;
  },
  ({ channels, combine }) => {
    const at = channels.findIndex(({ cap }) => cap !== undefined);
    if (at < 0) return undefined;
    if (combine.kind !== 'sum') return [`channels[${at}].cap`, 'combine sum', JSON.stringify(combine.kind)];
    const before = channels.slice(0, at).some(({ use }) => use === undefined);
    return before && channels[at].use === undefined
      ? undefined
      : [`channels[${at}].cap`, 'advantage channels before it, to be capped by', 'none, or a ratio target'];
  },
  ({ channels, whiten }) =>
    whiten?.over === 'turn' && channels.some(({ signal }) => signal.level === 'token')
      ? ['whiten.over', '"token": a channel is per token', '"turn"']
      : undefined,
  ({ channels, modulate, whiten }) => {
    const finer = channels.some(differsWithinTrajectory);
    return whiten?.over === 'sequence' && (finer || modulate !== null)
      ? ['whiten.over', '"token" or "turn": advantages differ within a trajectory', '"sequence"']
      : undefined;
  },
  ({ ratio, kl }) =>
    kl?.ratioCorrection && ratio.level !== 'token'
      ? ['kl.ratioCorrection', 'false unless ratio.level is token', 'true']
      : undefined,
  ({ ratio, weights }) => {
    const at = weights.findIndex(readsRollout);
    return ratio.denominator === 'rollout' && at >= 0
      ? [`weights[${at}].kind`, 'no correction towards the rollout: it is the denominator already', weights[at].kind]
      : undefined;
  },
  ({ gate, aggregate }) =>
    (gate.kind === 'log-sum-exp') === (aggregate === 'prompt-mean')
      ? undefined
      : ['aggregate', '"prompt-mean" with the gate log-sum-exp, and only there', JSON.stringify(aggregate)],
  ({ channels, modulate, gate, ratio, weights }) => {
    if (gate.kind !== 'log-sum-exp') return undefined;
    if (modulate !== null) return ['modulate', 'null: the gate log-sum-exp labels whole trajectories', 'entropy'];
    const finer = channels.findIndex(differsWithinTrajectory);
    if (finer >= 0) {
      return [
        `channels[${finer}]`,
        'one value per trajectory: the gate log-sum-exp labels whole trajectories',
        'a finer one',
      ];
    }
    if (weights.length > 0) return ['weights', 'none with the gate log-sum-exp', String(weights.length)];
    const fits = ratio.level === 'sequence' && ratio.form === 'true' && ratio.reduce === 'mean' && !ratio.tokenClip;
    return fits ? undefined : ['ratio', 'the true mean of the sequence (gate log-sum-exp)', JSON.stringify(ratio)];
  },
];

export function checkComposition(estimator: Estimator): void {
  creditInputs(estimator);
  for (const check of CHECKS) {
    const found = check(estimator);
    if (!found) continue;
    const [path, expected, received] = found;
    throw new InvalidInputError({ code: 'ERR_ESTIMATOR', path, expected, received });
  }
}
