import { describe, expect, it } from 'vitest';
import { checkSpills } from '../../scripts/check_spills.mjs';

const BUILT = '-- CUDA backend: built by nvcc 13.0.88 for 80-real;90-real;80-virtual';
const MANGLED = '_ZN8turnwise4cuda15gatherLogKernelEPKi';

/** As ptxas -v says it of one kernel. */
const kernel = (architecture: string, spilled: number, name = MANGLED) => `
ptxas info    : Compiling entry function '${name}' for '${architecture}'
ptxas info    : Function properties for ${name}
    0 bytes stack frame, ${spilled} bytes spill stores, 0 bytes spill loads
ptxas info    : Used 61 registers, used 1 barriers, 1024 bytes smem, 368 bytes cmem[0]`;

const check = (...log: string[]) => checkSpills(log.join('\n'));

describe('the spill gate', () => {
  it('shows registers, shared memory and spills of every kernel', () => {
    const { table, problems } = check(BUILT, kernel('sm_80', 0), kernel('sm_90', 0));
    expect(problems).toEqual([]);
    expect(table[0]).toMatch(/sm_80 +sm_90$/);
    expect(table[1]).toMatch(/^\S*gatherLogKernel\S* +61 \/ 1024 \/ 0 +61 \/ 1024 \/ 0$/);
  });

  it('fails for a kernel that spills', () => {
    const { problems } = check(BUILT, kernel('sm_80', 0), kernel('sm_90', 24));
    expect(problems).toEqual([expect.stringMatching(/gatherLogKernel\S* spills on sm_90: 24 bytes/)]);
  });

  it('fails for a function that kernels call', () => {
    const callee = `
ptxas info    : Function properties for calleeOfKernel
    8 bytes stack frame, 8 bytes spill stores, 8 bytes spill loads`;
    const { problems } = check(BUILT, kernel('sm_80', 0), kernel('sm_90', 0), callee);
    expect(problems).toEqual(['calleeOfKernel spills on sm_90: 16 bytes']);
  });

  it('fails where an architecture was not compiled for', () => {
    const { problems } = check(BUILT, kernel('sm_80', 0));
    expect(problems).toEqual([expect.stringContaining('ptxas said nothing of sm_90')]);
  });

  it.each([
    ['no kernel', [BUILT]],
    ['no architecture', ['-- CUDA backend: built by nvcc 13.0.88 for ', kernel('sm_90', 0)]],
    ['no word on CUDA', [kernel('sm_80', 0), kernel('sm_90', 0)]],
  ])('fails for a log with %s', (_, log) => {
    expect(check(...log).problems).toHaveLength(1);
  });

  it('has nothing to say of a build without CUDA', () => {
    const { table, problems } = check('-- CUDA backend: left out, the add-on runs on the CPU alone (no nvcc)');
    expect(problems).toEqual([]);
    expect(table).toEqual([expect.stringContaining('no nvcc')]);
  });
});
