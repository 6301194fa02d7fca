/** native/ops.h, as the add-on itself describes it, against lib/ops.ts: the same ops, records, fields, types, spellings. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { loadNative, nativeFailure } from '../lib/backend/native.js';
import { readContract } from './support/ts_contract.js';

const native = loadNative();
if (native === null) throw new Error(nativeFailure());
const { schema } = native;
const contract = readContract(new URL('../lib/ops.ts', import.meta.url));

const ARRAYS: Readonly<Record<string, string>> = {
  float: 'Float32Array',
  double: 'Float64Array',
  int32_t: 'Int32Array',
  uint8_t: 'Uint8Array',
};
const SCALARS: Readonly<Record<string, string>> = { bool: 'boolean', double: 'number', int32_t: 'number' };
const NAMED_ENUMS: Readonly<Record<string, string>> = { DType: 'DTypeOfLogits' };

/** The TypeScript spelling of a C++ field type, without `| null`. */
function tsType(type: string): string {
  const view = /^View<(?:const )?(\w+)>$/.exec(type);
  if (view) return ARRAYS[view[1]] ?? `no TypeScript array for ${type}`;
  const list = /^List<(\w+)>$/.exec(type);
  if (list) return `readonly ${list[1]}Args[]`;
  const maybe = /^Maybe<(\w+)>$/.exec(type);
  if (maybe) return `${maybe[1]}Args`;
  if (type === 'Rows' || type === 'ConstRows') return 'Rows';
  if (type in SCALARS) return SCALARS[type];
  if (type in schema.enums) return type;
  return `${type}Args`;
}

test('the same ops with the same records', () => {
  const expected = Object.fromEntries(Object.entries(schema.ops).map(([op, record]) => [op, `${record}Args`]));
  expect(contract.ops).toEqual(expected);
  expect(Object.keys(contract.ops)).toEqual(Object.keys(schema.ops));
});

describe.each(Object.entries(schema.records))('record %s', (record, fields) => {
  const declared = contract.interfaces[`${record}Args`];

  test('has the same fields in the same order', () => {
    expect(declared?.map(([name]) => name)).toEqual(Object.keys(fields));
  });

  test('has matching types; only arrays and nested records may be null', () => {
    for (const [name, type] of declared) {
      expect(`${name}: ${type.replace(/ \| null$/, '')}`).toBe(`${name}: ${tsType(fields[name])}`);
      if (type.endsWith('| null')) expect(fields[name], `${name} is nullable`).toMatch(/^(View|Maybe)</);
    }
  });
});

test('every record of the contract is one of the add-on', () => {
  const records = Object.keys(contract.interfaces).filter((name) => name.endsWith('Args'));
  expect(records.sort()).toEqual(
    Object.keys(schema.records)
      .map((record) => `${record}Args`)
      .sort(),
  );
});

test('fields that native/ops.h documents as "or null" are nullable, and nothing else is', () => {
  const source = readFileSync(new URL('../native/ops.h', import.meta.url), 'utf8');
  for (const [record, fields] of Object.entries(schema.records)) {
    const body = new RegExp(`#define (TURNWISE_\\w+)\\(F\\)([\\s\\S]*?)TURNWISE_RECORD\\(${record}, \\1\\)`).exec(
      source,
    );
    expect(body, record).not.toBeNull();
    for (const [name, type] of contract.interfaces[`${record}Args`]) {
      const line = new RegExp(`, ${name}\\)[^\\n]*`).exec(body?.[2] ?? '')?.[0] ?? '';
      const optional = /or null|null:|, by |Maybe</.test(line) || fields[name].startsWith('Maybe<');
      // `spanEnds` has no comment of its own: it comes and goes with spanStarts.
      expect(type.endsWith('| null'), `${record}.${name}: ${line}`).toBe(optional || name === 'spanEnds');
    }
  }
});

describe.each(Object.entries(schema.enums))('enum %s', (name, spellings) => {
  test('has the same spellings in the same order', () => {
    const slots: Record<string, string> = { Metric: 'METRIC_SLOTS', GroupStat: 'GROUP_STAT_SLOTS' };
    const declared = name in slots ? contract.lists[slots[name]] : contract.unions[NAMED_ENUMS[name] ?? name];
    expect(declared).toEqual(spellings);
  });
});

test('every union and list of the contract is an enum of the add-on', () => {
  const names = Object.keys(contract.unions).map((name) => (name === 'DTypeOfLogits' ? 'DType' : name));
  const known = ['Metric', 'GroupStat', ...names.filter((name) => name !== 'MetricSlot' && name !== 'GroupStatSlot')];
  expect(known.sort()).toEqual(Object.keys(schema.enums).sort());
});
