/** Settings of credit assignment drawn from every choice that may stand together. */
import type { Bootstrap, ChannelArgs } from '../../lib/ops.js';
import { random } from '../support/random.js';
import { NO_KL, NO_MODULATION } from '../support/records.mjs';
import { inputsOf } from './credit_batches.js';
import { CHOICES, KL_ESTIMATORS, OP_CHOICES } from './credit_choices.js';
import { base, resultOf, type SettingsOf } from './credit_settings.js';

/** Settings drawn from every choice that may stand together. */
export function drawnSettings(seed: number): SettingsOf {
  return (batch) => {
    const { integer, uniform } = random(seed);
    const one = <T>(of: readonly T[]): T => of[integer(of.length)];
    const resultLevel = one(OP_CHOICES.resultLevel);
    const channelLevels = CHOICES.level.filter((level) => level !== 'token' || resultLevel === 'token');
    const channel = (): ChannelArgs => {
      const level = one(channelLevels);
      const accumulate = one(CHOICES.accumulate.filter((kind) => kind !== 'tree' || level === 'turn'));
      const bootstraps: Bootstrap[] = accumulate === 'gae' ? ['zero', 'carry', 'given'] : ['zero', 'outcome'];
      const transform = one(CHOICES.transform);
      const signals = base(batch, level);
      return {
        ...signals,
        trajectorySignal: accumulate === 'tree' || integer(2) ? signals.trajectorySignal : null,
        turnSignal: one([batch.rewards, batch.gains, null]),
        tokenSignal: one([signals.tokenSignal, null]),
        place: one(CHOICES.place),
        klPenalty: level === 'token' && integer(2) ? { ...NO_KL, coef: 0.1, estimator: one(KL_ESTIMATORS) } : NO_KL,
        matchOutcomeStd: integer(4) === 0,
        stdFloor: 1e-6,
        accumulate,
        gamma: uniform(),
        lambda: uniform(),
        bootstrap: one(bootstraps),
        observation: one(CHOICES.observation),
        treeBackup: one(CHOICES.treeBackup),
        treeBaseline: one(CHOICES.treeBaseline),
        group: one(CHOICES.group.filter((group) => group !== 'parent' || level === 'turn')),
        members: transform === 'none' ? one(CHOICES.members) : 'all',
        singleton: one(['zero', 'raw'] as const),
        transform,
        center: one(CHOICES.center),
        scale: one(CHOICES.scale),
        ddof: integer(2),
        leastStd: one([0, 0.3]),
        then: one(CHOICES.then.filter((then) => then !== 'tree' || level === 'sequence')),
        thenGamma: uniform(),
        thenDivide: one(CHOICES.thenDivide),
        gateTemperature: one([0, 0, 0.2]),
        capEps: one([0, 0, 1e-6]),
        use: one(['advantage', 'advantage', 'ratio-target'] as const),
        weight: 2 * uniform() - 0.5,
        lastWeight: 2 * uniform() - 0.5,
      };
    };
    const channels = Array.from({ length: 1 + integer(4) }, channel);
    const combine = one(OP_CHOICES.combine.filter((kind) => kind !== 'join' || resultLevel === 'turn'));
    const over = one(OP_CHOICES.over.filter((level) => level === 'token' || resultLevel === 'turn'));
    return {
      ...inputsOf(batch),
      nodes: integer(3) === 0 ? null : batch.nodes,
      channels,
      // A cap compares with a sum so far, which a weighted mean does not have.
      ...(combine === 'weighted-mean' ? { channels: channels.map((own) => ({ ...own, capEps: 0 })) } : {}),
      resultLevel,
      combine,
      joinGamma: uniform(),
      modulation: integer(3) === 0 ? { kind: 'entropy', decay: 1, bonus: 0.1, bonusDecay: 0.5 } : NO_MODULATION,
      whiten: { kind: one(OP_CHOICES.whiten), over, ddof: integer(2), eps: 1e-6, varianceFloor: one([0, 1e-8]) },
      normalizedChannel: integer(channels.length + 1) - 1,
      clipScaleBeta: 0.3,
      ratioTargets: resultOf(batch, resultLevel),
    };
  };
}
