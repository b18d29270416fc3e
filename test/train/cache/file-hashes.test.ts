import { createHash } from 'node:crypto';
import { appendFile, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { FileHashes, hashFile } from '../../../src/train/cache/file-hashes.js';
import { temporaryFolder } from '../../data/helpers.js';

const dir = temporaryFolder();
const at = (name: string) => path.join(dir, name);
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const open = () => FileHashes.open(at('hashes.json'), () => {});

describe('hashes of files', () => {
  it('are those of the whole file, or of some of its bytes', async () => {
    await writeFile(at('letters'), 'abcdefgh');
    expect(await hashFile(at('letters'))).toBe(sha256('abcdefgh'));
    expect(await hashFile(at('letters'), { range: { start: 2, end: 5 } })).toBe(sha256('cde'));
    const seen: number[] = [];
    await hashFile(at('letters'), { onBytes: done => seen.push(done) });
    expect(seen.at(-1)).toBe(8);
  });

  it('are remembered, and forgotten when the file changes, though size and time are the same', async () => {
    await writeFile(at('weights'), 'one');
    const first = await open();
    expect(await first.of(at('weights'))).toBe(sha256('one'));
    await first.save();

    // What is remembered is used: a planted hash comes back as long as the file is untouched.
    const memo = JSON.parse(await readFile(at('hashes.json'), 'utf8')) as Record<string, { sha256: string }>;
    for (const entry of Object.values(memo)) entry.sha256 = 'planted';
    await writeFile(at('hashes.json'), JSON.stringify(memo));
    expect(await (await open()).of(at('weights'))).toBe('planted');

    const { atime, mtime, size } = await stat(at('weights'));
    await writeFile(at('weights'), 'two');
    await utimes(at('weights'), atime, mtime);
    expect((await stat(at('weights'))).size).toBe(size);
    expect(Math.round((await stat(at('weights'))).mtimeMs)).toBe(mtime.getTime());
    expect(await (await open()).of(at('weights'))).toBe(sha256('two'));
  });

  it('survive a damaged memory, and a folder that is not there', async () => {
    await appendFile(at('hashes.json'), '{{{');
    expect(await (await open()).of(at('weights'))).toBe(sha256('two'));
    const nowhere = await FileHashes.open(at('no/such/hashes.json'), () => {});
    expect(await nowhere.of(at('weights'))).toBe(sha256('two'));
    await nowhere.save();
  });
});
