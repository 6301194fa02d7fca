import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import { type ClipOptions, readClippedLoss } from './common.js';

export interface HiperOptions extends ClipOptions {
  /** Whether the decision to end a subgoal is trained. Default true. */
  termination?: boolean | undefined;
  /** Statistics over all tokens of the role (default), or over the first one of each trajectory: the release's, whose trajectories are single turns. */
  statistics?: 'first' | 'token' | undefined;
}

/**
 * HiPER, hierarchical plan-execute RL (Peng et al. 2026, arXiv 2602.16165): what follows the recursions of its advantage estimation.
 *
 *   A_t = (a - mean) / (std + 1e-8) over the batch's tokens with the role of token t, population deviation; 0 outside every role;
 *   token-level ratio, PPO clip [0.2, 0.2], token-mean
 *
 * The caller computes the advantages a (HAE: GAE of V_low within a segment, bootstrapped by V_high at the next boundary; semi-Markov GAE over segments;
 * return less V_term) and gives them per token: `signals.action`, `signals.subgoal`, `signals.switch` [N], NaN outside the tokens of the role.
 * Release (JonP07/HiPER-agent, compute_hae_advantage): one row and one value of each role per turn, so its statistics count turns alike:
 * `statistics: 'first'`, right only where every trajectory is one turn.
 */
export function hiper(options: HiperOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const termination = fields.boolean('termination', true);
  const first = fields.oneOf('statistics', ['first', 'token'], 'token') === 'first';
  const loss = readClippedLoss(fields, { clip: [0.2, 0.2], aggregate: 'token-mean' });
  fields.end();
  const roles = termination ? ['action', 'subgoal', 'switch'] : ['action', 'subgoal'];
  return estimator({
    name: 'hiper',
    channels: roles.map((name) => ({
      signal: { level: 'token', terms: [{ name, level: 'token' }] },
      group: { kind: 'batch', members: first ? 'first' : 'all', singleton: 'zero' },
      center: { kind: 'mean' },
      scale: { kind: 'std', ddof: 0, eps: 1e-8 },
    })),
    ...loss,
  });
}
