import { Fields } from '../check/fields.js';
import { InvalidInputError } from '../errors.js';
import { loadCuda, loadNative, nativeFailure } from './native.js';

export interface Info {
  /** What `device: 'auto'` runs on host inputs. */
  backend: 'cpu' | 'reference';
  /** SIMD instruction set in use and those this machine has; null without the native add-on. */
  simd: { target: string; supported: readonly string[] } | null;
  /** Threads of the add-on's own pool; null without it. */
  threads: number | null;
  /** Why the native add-on is not there; null when it is. */
  nativeUnavailable: string | null;
  /** `device` and `memory` (bytes) where it is available; otherwise `reason` says why it is not. */
  cuda: {
    available: boolean;
    reason: string | null;
    device: string | null;
    memory: { free: number; total: number } | null;
  };
}

/** What this installation runs on, and why something is missing. */
export function info(): Info {
  const native = loadNative();
  if (native === null) {
    const reason = nativeFailure();
    return {
      backend: 'reference',
      simd: null,
      threads: null,
      nativeUnavailable: reason,
      cuda: cudaInfo(),
    };
  }
  return {
    backend: 'cpu',
    simd: { target: native.simdTarget(), supported: native.simdTargets() },
    threads: native.getThreads(),
    nativeUnavailable: null,
    cuda: cudaInfo(),
  };
}

function cudaInfo(): Info['cuda'] {
  const cuda = loadCuda();
  if (typeof cuda === 'string') return { available: false, reason: cuda, device: null, memory: null };
  const { code, free, total } = cuda.memory.space();
  const memory = code === 'ok' ? { free, total } : null;
  return { available: true, reason: null, device: cuda.memory.deviceName(), memory };
}

export interface Configuration {
  /** Threads of the add-on's pool, 1 to 256. Results do not depend on it. */
  threads?: number | undefined;
  /** SIMD target by its name in `info().simd.supported`; for tests and benchmarks. */
  simd?: string | undefined;
}

/** Process-wide settings of the native add-on (shared by worker threads). Without the add-on there is nothing to set. */
export function configure(configuration: Configuration): void {
  const fields = new Fields(configuration, '', 'configuration');
  const threads = fields.has('threads') ? fields.number('threads', { integer: true, min: 1, max: 256 }) : null;
  const native = loadNative();
  const simd = fields.has('simd') ? fields.oneOf('simd', native?.simdTargets() ?? []) : null;
  fields.end();
  if (native === null) {
    const expected = 'the native add-on';
    throw new InvalidInputError({ code: 'ERR_NO_EFFECT', path: 'threads', expected, received: nativeFailure() });
  }
  if (threads !== null) native.setThreads(threads);
  if (simd !== null) native.setSimdTarget(simd);
}
