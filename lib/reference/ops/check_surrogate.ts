/** What surrogate refuses: sizes and spans that would lead outside a buffer, and stages that contradict each other. */
import { METRIC_SLOTS, type Status, type SurrogateArgs, type WeightArgs } from '../../ops.js';
import { INVALID, OK } from './status.js';
import { readsRollout } from './token_weights.js';
import { areSpansWithin, areTurns } from './turn_layout.js';

/** After it no index can leave a buffer. */
export function checkSurrogate(args: SurrogateArgs): Status {
  return areSizesRight(args) &&
    isGateRight(args) &&
    areWeightsRight(args) &&
    areRegularizersRight(args) &&
    canCount(args)
    ? OK
    : INVALID;
}

function areSizesRight(args: SurrogateArgs): boolean {
  const { turns, advantages, clipScale, ratioTargets } = args;
  const tokenCount = args.logProbs.length;
  const perToken = [
    args.actionMask,
    args.oldLogProbs,
    args.refLogProbs,
    args.rolloutLogProbs,
    args.entropy,
    args.tokenWeights,
    args.coefficients,
    args.entropyCoefficients,
  ];
  if (perToken.some((array) => array !== null && array.length !== tokenCount)) return false;
  if (!areTurns(turns) || !areSpansWithin(turns, tokenCount)) return false;
  if (args.advantageLevel === 'sequence') return false;
  const advantageCount = args.advantageLevel === 'turn' ? turns.starts.length : tokenCount;
  const perAdvantage = [advantages, clipScale, ratioTargets];
  if (perAdvantage.some((array) => array !== null && array.length !== advantageCount)) return false;
  return args.metrics.length === METRIC_SLOTS.length;
}

function isGateRight({ turns, groups, ratio, gate, weights, ratioTargets }: SurrogateArgs): boolean {
  if (ratio.reduce === 'max') return false;
  if (gate.kind === 'l1-target') return ratioTargets !== null;
  if (gate.kind !== 'log-sum-exp') return true;
  // Turns are in the order of their trajectories: the last one names the largest.
  const last = turns.trajectory.at(-1) ?? -1;
  const isMeanOfSequence = ratio.level === 'sequence' && ratio.reduce === 'mean' && ratio.form === 'true';
  return isMeanOfSequence && weights.length === 0 && groups !== null && last < groups.length;
}

function areWeightsRight(args: SurrogateArgs): boolean {
  if (readsRollout(args) && args.rolloutLogProbs === null) return false;
  return args.weights.every((weight: WeightArgs) => {
    if (weight.kind === 'given') return args.tokenWeights !== null;
    return weight.kind !== 'importance' || weight.reduce !== 'max';
  });
}

/** Prompts are counted by their groups. */
function canCount({ aggregate, denominators, turns, groups }: SurrogateArgs): boolean {
  if (denominators !== null || aggregate !== 'prompt-mean') return true;
  return groups !== null && (turns.trajectory.at(-1) ?? -1) < groups.length;
}

function areRegularizersRight({ kl, ratio, entropyCoef, entropy }: SurrogateArgs): boolean {
  if (kl.coef !== 0 && kl.ratioCorrection && ratio.level !== 'token') return false;
  return entropyCoef === 0 || entropy !== null;
}
