/** The reference as a backend: every op in TypeScript, on any machine. The fallback where no binary fits. */
import type { AsyncOps, Backend, Ops, Status } from '../ops.js';
import { gatherLogProbs } from './ops/gather_log_probs.js';
import { logitsGradient } from './ops/logits_gradient.js';
import { policyLoss } from './ops/policy_loss.js';
import { segmentTurns } from './ops/segment_turns.js';
import { failed } from './ops/status.js';
import { surrogate } from './ops/surrogate.js';
import { turnStatistics } from './ops/turn_statistics.js';

const ops: Ops = { segmentTurns, gatherLogProbs, turnStatistics, surrogate, logitsGradient, policyLoss };

/**
 * The op in a promise. It runs in a later task on the calling thread, so that an abort raised in between (by a signal,
 * a timer) is honoured before it starts; once running it cannot be stopped.
 */
function deferred<Args>(op: (args: Args) => Status): (args: Args, abort: Int32Array) => Promise<Status> {
  return (args, abort) =>
    new Promise((resolve, reject) => {
      setImmediate(() => {
        try {
          resolve(Atomics.load(abort, 0) === 0 ? op(args) : failed('aborted', -1));
        } catch (error) {
          reject(error);
        }
      });
    });
}

const async: AsyncOps = {
  segmentTurns: deferred(segmentTurns),
  gatherLogProbs: deferred(gatherLogProbs),
  turnStatistics: deferred(turnStatistics),
  surrogate: deferred(surrogate),
  logitsGradient: deferred(logitsGradient),
  policyLoss: deferred(policyLoss),
};

export const reference: Backend = { name: 'reference', ops, async };
