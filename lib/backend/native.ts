/** The one file that loads the native add-on and gives it a type. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import type { AsyncOps, Ops, Status } from '../ops.js';

/** A backend of the add-on (native/binding/op_exports.h). */
export interface NativeBackend {
  readonly ops: Ops;
  readonly async: AsyncOps;
}

/** native/ops.h as data (native/binding/schema.h). */
export interface NativeSchema {
  /** Op name -> name of its argument record. */
  readonly ops: Readonly<Record<string, string>>;
  /** Record name -> field -> C++ type, fields in order. */
  readonly records: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Enum name -> JavaScript spellings, in order. */
  readonly enums: Readonly<Record<string, readonly string[]>>;
}

/** Reference-counted native memory (native/binding/memory_exports.h). */
export interface NativeMemory {
  /** Zeroed and 64-byte aligned; null where the host takes no such buffer. Throws RangeError when there is no memory. */
  allocate(bytes: number): ArrayBuffer | null;
  /** Whether all of the view lies in memory of `allocate`. */
  owns(view: ArrayBufferView): boolean;
  /** Detaches the buffer and gives its memory back, as soon as no running op needs it. False: not the library's. */
  release(buffer: ArrayBufferLike): boolean;
  /** Bytes of all such memory in this process. */
  liveBytes(): number;
}

declare const opaque: unique symbol;

/** Counted memory of a device. In an op's record it stands where a typed array of the same bytes would. */
export interface DeviceBlock {
  readonly [opaque]: never;
}

/** Memory of a device (native/binding/device_exports.h). Copies are of whole blocks, to and from arrays of as many bytes. */
export interface NativeDeviceMemory {
  /** Zeroed, or with whatever was there; no block where the status is not ok. */
  allocate(bytes: number, zeroed: boolean): Status & { readonly block?: DeviceBlock };
  /** A block over somebody else's memory; null where that is not memory of the device. */
  refer(address: bigint, bytes: number): DeviceBlock | null;
  /** Gives the memory back as soon as no running op needs it. */
  release(block: DeviceBlock): void;
  toDevice(block: DeviceBlock, from: ArrayBufferView): Status;
  toHost(block: DeviceBlock, to: ArrayBufferView): Status;
  toDeviceAsync(block: DeviceBlock, from: ArrayBufferView): Promise<Status>;
  toHostAsync(block: DeviceBlock, to: ArrayBufferView): Promise<Status>;
  /** Of the position of a status "device-error". */
  errorName(code: number): string;
  deviceName(): string;
  /** Bytes of the device's memory. */
  space(): Status & { readonly free: number; readonly total: number };
}

export interface NativeDevice extends NativeBackend {
  readonly memory: NativeDeviceMemory;
}

export interface NativeAddon {
  readonly schema: NativeSchema;
  readonly backends: { readonly cpu: NativeBackend };
  /** The CUDA backend, or why there is none. The first call looks for a device. */
  cuda(): NativeDevice | string;
  readonly memory: NativeMemory;
  getThreads(): number;
  setThreads(count: number): void;
  simdTarget(): string;
  /** Those this machine and this binary have, best first. */
  simdTargets(): string[];
  setSimdTarget(name: string): void;
}

/** The package's root, from lib/backend/ and from dist/backend/ alike. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

let addon: NativeAddon | null | undefined;
let failure = '';

/** The add-on, loaded at the first call; null where it cannot be loaded (`nativeFailure` says why). Never throws. */
export function loadNative(): NativeAddon | null {
  if (addon === undefined) addon = tryLoad();
  return addon;
}

let cuda: NativeDevice | string | undefined;

/** The CUDA backend, or why there is none. Never throws. */
export function loadCuda(): NativeDevice | string {
  cuda ??= loadNative()?.cuda() ?? `the native add-on is not loaded: ${nativeFailure()}`;
  return cuda;
}

/** Why `loadNative` returned null, with what to do about it; empty when it did not. */
export function nativeFailure(): string {
  loadNative();
  return failure;
}

function tryLoad(): NativeAddon | null {
  try {
    const load: unknown = createRequire(import.meta.url)('node-gyp-build');
    if (typeof load !== 'function') throw new Error('node-gyp-build is not a function');
    const loaded: unknown = load(ROOT);
    checkComplete(loaded);
    return loaded;
  } catch (error) {
    const causes = causesOf(error);
    failure = [...causes, ...remedies(causes.join('\n'))].join('. ');
    return null;
  }
}

/** A binary left over from another version of this package would fail later, and less clearly. */
function checkComplete(loaded: unknown): asserts loaded is NativeAddon {
  const expected = ['schema', 'backends', 'cuda', 'memory', 'getThreads', 'simdTarget'];
  const missing = expected.filter((name) => typeof loaded !== 'object' || loaded === null || !(name in loaded));
  if (missing.length > 0) throw new Error(`the native binary is of another version (it has no ${missing.join(', ')})`);
}

function causesOf(error: unknown): string[] {
  const causes: string[] = [];
  for (let at = error; at !== undefined && at !== null; at = at instanceof Error ? at.cause : undefined) {
    const message = at instanceof Error ? at.message : String(at);
    causes.push(message.trim().replace(/\s*\n\s*/g, ', '));
  }
  return causes;
}

/** First match wins: what the loader's words usually mean. */
const REMEDIES: readonly (readonly [RegExp, string])[] = [
  [
    /No native build was found/,
    'There is no prebuilt binary for this platform; in a checkout of the source run "npm run build:native"',
  ],
  [
    /GLIBC_|GLIBCXX_/,
    'The system libraries are older than the binary needs (glibc 2.28); use a newer system image or build from source',
  ],
  [/musl|Error relocating/, 'The binary was built for another C library; build from source on this system'],
  [
    /of another version|undefined symbol|self-register/,
    'Delete build/ or reinstall the package: the binary does not fit this version',
  ],
  [
    /Cannot find module 'node-gyp-build'/,
    'Reinstall the package: its dependency node-gyp-build is missing; with a bundler, mark "turnwise" as external',
  ],
  [
    /ERR_DLOPEN_DISABLED|dlopen is disabled|NotCapable/,
    'This process may not load native code; allow it (--allow-addons, or --allow-ffi in Deno)',
  ],
];

function remedies(causes: string): string[] {
  const found = REMEDIES.find(([pattern]) => pattern.test(causes));
  return found ? [found[1]] : [];
}
