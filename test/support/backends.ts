/** Which backends and SIMD targets a suite runs on. */
import { arch } from 'node:process';
import { beforeAll, describe } from 'vitest';
import { configure, type Device, info } from '../../lib/index.js';

/** Backends of the public API that every machine with a build has. */
export const DEVICES = ['reference', 'cpu'] as const satisfies readonly Device[];

/** SIMD targets that a binary for this architecture has; a machine may lack some of them. */
const TARGETS: Readonly<Record<string, readonly string[]>> = {
  x64: ['baseline', 'avx2', 'avx512'],
  arm64: ['baseline', 'neon'],
};

export function supportedTargets(): readonly string[] {
  return info().simd?.supported ?? [];
}

/** Best first; includes those that this machine lacks, so that their tests are skipped by name. */
export function allTargets(): readonly string[] {
  return [...new Set([...supportedTargets(), ...(TARGETS[arch] ?? [])])];
}

/** One describe block for each SIMD target, with the target set while its tests run. */
export function describeTargets(suite: (target: string) => void): void {
  for (const target of allTargets()) {
    const supported = supportedTargets().includes(target);
    describe(`cpu ${target}${supported ? '' : ' (this machine has no such instructions)'}`, {
      skip: !supported,
    }, () => {
      beforeAll(() => configure({ simd: target }));
      suite(target);
    });
  }
}
