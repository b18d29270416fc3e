import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { findCompiler } from '../../native/compile.mjs';
import { silent } from '../../native/progress.mjs';
import { ensureSetup, setup as runSetup } from '../../native/setup.mjs';
import { checkState } from '../../native/state.mjs';
import { FRAMEWORK_LIBRARY, fakeCheckout, fakePython, MAIN_LIBRARY, temporaryFolder } from './fakes.js';

const bindingOf = (root: string) => join(root, 'node_modules/@tensorflow/tfjs-node-gpu/lib/napi-v8/tfjs_binding.node');

function setup(root: string, env: NodeJS.ProcessEnv, ...args: string[]) {
  const result = spawnSync(process.execPath, [join(root, 'native/setup.mjs'), ...args], { env, encoding: 'utf8' });
  return { code: result.status, text: result.stderr };
}

/** A folder that looks like TensorFlow from outside. */
function hollowTensorflow(): string {
  const folder = temporaryFolder();
  for (const name of [MAIN_LIBRARY, FRAMEWORK_LIBRARY]) writeFileSync(join(folder, name), '');
  spawnSync('/bin/mkdir', ['-p', join(folder, 'include/tensorflow/c/eager')]);
  writeFileSync(join(folder, 'include/tensorflow/c/eager/c_api.h'), '');
  return folder;
}

test('prepares another clone from the shared cache, repeats without work, and notices changes', async () => {
  const root = fakeCheckout();
  expect(checkState(root)).toMatchObject({ ok: false, why: 'the native binding has not been built' });
  const lines: string[] = [];
  const progress = { ...silent, log: (line: string) => lines.push(line) };
  const stamp = await ensureSetup({ root, progress });
  expect(stamp.tensorflow.libraries).toHaveLength(2);
  expect(lines.at(-1)).toMatch(/a convolution and its gradients are right/);
  expect(checkState(root)).toMatchObject({ ok: true });

  const { mtimeMs, ino } = statSync(bindingOf(root));
  lines.length = 0;
  expect(await ensureSetup({ root, progress })).toEqual(stamp);
  expect(lines).toEqual([]);
  expect(statSync(bindingOf(root))).toMatchObject({ mtimeMs, ino });

  const extension = join(root, 'native/show1_ext.cc');
  const original = readFileSync(extension);
  appendFileSync(extension, '\n// changed\n');
  expect(checkState(root)).toMatchObject({ ok: false, why: expect.stringContaining('sources') });
  writeFileSync(extension, original);
  appendFileSync(bindingOf(root), 'x');
  expect(checkState(root)).toMatchObject({ ok: false, why: 'the native binding was replaced' });
  await ensureSetup({ root, progress });
  expect(checkState(root).ok).toBe(true);

  const file = join(root, 'node_modules/@tensorflow/tfjs-node-gpu/lib/napi-v8/show1.json');
  writeFileSync(file, JSON.stringify({ ...stamp, processor: 'another' }));
  expect(checkState(root)).toMatchObject({ ok: false, why: expect.stringContaining('another processor') });
  const [main] = stamp.tensorflow.libraries;
  const libraries = [{ ...main!, size: main!.size + 1 }];
  writeFileSync(file, JSON.stringify({ ...stamp, tensorflow: { ...stamp.tensorflow, libraries } }));
  expect(checkState(root)).toMatchObject({ ok: false, why: expect.stringContaining(main!.path) });
  expect(readdirSync(join(bindingOf(root), '..')).sort()).toEqual(['show1.json', 'tfjs_binding.node']);
});

test('a CUDA build stays in place on a machine without a GPU, unless the CPU build is asked for', async () => {
  const root = fakeCheckout();
  const stamp = await ensureSetup({ root, progress: silent });
  const cuda = { ...stamp, tensorflow: { ...stamp.tensorflow, variant: 'cuda' } };
  writeFileSync(join(bindingOf(root), '..', 'show1.json'), JSON.stringify(cuda));
  const lines: string[] = [];
  const progress = { ...silent, log: (line: string) => lines.push(line) };
  const env = { ...process.env, PATH: temporaryFolder(), SHOW1_TENSORFLOW: undefined };
  expect((await runSetup({ root, progress, env })).tensorflow.variant).toBe('cuda');
  expect(lines).toEqual([expect.stringMatching(/^in place: /)]);
  expect((await runSetup({ root, progress: silent, device: 'cpu' })).tensorflow).toEqual(stamp.tensorflow);
});

test('without a compiler it says how to install one and changes nothing', () => {
  const root = fakeCheckout();
  const env = { PATH: temporaryFolder(), SHOW1_CACHE: temporaryFolder(), SHOW1_TENSORFLOW: hollowTensorflow() };
  const { code, text } = setup(root, env);
  expect(code).toBe(1);
  expect(text).toMatch(/show1 setup: no C\+\+ compiler: none of .* is on PATH/);
  expect(text).toMatch(/fix: .*(g\+\+|gcc|xcode-select)/);
  expect(text).not.toContain('    at ');
  expect(existsSync(bindingOf(root))).toBe(false);
});

test('a compiler that fails is quoted, with the remedy', async () => {
  const root = fakeCheckout();
  const bin = temporaryFolder();
  const compiler = join(bin, 'g++');
  writeFileSync(
    compiler,
    '#!/bin/sh\n[ "$1" = --version ] && echo "g++ 1.0" && exit 0\necho "x.cc:1: error: too old"\nexit 1\n',
    {
      mode: 0o755,
    },
  );
  const env = { PATH: '', CXX: compiler, SHOW1_CACHE: temporaryFolder(), SHOW1_TENSORFLOW: hollowTensorflow() };
  const { code, text } = setup(root, env);
  expect(code).toBe(1);
  expect(text).toMatch(/g\+\+ 1\.0\) could not build the binding:\n.*too old/);
  expect(text).toContain('CXX=');
  expect(await findCompiler({ PATH: '', CXX: compiler })).toMatchObject({ command: compiler, version: 'g++ 1.0' });
  await expect(findCompiler({ PATH: '', CXX: '/nowhere/g++' })).rejects.toThrow('CXX=/nowhere/g++ does not run');
});

test('without Python it says how to install it', () => {
  const root = fakeCheckout();
  // The package's own download must not be tried from a test.
  const script = join(root, 'node_modules/@tensorflow/tfjs-node-gpu/scripts/install.js');
  writeFileSync(script, "throw new Error('getaddrinfo ENOTFOUND host.example')");
  const { code, text } = setup(root, { PATH: temporaryFolder(), SHOW1_CACHE: temporaryFolder() });
  expect(code).toBe(1);
  expect(text).toMatch(/no Python 3 on PATH/);
  expect(text).toMatch(/fix: .*(python|xcode-select)/);
});

test('missing npm packages and unknown arguments are named', () => {
  const root = fakeCheckout();
  expect(setup(root, {}, '--device', 'tpu')).toMatchObject({
    code: 1,
    text: expect.stringContaining('auto, cpu, cuda'),
  });
  expect(setup(root, {}, '--bogus').text).toMatch(/--bogus.*\n {2}fix: npm run setup/);
  spawnSync('/bin/rm', ['-r', join(root, 'node_modules')]);
  expect(setup(root, {}).text).toMatch(/tfjs-node-gpu is not installed.*\n {2}fix: .*npm ci/);
});

test.each(['SIGINT', 'SIGTERM'] as const)('%s ends it with 130 and nothing half-made', async signal => {
  const root = fakeCheckout();
  const [bin, cache] = [temporaryFolder(), temporaryFolder()];
  const began = join(bin, 'began');
  fakePython(bin, { pip: `echo $$ > '${began}'; exec /bin/sleep 60` });
  const child: ChildProcess = spawn(process.execPath, [join(root, 'native/setup.mjs')], {
    env: { PATH: bin, SHOW1_CACHE: cache },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let text = '';
  child.stderr!.on('data', chunk => {
    text += chunk;
  });
  const ended = new Promise<number | null>(resolve => child.on('close', resolve));
  for (let i = 0; i < 400 && !existsSync(began); i++) await sleep(25);
  expect(readdirSync(join(cache, 'show1')).some(name => name.endsWith('.lock'))).toBe(true);
  child.kill(signal);
  expect(await ended).toBe(130);
  expect(text).toMatch(/interrupted/);
  expect(readdirSync(join(cache, 'show1'))).toEqual([]);
  const pid = Number(readFileSync(began, 'utf8'));
  for (let i = 0; i < 100 && isAlive(pid); i++) await sleep(20);
  expect(isAlive(pid)).toBe(false);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
