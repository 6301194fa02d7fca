// Prints the add-on's C++ sources, one per line: every .cpp under native/. binding.gyp reads it, so that a new file needs no list;
// CMakeLists.txt globs the same folder itself.
const { readdirSync } = require('node:fs');
const { join } = require('node:path');

const root = join(__dirname, '..');

function sourcesIn(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return sourcesIn(path);
    return entry.name.endsWith('.cpp') ? [path] : [];
  });
}

console.log(sourcesIn('native').sort().join('\n'));
