/**
 * Reads the tables of a 64-bit little-endian ELF shared object that decide where it loads and what it exposes.
 *
 * Own reader instead of objdump/readelf, so that the gate and the package tests need no binutils and can never be skipped.
 */
import { readFileSync } from 'node:fs';

const SectionType = { dynamic: 6, dynamicSymbols: 11, versionNeeds: 0x6ffffffe, versionOfSymbol: 0x6fffffff };
const SegmentType = { stack: 0x6474e551, relro: 0x6474e552 };
const Tag = { needed: 1, rpath: 15, bindNow: 24, runpath: 29, flags: 30, flags1: 0x6ffffffb };
const symbolEntryBytes = 24;
const executable = 1;

/** @typedef {{ library: string, version: string, symbols: string[] }} VersionNeed one version of one library, and who needs it */

/**
 * @param {string} path
 * @returns {{ needed: string[], versions: VersionNeed[], exported: string[], searchPaths: string[], relro: boolean, bindNow: boolean, executableStack: boolean }}
 */
export function readElf(path) {
  const bytes = readFileSync(path);
  if (bytes.toString('latin1', 0, 4) !== '\x7fELF') throw new Error(`${path}: not an ELF file`);
  if (bytes[4] !== 2 || bytes[5] !== 1) throw new Error(`${path}: only 64-bit little-endian ELF is read`);

  const sections = sectionsOf(bytes);
  const section = (type) => sections.find((one) => one.type === type);
  const text = (table, offset) => {
    const start = sections[table.link].offset + offset;
    return bytes.toString('latin1', start, bytes.indexOf(0, start));
  };

  const dynamic = section(SectionType.dynamic);
  const symbols = section(SectionType.dynamicSymbols);
  if (!dynamic || !symbols) throw new Error(`${path}: not a shared object (no dynamic section)`);
  const entries = dynamicEntries(bytes, dynamic);
  const strings = (tag) => entries.filter((one) => one.tag === tag).map((one) => text(dynamic, one.value));
  const flag = (tag, mask) => entries.some((one) => one.tag === tag && (one.value & mask) !== 0);

  const needs = section(SectionType.versionNeeds);
  const versions = needs ? versionNeeds(bytes, needs, text) : new Map();
  const exported = readSymbols(bytes, symbols, section(SectionType.versionOfSymbol), versions, text);
  const segments = segmentsOf(bytes);
  const stack = segments.find((one) => one.type === SegmentType.stack);
  return {
    needed: strings(Tag.needed),
    versions: [...versions.values()],
    exported,
    searchPaths: [...strings(Tag.rpath), ...strings(Tag.runpath)],
    relro: segments.some((one) => one.type === SegmentType.relro),
    bindNow: entries.some((one) => one.tag === Tag.bindNow) || flag(Tag.flags, 8) || flag(Tag.flags1, 1),
    // The loader gives an executable stack to an object that says nothing.
    executableStack: stack === undefined || (stack.flags & executable) !== 0,
  };
}

function sectionsOf(bytes) {
  const [table, size, count] = [
    Number(bytes.readBigUInt64LE(0x28)),
    bytes.readUInt16LE(0x3a),
    bytes.readUInt16LE(0x3c),
  ];
  return Array.from({ length: count }, (_, index) => {
    const at = table + index * size;
    return {
      type: bytes.readUInt32LE(at + 4),
      offset: Number(bytes.readBigUInt64LE(at + 24)),
      size: Number(bytes.readBigUInt64LE(at + 32)),
      link: bytes.readUInt32LE(at + 40),
    };
  });
}

function segmentsOf(bytes) {
  const [table, size, count] = [
    Number(bytes.readBigUInt64LE(0x20)),
    bytes.readUInt16LE(0x36),
    bytes.readUInt16LE(0x38),
  ];
  return Array.from({ length: count }, (_, index) => {
    const at = table + index * size;
    return { type: bytes.readUInt32LE(at), flags: bytes.readUInt32LE(at + 4) };
  });
}

function dynamicEntries(bytes, dynamic) {
  const entries = [];
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 16) {
    entries.push({ tag: Number(bytes.readBigUInt64LE(at)), value: Number(bytes.readBigUInt64LE(at + 8)) });
  }
  return entries;
}

/** The version index that symbols carry -> library and version. */
function versionNeeds(bytes, table, text) {
  const versions = new Map();
  for (let file = table.offset, next = 1; next !== 0; file += next) {
    const library = text(table, bytes.readUInt32LE(file + 4));
    let at = file + bytes.readUInt32LE(file + 8);
    for (let left = bytes.readUInt16LE(file + 2); left > 0; left--) {
      versions.set(bytes.readUInt16LE(at + 6), {
        library,
        version: text(table, bytes.readUInt32LE(at + 8)),
        symbols: [],
      });
      at += bytes.readUInt32LE(at + 12);
    }
    next = bytes.readUInt32LE(file + 12);
  }
  return versions;
}

/** Names the imports in `versions` and returns the exported names. */
function readSymbols(bytes, table, versionTable, versions, text) {
  const exported = [];
  for (let index = 1; index < table.size / symbolEntryBytes; index++) {
    const at = table.offset + index * symbolEntryBytes;
    const name = text(table, bytes.readUInt32LE(at));
    const isDefined = bytes.readUInt16LE(at + 6) !== 0;
    const isLocal = bytes[at + 4] >> 4 === 0;
    if (isDefined && !isLocal) exported.push(name);
    else if (versionTable)
      versions.get(bytes.readUInt16LE(versionTable.offset + 2 * index) & 0x7fff)?.symbols.push(name);
  }
  return exported;
}
