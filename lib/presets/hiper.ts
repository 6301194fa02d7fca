import { Fields } from '../check/fields.js';
import { estimator } from '../estimator/estimator.js';
import type { Estimator } from '../estimator/types.js';
import { type ClipOptions, readClippedLoss } from './common.js';

export interface HiperOptions extends ClipOptions {
  /** Whether the decision to end a subgoal is trained. Default true. */
  termination?: boolean | undefined;
  /** Statistics over the first token of each trajectory (default: a trajectory is one turn, as released), or over all tokens of the role. */
  statistics?: 'first' | 'token' | undefined;
}

/**
 * HiPER, hierarchical plan-execute RL (Peng et al. 2026, arXiv 2602.16165): what follows the recursions of its advantage estimation.
 *
 *   A_t = (a - mean) / (std + 1e-8) over the batch's turns with the role of token t, population deviation; 0 outside every role;
 *   token-level ratio, PPO clip [0.2, 0.2], token-mean
 *
 * The caller computes the advantages a (HAE: GAE of V_low within a segment, bootstrapped by V_high at the next boundary; semi-Markov GAE over segments;
 * return less V_term) and gives them per token: `signals.action`, `signals.subgoal`, `signals.switch` [N], NaN outside the tokens of the role.
 * Release (JonP07/HiPER-agent, compute_hae_advantage): one row and one value of each role per turn, so statistics count turns; batches whose
 * trajectories hold several turns need `statistics: 'token'`, which weighs a turn by its tokens.
 */
export function hiper(options: HiperOptions = {}): Estimator {
  const fields = new Fields(options, '');
  const termination = fields.boolean('termination', true);
  const first = fields.oneOf('statistics', ['first', 'token'], 'first') === 'first';
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
