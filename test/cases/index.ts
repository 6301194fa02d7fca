/** The case table of every op. */
import type { OpName } from '../../lib/ops.js';
import { GATHER_CASES } from './gather.js';
import { LOGITS_GRADIENT_CASES } from './logits_gradient.js';
import type { OpCase } from './op_case.js';
import { POLICY_LOSS_CASES } from './policy_loss.js';
import { SEGMENT_TURNS_CASES } from './segment_turns.js';
import { SURROGATE_CASES } from './surrogate.js';
import { SURROGATE_EDGE_CASES } from './surrogate_edges.js';
import { TURN_STATISTICS_CASES } from './turn_statistics.js';

export const CASES: { readonly [Name in OpName]: readonly OpCase<Name>[] } = {
  segmentTurns: SEGMENT_TURNS_CASES,
  gatherLogProbs: GATHER_CASES,
  turnStatistics: TURN_STATISTICS_CASES,
  surrogate: [...SURROGATE_CASES, ...SURROGATE_EDGE_CASES],
  logitsGradient: LOGITS_GRADIENT_CASES,
  policyLoss: POLICY_LOSS_CASES,
};
