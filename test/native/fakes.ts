/** What the setup tests stand on: small zip files, a Python that is a shell script, a checkout with another root. */
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';
import { afterEach } from 'vitest';
import type { Wheel } from '../../native/wheel.mjs';

export const REPOSITORY = join(import.meta.dirname, '..', '..');

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A folder that is removed after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'show1-native-'));
  folders.push(folder);
  return folder;
}

export interface FakeEntry {
  name: string;
  data: Uint8Array | string;
  stored?: boolean;
  executable?: boolean;
  /** Written instead of the right one. */
  crc?: number;
}

/** A zip file, written by hand after its specification (APPNOTE 4.3), so that the reader is not tested against itself. */
export function makeZip(entries: FakeEntry[], comment = ''): Buffer {
  const locals: Buffer[] = [];
  const table: Buffer[] = [];
  let offset = 0;
  for (const { name, data, stored = false, executable = false, crc } of entries) {
    const bytes = Buffer.from(data);
    const packed = stored ? bytes : deflateRawSync(bytes);
    const sum = crc ?? crc32(bytes);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(stored ? 0 : 8, 8);
    local.writeUInt32LE(sum, 14);
    local.writeUInt32LE(packed.length, 18);
    local.writeUInt32LE(bytes.length, 22);
    local.writeUInt16LE(Buffer.byteLength(name), 26);
    local.writeUInt16LE(5, 28); // an extra field that only the local header has
    const record = Buffer.alloc(46);
    record.writeUInt32LE(0x02014b50, 0);
    record.writeUInt16LE(stored ? 0 : 8, 10);
    record.writeUInt32LE(sum, 16);
    record.writeUInt32LE(packed.length, 20);
    record.writeUInt32LE(bytes.length, 24);
    record.writeUInt16LE(Buffer.byteLength(name), 28);
    record.writeUInt32LE(((executable ? 0o100755 : 0o100644) << 16) >>> 0, 38);
    record.writeUInt32LE(offset, 42);
    locals.push(local, Buffer.from(name), Buffer.alloc(5), packed);
    table.push(record, Buffer.from(name));
    offset += 30 + Buffer.byteLength(name) + 5 + packed.length;
  }
  const directory = Buffer.concat(table);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  end.writeUInt16LE(comment.length, 20);
  return Buffer.concat([...locals, directory, end, Buffer.from(comment)]);
}

const isMac = process.platform === 'darwin';
export const MAIN_LIBRARY = isMac ? 'libtensorflow_cc.2.dylib' : 'libtensorflow_cc.so.2';
export const FRAMEWORK_LIBRARY = isMac ? 'libtensorflow_framework.2.dylib' : 'libtensorflow_framework.so.2';

/** A wheel as small as can be, and its pin. */
export function makeWheel(folder: string): { wheel: Wheel; path: string } {
  const zip = makeZip([
    { name: `tensorflow/${MAIN_LIBRARY}`, data: 'main library' },
    { name: `tensorflow/${FRAMEWORK_LIBRARY}`, data: 'framework library' },
    { name: 'tensorflow/include/tensorflow/c/eager/c_api.h', data: '// header' },
    { name: 'tensorflow/include/external/llvm-project/big.h', data: '// not needed' },
    { name: 'tensorflow/python/__init__.py', data: '# not needed' },
    { name: 'tensorflow_cpu-9.9.9.dist-info/METADATA', data: 'Name: tensorflow-cpu' },
  ]);
  const file = 'tensorflow_cpu-9.9.9-cp312-cp312-any.whl';
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, file), zip);
  const sha256 = createHash('sha256').update(zip).digest('hex');
  const wheel = { package: 'tensorflow-cpu', version: '9.9.9', file, sha256, size: zip.length, platforms: ['any'] };
  return { wheel, path: join(folder, file) };
}

/**
 * Writes a program named python3 into `folder`: it answers the question for its facts, and runs `pip` (a shell script that
 * sees the arguments of `pip download`) otherwise.
 */
export function fakePython(
  folder: string,
  { pip = 'exit 1', facts = {} }: { pip?: string; facts?: object } = {},
): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'python3');
  const answer = JSON.stringify({ executable: path, version: '3.12.1', pip: true, tensorflow: [], ...facts });
  writeFileSync(path, `#!/bin/sh\nif [ "$1" = -c ]; then echo '${answer}'; exit 0; fi\n${pip}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** Shell text: copies `from` to the folder given by --dest. */
export const copyToDest = (from: string): string => `while [ "$1" != --dest ]; do shift; done; /bin/cp '${from}' "$2/"`;

/** Another checkout: its own copy of native/ and of the npm package's sources, without a native binding. */
export function fakeCheckout(): string {
  const root = temporaryFolder();
  writeFileSync(join(root, 'package.json'), '{"name": "show1"}');
  cpSync(join(REPOSITORY, 'native'), join(root, 'native'), { recursive: true });
  const from = join(REPOSITORY, 'node_modules/@tensorflow/tfjs-node-gpu');
  const to = join(root, 'node_modules/@tensorflow/tfjs-node-gpu');
  for (const name of ['package.json', 'binding', 'scripts']) {
    mkdirSync(dirname(join(to, name)), { recursive: true });
    cpSync(join(from, name), join(to, name), { recursive: true });
  }
  mkdirSync(join(root, 'node_modules/.bin'));
  symlinkSync(join(REPOSITORY, 'node_modules/node-api-headers'), join(root, 'node_modules/node-api-headers'));
  return root;
}
