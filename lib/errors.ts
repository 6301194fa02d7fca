/** Stable codes of `InvalidInputError`. Messages may change; codes may not (semver). */
export type InvalidInputCode =
  | 'ERR_MISSING'
  | 'ERR_UNKNOWN_OPTION'
  | 'ERR_NO_EFFECT'
  | 'ERR_TYPE'
  | 'ERR_RANGE'
  | 'ERR_LENGTH'
  | 'ERR_OFFSETS'
  | 'ERR_TARGET'
  | 'ERR_TURNS'
  | 'ERR_NON_FINITE'
  | 'ERR_SINGLETON'
  | 'ERR_ESTIMATOR'
  | 'ERR_DETACHED'
  | 'ERR_BORROWED_BUFFER'
  | 'ERR_OVERLAP'
  | 'ERR_DEVICE'
  | 'ERR_DISPOSED';

/** Stable codes of `BackendError`. */
export type BackendCode = 'ERR_BACKEND_UNAVAILABLE' | 'ERR_OUT_OF_MEMORY' | 'ERR_CUDA' | 'ERR_INTERNAL';

export interface InvalidInput {
  code: InvalidInputCode;
  /** Where: `clip.low`, `targets[17]`, `turns.starts[2]`. */
  path: string;
  /** What would have been right: `a number in [0, 1]`. */
  expected: string;
  /** What was there: `2`. */
  received: string;
  /** A second sentence: where else to look, what to do. */
  hint?: string;
}

/**
 * The caller's input is wrong. Raised before any compute unless `code` is `ERR_NON_FINITE` (found while reading logits).
 * `message` is `<path>: expected <expected>, received <received>`.
 */
export class InvalidInputError extends TypeError {
  override readonly name = 'InvalidInputError';
  readonly code: InvalidInputCode;
  readonly path: string;
  readonly expected: string;
  readonly received: string;

  constructor({ code, path, expected, received, hint }: InvalidInput) {
    super(`${path}: expected ${expected}, received ${received}${hint ? `. ${hint}` : ''}`);
    this.code = code;
    this.path = path;
    this.expected = expected;
    this.received = received;
  }
}

/** The machine could not do what was asked: no binary, no device, no memory. */
export class BackendError extends Error {
  override readonly name = 'BackendError';
  readonly code: BackendCode;
  readonly device: string;
  readonly op: string;

  constructor(message: string, at: { code: BackendCode; device: string; op: string; cause?: unknown }) {
    super(message, at.cause === undefined ? undefined : { cause: at.cause });
    this.code = at.code;
    this.device = at.device;
    this.op = at.op;
  }
}
