/** The case table of turnStatistics: every case runs on the reference, and every value of every choice occurs. */
import { describe, expect, test } from 'vitest';
import type { ChannelArgs, Level } from '../../lib/ops.js';
import { CHOICES, OP_CHOICES } from '../cases/credit_choices.js';
import { TURN_STATISTICS_CASES } from '../cases/turn_statistics.js';
import { runCase } from '../support/run_case.js';
import { ops } from './fixtures.js';

describe('the case table', () => {
  test.each(TURN_STATISTICS_CASES.map((one, i) => [`${i} ${one.title}`, one] as const))('%s', (_, one) => {
    const outputs = runCase(ops, one) ?? [];
    for (const { name, values } of outputs) expect(Array.from(values), `${name} is written`).not.toContain(-99);
  });

  test('has every value of every choice at every level that takes it', () => {
    const seen = new Set<string>();
    for (const one of TURN_STATISTICS_CASES) {
      const args = one.make();
      if (one.status !== undefined && one.status.code !== 'group-of-one') continue;
      for (const channel of args.channels) {
        for (const field of Object.keys(CHOICES) as (keyof typeof CHOICES)[]) {
          if (isActive(channel, field)) seen.add(`${channel.level} ${field} ${channel[field]}`);
        }
      }
      const { kind, over } = args.whiten;
      seen.add(`combine ${args.combine} ${args.resultLevel}`);
      seen.add(`modulation ${args.modulation.kind} ${args.resultLevel}`);
      seen.add(`whiten ${kind} over ${over} ${args.resultLevel}`);
    }
    const missing = wanted().filter((choice) => !seen.has(choice));
    expect(missing).toEqual([]);
  });

  /** Whether a field does anything in a channel: a choice that is never read was not tried. */
  function isActive(one: ChannelArgs, field: keyof typeof CHOICES): boolean {
    const isTree = one.accumulate === 'tree' || one.then === 'tree';
    if (field === 'treeBackup' || field === 'treeBaseline') return isTree;
    if (field === 'bootstrap' || field === 'observation')
      return one.accumulate === 'gae' || one.accumulate === 'discounted';
    if (field === 'thenDivide') return one.then === 'discounted';
    return true;
  }

  function wanted(): string[] {
    const elsewhere: Partial<Record<keyof typeof CHOICES, (level: Level, value: string) => boolean>> = {
      accumulate: (level, value) => value === 'tree' && level !== 'turn',
      then: (level, value) => value === 'tree' && level !== 'sequence',
      group: (level, value) => value === 'parent' && level !== 'turn',
      treeBackup: (level) => level === 'token',
      treeBaseline: (level) => level === 'token',
    };
    const perChannel = CHOICES.level.flatMap((level) =>
      (Object.keys(CHOICES) as (keyof typeof CHOICES)[])
        .filter((field) => field !== 'level')
        .flatMap((field) =>
          CHOICES[field]
            .filter((value) => !elsewhere[field]?.(level, value))
            .map((value) => `${level} ${field} ${value}`),
        ),
    );
    const perOp = OP_CHOICES.resultLevel.flatMap((result) => [
      ...OP_CHOICES.combine
        .filter((kind) => kind !== 'join' || result === 'turn')
        .map((kind) => `combine ${kind} ${result}`),
      ...OP_CHOICES.modulation.map((kind) => `modulation ${kind} ${result}`),
      ...OP_CHOICES.whiten.flatMap((kind) =>
        OP_CHOICES.over
          .filter((over) => over === 'token' || result === 'turn')
          .map((over) => `whiten ${kind} over ${over} ${result}`),
      ),
    ]);
    return [...perChannel, ...perOp];
  }
});
