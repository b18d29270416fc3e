import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cacheFolder, requireSpace } from '../../native/cache.mjs';
import { describeError, SetupError } from '../../native/errors.mjs';
import { flagsFor, processorKey } from '../../native/flags.mjs';
import { installHint, packageManager } from '../../native/hints.mjs';
import { nvidiaGpus, requireSupportedPlatform } from '../../native/platform.mjs';
import { createProgress, formatProgress, formatSeconds } from '../../native/progress.mjs';
import { findPythons } from '../../native/python.mjs';
import { fakePython, REPOSITORY, temporaryFolder } from './fakes.js';

const pins = JSON.parse(readFileSync(join(REPOSITORY, 'native/versions.json'), 'utf8'));

test('names the exact command for the system', () => {
  const hint = (osRelease: string, isRoot = false) => installHint('compiler', { platform: 'linux', osRelease, isRoot });
  expect(hint('ID=debian')).toEqual(['sudo apt-get install -y g++']);
  expect(hint('ID=linuxmint\nID_LIKE="ubuntu debian"', true)).toEqual(['apt-get install -y g++']);
  expect(hint('ID="rocky"\nID_LIKE="rhel centos fedora"')).toEqual(['sudo dnf install -y gcc-c++']);
  expect(hint('ID=unknown')).toHaveLength(3);
  expect(installHint('compiler', { platform: 'darwin' })).toEqual(['xcode-select --install']);
  expect(packageManager('linux', 'VERSION="debian"')).toBeUndefined();
});

test('refuses systems without a TensorFlow library, with a way out', () => {
  const check = (key: string, glibc?: string) => () => requireSupportedPlatform({ key, glibc, wheels: pins.wheels });
  expect(check('linux-x64', '2.36')).not.toThrow();
  expect(check('linux-arm64', '2.27')).not.toThrow();
  expect(check('darwin-arm64')).not.toThrow();
  expect(check('linux-x64', '2.26')).toThrow(/glibc 2.27 or newer; this system has glibc 2.26/);
  expect(check('linux-riscv64', '2.36')).toThrow(/no TensorFlow library is published for linux-riscv64/);
  expect(check('darwin-x64')).toThrow(SetupError);
  expect(check('win32-x64')).toThrow(/Windows/);
});

test('every pin is complete', () => {
  for (const wheels of Object.values<any[]>(pins.wheels)) {
    for (const wheel of wheels) {
      expect(wheel.sha256).toMatch(/^[0-9a-f]{64}$/);
      expect(wheel.size).toBeGreaterThan(1e6);
      expect(wheel.file).toContain(`-${wheel.version}-`);
    }
    expect(wheels[0].version).toBe(pins.tensorflow);
  }
});

test('finds GPUs by nvidia-smi, and none without it or when it fails', async () => {
  const bin = temporaryFolder();
  expect(await nvidiaGpus({ PATH: bin })).toEqual([]);
  const program = join(bin, 'nvidia-smi');
  writeFileSync(program, '#!/bin/sh\necho "NVIDIA H200"\necho "NVIDIA H200"\n');
  chmodSync(program, 0o755);
  expect(await nvidiaGpus({ PATH: bin })).toEqual(['NVIDIA H200', 'NVIDIA H200']);
  writeFileSync(program, '#!/bin/sh\necho "NVIDIA-SMI has failed"\nexit 9\n');
  expect(await nvidiaGpus({ PATH: bin })).toEqual([]);
});

test('finds Pythons on PATH once each, skipping those that do not run', async () => {
  const [first, second, third] = [temporaryFolder(), temporaryFolder(), temporaryFolder()];
  const path = fakePython(first);
  writeFileSync(join(second, 'python'), '#!/bin/sh\nexit 127\n');
  chmodSync(join(second, 'python'), 0o755);
  fakePython(third, { facts: { version: '2.7.18' } });
  const found = await findPythons({ PATH: [first, second, first].join(':') });
  expect(found.map(python => python.executable)).toEqual([path]);
  expect(await findPythons({ PATH: third })).toEqual([]);
  expect((await findPythons({ PATH: '', SHOW1_PYTHON: path }))[0]?.executable).toBe(path);
});

test('the cache folder follows SHOW1_CACHE, XDG_CACHE_HOME, HOME', () => {
  expect(cacheFolder({ SHOW1_CACHE: '/a', XDG_CACHE_HOME: '/b', HOME: '/c' })).toBe('/a/show1');
  expect(cacheFolder({ XDG_CACHE_HOME: '/b', HOME: '/c' })).toBe('/b/show1');
  expect(cacheFolder({ HOME: '/c' })).toBe('/c/.cache/show1');
});

test('a full disk is named with what is needed and free', async () => {
  const folder = temporaryFolder();
  mkdirSync(folder, { recursive: true });
  await requireSpace(folder, 1, 'a byte');
  await expect(requireSpace(folder, 1e18, 'a lot')).rejects.toThrow(/a lot needs 1000000000.0 GB in .* GB are free/);
  const enospc = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  expect(describeError(enospc)).toMatch(/the disk is full: ENOSPC.*\n {2}fix: .*SHOW1_CACHE=/s);
});

test('kernels get the flags of the machine, other sources do not', () => {
  expect(flagsFor('show1/kernels/group_norm.cc').join(' ')).toMatch(/-O3 -m(arch|cpu)=native/);
  expect(flagsFor('binding/tfjs_backend.cc').join(' ')).not.toContain('native');
  expect(processorKey()).toMatch(/^[0-9a-f]{12}$/);
  expect(processorKey()).toBe(processorKey());
});

test('progress shows amounts and the time left', () => {
  const state = { label: 'download', done: 50e6, total: 200e6, unit: 'MB' as const, elapsed: 10 };
  expect(formatProgress(state)).toBe('download   25%  50/200 MB  ETA 30 s');
  expect(formatProgress({ ...state, done: 0 })).toBe('download    0%  0/200 MB');
  expect(formatProgress({ ...state, done: 999e6 })).toBe('download  100%  200/200 MB');
  expect(formatSeconds(61)).toBe('1 min 01 s');
});

test('progress redraws on a terminal and prints a line every few seconds elsewhere', () => {
  for (const isTTY of [true, false]) {
    let time = 0;
    let text = '';
    const stream = { isTTY, columns: 200, write: (s: string) => (text += s) };
    const bar = createProgress(stream, () => time).bar('work', 100, 'steps');
    for (let i = 1; i <= 100; i++) {
      time = i * 120;
      bar.update(i);
    }
    bar.finish();
    expect(text.match(/ETA/g)?.length).toBe(isTTY ? 99 : 2);
    expect(text.includes('\r')).toBe(isTTY);
    expect(text).toMatch(/work done in 12.0 s\n$/);
  }
});
