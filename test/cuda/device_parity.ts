/** Cases of the table on another emulated device than the usual one; a file each, because a process sees one device. */
import { describe, test } from 'vitest';
import { selectBackend } from '../../lib/backend/select.js';
import type { OpName } from '../../lib/ops.js';
import { CASES } from '../cases/index.js';
import type { OpCase } from '../cases/op_case.js';
import { expectParity } from '../support/run_case.js';

/** What depends on the device is how rows are laid over blocks, and how large a team is. */
const OPS: readonly OpName[] = ['gatherLogProbs', 'logitsGradient', 'policyLoss', 'segmentTurns'];

export function describeDevice(name: string, settings: Readonly<Record<string, string>>): void {
  Object.assign(process.env, settings);
  const { ops } = selectBackend('cuda');
  describe.each(OPS)(`${name}: %s`, (op) => {
    test.each((CASES[op] as readonly OpCase[]).map((opCase) => [opCase.title, opCase] as const))('%s', (_, opCase) => {
      expectParity(ops, opCase);
    });
  });
  // Their passes are the same on every device: some cases show that they run.
  describe.each(['turnStatistics', 'surrogate'] as const)(`${name}: %s`, (op) => {
    const some = (CASES[op] as readonly OpCase[]).filter((_, i) => i % 11 === 3);
    test.each(some.map((opCase) => [opCase.title, opCase] as const))('%s', (_, opCase) => {
      expectParity(ops, opCase);
    });
  });
}
