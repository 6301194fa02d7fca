/** Every published method that turnwise knows, by name: the list behind docs/estimators.md and `npx turnwise estimators`. */
import { InvalidInputError } from '../errors.js';
import type { Estimator } from '../estimator/types.js';
import { a2tgpo } from './a2tgpo.js';
import { arpo } from './arpo.js';
import { atpo } from './atpo.js';
import { cispo } from './cispo.js';
import { dapo } from './dapo.js';
import { drGrpo } from './dr_grpo.js';
import { empg } from './empg.js';
import { epo } from './epo.js';
import { g2rpo } from './g2rpo.js';
import { gbpo } from './gbpo.js';
import { gdpo } from './gdpo.js';
import { gigpo } from './gigpo.js';
import { gmpo } from './gmpo.js';
import { grpo } from './grpo.js';
import { gspo } from './gspo.js';
import { gspoToken } from './gspo_token.js';
import { hgpo } from './hgpo.js';
import { hiper } from './hiper.js';
import { igpo } from './igpo.js';
import { infoPo } from './info_po.js';
import { luspo } from './luspo.js';
import { mapo } from './mapo.js';
import { matchTir } from './match_tir.js';
import { mtGrpo } from './mt_grpo.js';
import { opo } from './opo.js';
import { portool } from './portool.js';
import { ppo } from './ppo.js';
import { r2vpo } from './r2vpo.js';
import { real } from './real.js';
import { reinforcePlusPlus } from './reinforce_plus_plus.js';
import { reinforcePlusPlusBaseline } from './reinforce_plus_plus_baseline.js';
import { remax } from './remax.js';
import { rloo } from './rloo.js';
import { sapo } from './sapo.js';
import { siop } from './siop.js';
import { spaRl } from './spa_rl.js';
import { stPpo } from './st_ppo.js';
import { stratifiedGrpo } from './stratified_grpo.js';
import { tPpo } from './t_ppo.js';
import { trloo } from './trloo.js';
import { turnPpo } from './turn_ppo.js';
import { vespo } from './vespo.js';

export interface PresetEntry {
  // Each preset has options of its own; whoever lists them passes those of `example`, or undefined.
  make: (options: never) => Estimator;
  /** Values for required options (what a paper leaves open), only to show the stages. */
  example?: Readonly<Record<string, unknown>>;
}

export const presets: Readonly<Record<string, PresetEntry>> = {
  a2tgpo: { make: a2tgpo },
  arpo: { make: arpo },
  atpo: { make: atpo },
  cispo: { make: cispo, example: { high: 4 } },
  dapo: { make: dapo },
  drGrpo: { make: drGrpo, example: { horizon: 4096 } },
  empg: { make: empg },
  epo: { make: epo },
  g2rpo: { make: g2rpo },
  gbpo: { make: gbpo },
  gdpo: { make: gdpo, example: { rewards: { accuracy: 1, format: 1 } } },
  gigpo: { make: gigpo },
  gmpo: { make: gmpo },
  grpo: { make: grpo },
  gspo: { make: gspo },
  gspoToken: { make: gspoToken },
  hgpo: { make: hgpo },
  hiper: { make: hiper },
  igpo: { make: igpo },
  infoPo: { make: infoPo },
  luspo: { make: luspo },
  mapo: { make: mapo, example: { gamma: 1, turnWeight: 0.5, batchWeight: 0.5, ddof: 1, eps: 1e-6 } },
  matchTir: { make: matchTir },
  mtGrpo: { make: mtGrpo },
  opo: { make: opo },
  portool: { make: portool, example: { forkWeight: 0.5, trajectoryWeight: 0.5 } },
  ppo: { make: ppo },
  r2vpo: { make: r2vpo },
  real: { make: real },
  reinforcePlusPlus: { make: reinforcePlusPlus },
  reinforcePlusPlusBaseline: { make: reinforcePlusPlusBaseline },
  remax: { make: remax },
  rloo: { make: rloo },
  sapo: { make: sapo },
  siop: { make: siop },
  spaRl: { make: spaRl },
  stPpo: { make: stPpo },
  stratifiedGrpo: { make: stratifiedGrpo, example: { eps: 1e-6, alpha: 0.5, ddof: 1 } },
  tPpo: { make: tPpo, example: { gamma: 1, lambda: 0.95 } },
  trloo: { make: trloo },
  turnPpo: { make: turnPpo },
  vespo: { make: vespo },
};

/**
 * The estimator of a preset. `example`: the values that stand in for required options, where they were left out.
 *
 * @throws InvalidInputError as the preset does
 */
export function makePreset(name: string, options: object = {}): { estimator: Estimator; example?: object } {
  const { make, example } = presets[name];
  try {
    return { estimator: make(options as never) };
  } catch (error) {
    const missing = error instanceof InvalidInputError && error.code === 'ERR_MISSING';
    if (!missing || example === undefined) throw error;
    return { estimator: make({ ...example, ...options } as never), example };
  }
}
