/**
 * Reads a plain object field by field. The code that reads an option is its only declaration: `end()` refuses every own key
 * that nobody read, so an option can be neither misspelled nor ignored. All fields of an object are read once, before any of
 * them is checked, so a getter cannot change or detach an array between its check and its use.
 */
import { InvalidInputError } from '../errors.js';
import { alternatives, closest, describe } from './describe.js';

interface NumberRule {
  /** Inclusive bounds. */
  min?: number;
  max?: number;
  /** Strict lower bound. */
  above?: number;
  integer?: boolean;
}

export class Fields {
  readonly #object: Record<string, unknown>;
  readonly #path: string;
  readonly #known = new Set<string>();

  /** @param what how an error names the object itself where it has no path of its own. */
  constructor(value: unknown, path: string, what = path || 'options') {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) {
      throw new InvalidInputError({
        code: value === undefined ? 'ERR_MISSING' : 'ERR_TYPE',
        path: what,
        expected: 'an object',
        received: describe(value),
      });
    }
    this.#object = { ...value } as Record<string, unknown>;
    this.#path = path;
  }

  /** The full path of a field, as errors show it. */
  at(name: string): string {
    return this.#path ? `${this.#path}.${name}` : name;
  }

  /** Own keys, for objects whose names the caller chose. */
  keys(): string[] {
    return Object.keys(this.#object);
  }

  /** The field's value; `undefined` where it is absent. */
  take(name: string): unknown {
    this.#known.add(name);
    return Object.hasOwn(this.#object, name) ? this.#object[name] : undefined;
  }

  required(name: string, expected: string): unknown {
    const value = this.take(name);
    if (value === undefined) {
      // Perhaps it is there under another spelling.
      const sameWord = (key: string) => key !== name && key.toLowerCase() === name.toLowerCase();
      const guess = Object.keys(this.#object).find(sameWord);
      throw new InvalidInputError({
        code: 'ERR_MISSING',
        path: this.at(name),
        expected,
        received: 'undefined',
        ...(guess ? { hint: `Did you mean it by "${guess}"?` } : {}),
      });
    }
    return value;
  }

  number(name: string, rule: NumberRule, fallback?: number): number {
    const value = this.take(name);
    if (value === undefined && fallback !== undefined) return fallback;
    const { min = -Infinity, max = Infinity, above, integer = false } = rule;
    const fits =
      typeof value === 'number' &&
      Number.isFinite(value) &&
      value >= min &&
      value <= max &&
      (above === undefined || value > above) &&
      (!integer || Number.isInteger(value));
    if (fits) return value;
    throw new InvalidInputError({
      code: value === undefined ? 'ERR_MISSING' : typeof value === 'number' ? 'ERR_RANGE' : 'ERR_TYPE',
      path: this.at(name),
      expected: describeRule(rule),
      received: describe(value),
    });
  }

  /** A number, or null for "off". */
  numberOrNull(name: string, rule: NumberRule, fallback: number | null): number | null {
    const value = this.take(name);
    if (value === undefined) return fallback;
    return value === null ? null : this.number(name, rule);
  }

  boolean(name: string, fallback: boolean): boolean {
    const value = this.take(name);
    if (value === undefined) return fallback;
    if (typeof value === 'boolean') return value;
    throw this.#wrong(name, 'ERR_TYPE', 'a boolean', value);
  }

  string(name: string, fallback?: string): string {
    const value = this.has(name) ? this.take(name) : fallback;
    if (typeof value === 'string' && value.length > 0) return value;
    throw this.#wrong(name, value === undefined ? 'ERR_MISSING' : 'ERR_TYPE', 'a non-empty string', value);
  }

  oneOf<const T extends string>(name: string, allowed: readonly T[], fallback?: T): T {
    const value = this.has(name) ? this.take(name) : fallback;
    if ((allowed as readonly unknown[]).includes(value)) return value as T;
    const guess = typeof value === 'string' ? closest(value, allowed) : undefined;
    throw new InvalidInputError({
      code: value === undefined ? 'ERR_MISSING' : typeof value === 'string' ? 'ERR_RANGE' : 'ERR_TYPE',
      path: this.at(name),
      expected: alternatives(allowed),
      received: describe(value),
      ...(guess ? { hint: `Did you mean "${guess}"?` } : {}),
    });
  }

  /** A nested object read by `read`; its unknown keys are refused too. */
  object<T>(name: string, read: (fields: Fields) => T): T {
    const fields = new Fields(this.take(name), this.at(name));
    const result = read(fields);
    fields.end();
    return result;
  }

  has(name: string): boolean {
    return this.take(name) !== undefined;
  }

  /** Refuses every own key that was not read. `context` says why a known key may be out of place here. */
  end(context = ''): void {
    for (const key of Object.keys(this.#object)) {
      if (this.#known.has(key) || this.#object[key] === undefined) continue;
      const known = [...this.#known];
      const guess = closest(key, known);
      throw new InvalidInputError({
        code: 'ERR_UNKNOWN_OPTION',
        path: this.at(key),
        expected: `one of ${known.join(', ')}`,
        received: `unknown option "${key}"${guess ? `, did you mean "${guess}"?` : ''}`,
        ...(context ? { hint: context } : {}),
      });
    }
  }

  #wrong(name: string, code: 'ERR_TYPE' | 'ERR_MISSING', expected: string, value: unknown): InvalidInputError {
    return new InvalidInputError({ code, path: this.at(name), expected, received: describe(value) });
  }
}

function describeRule({ min, max, above, integer = false }: NumberRule): string {
  const kind = integer ? 'an integer' : 'a finite number';
  if (above !== undefined) return `${kind} greater than ${above}${max === undefined ? '' : ` and at most ${max}`}`;
  if (min !== undefined && max !== undefined) return `${integer ? 'an integer' : 'a number'} in [${min}, ${max}]`;
  if (min !== undefined) return `${kind} of at least ${min}`;
  if (max !== undefined) return `${kind} of at most ${max}`;
  return kind;
}
