import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { extractEntry, listZip } from '../../native/zip.mjs';
import { type FakeEntry, makeZip, temporaryFolder } from './fakes.js';

const large = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * i) % 251));

function write(entries: FakeEntry[], comment?: string): string {
  const file = join(temporaryFolder(), 'a.zip');
  writeFileSync(file, makeZip(entries, comment));
  return file;
}

async function extractAll(file: string): Promise<string> {
  const dest = temporaryFolder();
  for (const entry of await listZip(file)) await extractEntry(file, entry, dest);
  return dest;
}

test('unpacks stored, deflated, empty and large entries, and keeps the run bit', async () => {
  const file = write(
    [
      { name: 'a/small.txt', data: 'small' },
      { name: 'a/b/stored.bin', data: Buffer.from([0, 255, 1]), stored: true },
      { name: 'empty', data: '' },
      { name: 'empty-stored', data: '', stored: true },
      { name: 'large.bin', data: large },
      { name: 'large-stored.bin', data: large, stored: true },
      { name: 'bin/tool', data: '#!', executable: true },
    ],
    'a comment after the end record',
  );
  const dest = await extractAll(file);
  const read = (name: string) => readFileSync(join(dest, name));
  expect(read('a/small.txt').toString()).toBe('small');
  expect([...read('a/b/stored.bin')]).toEqual([0, 255, 1]);
  expect(read('empty').length).toBe(0);
  expect(read('empty-stored').length).toBe(0);
  expect(read('large.bin').equals(large)).toBe(true);
  expect(read('large-stored.bin').equals(large)).toBe(true);
  expect(statSync(join(dest, 'bin/tool')).mode & 0o111).toBe(0o111);
  expect(statSync(join(dest, 'a/small.txt')).mode & 0o111).toBe(0);
});

test('reports unpacked bytes as they come', async () => {
  const file = write([{ name: 'large.bin', data: large }]);
  const [entry] = await listZip(file);
  let bytes = 0;
  await extractEntry(file, entry!, temporaryFolder(), n => {
    bytes += n;
  });
  expect(bytes).toBe(large.length);
});

test.each([
  ['small', 'data'],
  ['large', large],
])('refuses a wrong checksum and leaves no %s file behind', async (_, data) => {
  const file = write([{ name: 'x', data, crc: 1 }]);
  const [entry] = await listZip(file);
  const dest = temporaryFolder();
  await expect(extractEntry(file, entry!, dest)).rejects.toMatchObject({ code: 'zip.corrupt' });
  expect(() => statSync(join(dest, 'x'))).toThrow('ENOENT');
});

test('refuses damaged data, a cut file and a file that is no zip', async () => {
  const zip = makeZip([{ name: 'x', data: large }]);
  const file = join(temporaryFolder(), 'damaged.zip');
  const damaged = Buffer.from(zip);
  damaged.fill(0xee, 2000, 2200);
  writeFileSync(file, damaged);
  const [entry] = await listZip(file);
  await expect(extractEntry(file, entry!, temporaryFolder())).rejects.toMatchObject({ code: 'zip.corrupt' });

  writeFileSync(file, zip.subarray(0, zip.length - 100));
  await expect(listZip(file)).rejects.toThrow(/no end record/);
  writeFileSync(file, 'short');
  await expect(listZip(file)).rejects.toMatchObject({ code: 'zip.corrupt' });
});

test.each(['../outside', '/absolute', 'a/../../b'])('refuses an entry named %s', async name => {
  const file = write([{ name, data: 'x' }]);
  const [entry] = await listZip(file);
  await expect(extractEntry(file, entry!, temporaryFolder())).rejects.toThrow(/points outside/);
});
