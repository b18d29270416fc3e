import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { silent } from '../../native/progress.mjs';
import { findPythons } from '../../native/python.mjs';
import { explainPip, verifyWheel, type Wheel } from '../../native/wheel.mjs';
import { installWheels, isComplete } from '../../native/wheels.mjs';
import {
  copyToDest,
  FRAMEWORK_LIBRARY,
  fakePython,
  MAIN_LIBRARY,
  makeWheel,
  REPOSITORY,
  temporaryFolder,
} from './fakes.js';

async function install(cache: string, wheel: Wheel, bin: string, localFolder?: string): Promise<string> {
  const env = { PATH: bin };
  const pythons = await findPythons(env);
  const pins = { pythonTag: '3.12' };
  return installWheels({ cache, variant: 'cpu', wheels: [wheel], pins, pythons, progress: silent, env, localFolder });
}

test('downloads by pip, keeps libraries and headers only, and removes the wheel', async () => {
  const [cache, bin, shelf] = [temporaryFolder(), temporaryFolder(), temporaryFolder()];
  const { wheel, path } = makeWheel(shelf);
  fakePython(bin, { pip: copyToDest(path) });
  const folder = await install(cache, wheel, bin);
  expect(folder).toBe(join(cache, `tensorflow-cpu-9.9.9-${wheel.sha256.slice(0, 8)}`));
  expect(readFileSync(join(folder, 'tensorflow', MAIN_LIBRARY), 'utf8')).toBe('main library');
  expect(existsSync(join(folder, 'tensorflow/include/tensorflow/c/eager/c_api.h'))).toBe(true);
  expect(existsSync(join(folder, 'tensorflow/include/external'))).toBe(false);
  expect(existsSync(join(folder, 'tensorflow/python'))).toBe(false);
  expect(readdirSync(cache)).toEqual([folder.slice(cache.length + 1)]);
});

test('a second call downloads nothing; a damaged library is brought again', async () => {
  const [cache, bin, shelf] = [temporaryFolder(), temporaryFolder(), temporaryFolder()];
  const { wheel, path } = makeWheel(shelf);
  const log = join(shelf, 'log');
  fakePython(bin, { pip: `echo x >> '${log}'; ${copyToDest(path)}` });
  const folder = await install(cache, wheel, bin);
  await install(cache, wheel, bin);
  expect(readFileSync(log, 'utf8')).toBe('x\n');
  writeFileSync(join(folder, 'tensorflow', FRAMEWORK_LIBRARY), 'cut');
  expect(isComplete(folder)).toBe(false);
  await install(cache, wheel, bin);
  expect(readFileSync(log, 'utf8')).toBe('x\nx\n');
  expect(isComplete(folder)).toBe(true);
});

test('refuses a file with another hash and leaves nothing behind', async () => {
  const [cache, bin, shelf] = [temporaryFolder(), temporaryFolder(), temporaryFolder()];
  const { wheel, path } = makeWheel(shelf);
  writeFileSync(path, 'something else');
  fakePython(bin, { pip: copyToDest(path) });
  await expect(install(cache, wheel, bin)).rejects.toMatchObject({
    code: 'hash.mismatch',
    message: expect.stringContaining(wheel.sha256),
  });
  expect(readdirSync(cache)).toEqual([]);
  await expect(verifyWheel(path, wheel)).rejects.toThrow(/is not the pinned file/);
});

test('takes wheels from a folder that the user names, and says which one is missing', async () => {
  const [cache, shelf] = [temporaryFolder(), temporaryFolder()];
  const { wheel, path } = makeWheel(shelf);
  const folder = await install(cache, wheel, '/nonexistent', shelf);
  expect(isComplete(folder)).toBe(true);
  expect(existsSync(path)).toBe(true);
  const empty = temporaryFolder();
  await expect(install(temporaryFolder(), wheel, '/nonexistent', empty)).rejects.toThrow(
    `${join(empty, wheel.file)} is missing`,
  );
});

test('without Python, or with one that has no pip, the remedy installs it', async () => {
  const { wheel } = makeWheel(temporaryFolder());
  const bin = temporaryFolder();
  await expect(install(temporaryFolder(), wheel, bin)).rejects.toMatchObject({ code: 'python.missing' });
  fakePython(bin, { facts: { pip: false } });
  await expect(install(temporaryFolder(), wheel, bin)).rejects.toMatchObject({
    code: 'pip.missing',
    fix: [expect.stringContaining('pip')],
  });
});

test('two processes at once download once', async () => {
  const [cache, bin, shelf] = [temporaryFolder(), temporaryFolder(), temporaryFolder()];
  const { wheel, path } = makeWheel(shelf);
  const log = join(shelf, 'log');
  fakePython(bin, { pip: `echo x >> '${log}'; /bin/sleep 1; ${copyToDest(path)}` });
  const script = `
    const { installWheels } = await import('${pathToFileURL(join(REPOSITORY, 'native/wheels.mjs')).href}');
    const progress = { log: line => console.log(line), bar: () => ({ update() {}, finish() {} }) };
    const pythons = [{ executable: '${join(bin, 'python3')}', version: '3.12.1', pip: true, tensorflow: [] }];
    await installWheels({ cache: '${cache}', variant: 'cpu', wheels: [${JSON.stringify(wheel)}],
      pins: { pythonTag: '3.12' }, pythons, progress, env: process.env });`;
  const run = () =>
    new Promise<{ code: number | null; out: string }>(resolve => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let out = '';
      child.stdout.on('data', text => {
        out += text;
      });
      child.on('close', code => resolve({ code, out }));
    });
  const results = await Promise.all([run(), run()]);
  expect(results.map(r => r.code)).toEqual([0, 0]);
  expect(results.map(r => r.out).join('')).toMatch(/another setup \(process \d+ on .*\) is fetching TensorFlow/);
  expect(readFileSync(log, 'utf8')).toBe('x\n');
});

test.each([
  [
    `ERROR: THESE PACKAGES DO NOT MATCH THE HASHES ...\n  Got        ${'a'.repeat(64)}`,
    'hash.mismatch',
    'a'.repeat(64),
  ],
  ['OSError: [Errno 28] No space left on device', 'disk.full', 'tensorflow-cpu 9.9.9'],
  ['/usr/bin/python3: No module named pip', 'pip.missing', 'has no pip'],
  ['Temporary failure in name resolution\nERROR: No matching distribution found', 'download.failed', 'name resolution'],
  ['ERROR: something new', 'pip.failed', 'something new'],
])('explains what pip says: %s', (output, code, text) => {
  const { wheel } = makeWheel(temporaryFolder());
  const error = explainPip(output, wheel, { executable: 'python3', pythonTag: '3.12' });
  expect(error.code).toBe(code);
  expect(error.message).toContain(text);
  expect(error.fix.length).toBeGreaterThan(0);
});

test('a failed download names the command that fetches the wheel elsewhere', () => {
  const { wheel } = makeWheel(temporaryFolder());
  const { fix } = explainPip('Connection refused', wheel, { executable: 'python3', pythonTag: '3.12' });
  expect(fix.join('\n')).toContain('pip download --no-deps');
  expect(fix.join('\n')).toContain(`SHOW1_TENSORFLOW=/path/to/${wheel.file}`);
});
