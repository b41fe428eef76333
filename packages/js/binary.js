// Where the program is: the option, the environment, the package of this
// platform that npm has installed with this one, or the PATH.

import { accessSync, constants, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';

const require = createRequire(import.meta.url);
const program = process.platform === 'win32' ? 'webpubsub.exe' : 'webpubsub';

function executable(file) {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

export function findBinary(option) {
  for (const [file, from] of [[option, 'the option binary'], [process.env.WEBPUBSUB_EMULATOR_BINARY, 'WEBPUBSUB_EMULATOR_BINARY']]) {
    if (!file) continue;
    if (executable(file)) return file;
    throw new Error(`webpubsub-emulator: ${from} is ${file}, which is not a program`);
  }
  try {
    return require.resolve(`@webpubsub-emulator/${process.platform}-${process.arch}/${program}`);
  } catch { /* not installed */ }
  for (const dir of (process.env.PATH ?? '').split(delimiter)) {
    if (dir && executable(join(dir, program))) return join(dir, program);
  }
  throw new Error(`webpubsub-emulator: there is no program ${program} for ${process.platform}-${process.arch}: put it in the PATH, or set WEBPUBSUB_EMULATOR_BINARY to its path`);
}
