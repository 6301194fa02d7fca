/**
 * Fails when a Linux add-on asks for more than the oldest supported systems have: glibc 2.28 with the libraries of GCC 8
 * (RHEL 8, Debian 10), which is also what Node 20 itself is built for. Building on a newer system binds newer symbol
 * versions silently, and users then see "version `GLIBC_2.34' not found" at require().
 *
 * node scripts/check_glibc.mjs [file.node ...]      default: every glibc binary in prebuilds/
 */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { readElf } from './elf.mjs';
import { prebuilds, root } from './tree.mjs';

/** prebuildify's name for what is built against glibc; musl has no symbol versions. */
export const isGlibcBinary = (path) => path.endsWith('.glibc.node');

/** Version family -> newest version that every supported system has. */
const newest = { GLIBC: '2.28', GLIBCXX: '3.4.25', CXXABI: '1.3.11', GCC: '7.0.0' };

/** Libraries that are on every glibc system that runs Node. libcuda, libcudart, libgomp are not: require() would fail. */
const everywhere = /^(libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s|ld-linux[-\w]*)\.so\.\d+$/;

function compareVersions(a, b) {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number));
  for (let part = 0; part < Math.max(left.length, right.length); part++) {
    const difference = (left[part] ?? 0) - (right[part] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/**
 * @param {string} path of an ELF add-on
 * @returns {{ highest: Record<string, string>, problems: string[] }} the highest version per family, and what is too new
 */
export function checkGlibc(path) {
  const elf = readElf(path);
  const highest = {};
  const problems = elf.needed.filter((one) => !everywhere.test(one)).map((one) => `links ${one}, not on every system`);
  for (const { library, version, symbols } of elf.versions) {
    const [family, number] = version.split(/_(?=[^_]*$)/);
    const wanted = `${version} of ${library}${symbols.length ? `, needed by ${symbols.join(', ')}` : ''}`;
    // GLIBC_ABI_DT_RELR and the like: a loader feature that old systems refuse.
    if (!(family in newest) || !/^[\d.]+$/.test(number)) {
      problems.push(wanted);
      continue;
    }
    if (compareVersions(number, highest[family] ?? '0') > 0) highest[family] = number;
    if (compareVersions(number, newest[family]) > 0)
      problems.push(`${wanted}; the limit is ${family}_${newest[family]}`);
  }
  return { highest, problems };
}

/** Prints one line per binary. @returns {boolean} whether all are fine */
export function reportGlibc(paths) {
  let isFine = true;
  for (const path of paths) {
    const { highest, problems } = checkGlibc(path);
    const versions = Object.entries(highest).map(([family, version]) => `${family}_${version}`);
    const bytes = readFileSync(path);
    const size = `${bytes.length} bytes (${gzipSync(bytes, { level: 9 }).length} in the tarball)`;
    console.log(`${relative(root, path)}: ${size}, needs at most ${versions.sort().join(', ')}`);
    for (const problem of problems) console.error(`  too new: ${problem}`);
    isFine &&= problems.length === 0;
  }
  return isFine;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const given = process.argv.slice(2);
  const paths = given.length > 0 ? given : prebuilds().filter(isGlibcBinary);
  if (paths.length === 0) {
    console.error('no glibc binary in prebuilds/: run `npm run prebuilds` first');
    process.exit(1);
  }
  process.exit(reportGlibc(paths) ? 0 : 1);
}
