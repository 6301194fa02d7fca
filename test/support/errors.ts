/** What an error of the library must look like. */
import { expect } from 'vitest';
import { type InvalidInputCode, InvalidInputError } from '../../lib/index.js';

export interface ExpectedError {
  code: InvalidInputCode;
  path: string;
  expected?: string | RegExp;
  received?: string | RegExp;
  /** Anything else that the message must say. */
  message?: RegExp;
}

/** Checks code, path, and the message's one form: `<path>: expected <expected>, received <received>`. */
export function checkError(error: unknown, { code, path, expected, received, message }: ExpectedError): void {
  expect(error, String((error as Error | undefined)?.stack)).toBeInstanceOf(InvalidInputError);
  expect(error).toBeInstanceOf(TypeError);
  const found = error as InvalidInputError;
  expect({ code: found.code, path: found.path }, found.message).toEqual({ code, path });
  if (typeof expected === 'string') expect(found.expected).toBe(expected);
  else if (expected) expect(found.expected).toMatch(expected);
  if (typeof received === 'string') expect(found.received).toBe(received);
  else if (received) expect(found.received).toMatch(received);
  if (message) expect(found.message).toMatch(message);
  expect(found.name).toBe('InvalidInputError');
  expect(found.message.startsWith(`${path}: expected ${found.expected}, received ${found.received}`)).toBe(true);
}

export function thrownBy(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return expect.fail('nothing was thrown');
}

export function expectInvalid(run: () => unknown, expected: ExpectedError): void {
  checkError(thrownBy(run), expected);
}

export async function expectInvalidAsync(promise: Promise<unknown>, expected: ExpectedError): Promise<void> {
  const error = await promise.then(
    () => expect.fail('the promise was fulfilled'),
    (reason: unknown) => reason,
  );
  checkError(error, expected);
}
