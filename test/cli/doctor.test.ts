import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { describeFacts } from '../../src/cli/doctor.js';
import type { RuntimeFacts } from '../../src/engine/runtime.js';

const ROOT = join(import.meta.dirname, '..', '..');

function show1(args: string[], env: NodeJS.ProcessEnv = process.env) {
  return spawnSync(process.execPath, [join(ROOT, 'bin/show1.js'), ...args], { encoding: 'utf8', env });
}

test('prints one JSON document on stdout, and exits 0 when nothing is missing', () => {
  const { status, stdout } = show1(['doctor', '--json']);
  const report = JSON.parse(stdout);
  expect(report).toMatchObject({
    ok: true,
    node: { version: process.versions.node },
    convolution: { ok: true },
    ffmpeg: { path: expect.any(String), version: expect.any(String) },
    problems: [],
  });
  expect(status).toBe(0);
});

test('exits 1 and names the remedy when ffmpeg is not to be had', () => {
  const { status, stdout, stderr } = show1(['doctor'], { ...process.env, FFMPEG_PATH: '/nowhere/ffmpeg' });
  expect(status).toBe(1);
  expect(stdout).toMatch(/problem: FFMPEG_PATH=\/nowhere\/ffmpeg does not exist.*\n\s+fix: /);
  expect(stdout + stderr).not.toMatch(/^ {4}at /m);
});

test('the report names every fact', () => {
  const facts: RuntimeFacts = {
    node: { version: '20.1.0' },
    platform: { system: 'linux', arch: 'x64', release: '6', glibc: '2.36' },
    processor: { model: 'Fast CPU', threads: 2, features: ['avx512_bf16'] },
    memory: { total: 32 * 2 ** 30, limit: 16 * 2 ** 30, available: 8 * 2 ** 30, source: 'cgroup v2 /a' },
    tensorflow: { version: '2.21.0', build: 'cuda', source: 'wheel', detail: 'pip wheel', compiler: 'g++' },
    device: { requested: 'auto', kind: 'cuda', names: ['/job:x/device:GPU:0'], why: 'TensorFlow uses H200' },
    gpus: ['H200'],
    dtypes: { float32: { ok: true, ms: 3 }, float16: { ok: false, error: 'no kernel' } },
    convolution: { ok: true },
    problems: [],
  };
  const text = describeFacts(facts, {}).join('\n');
  for (const part of ['20.1.0 on linux x64, glibc 2.36', 'Fast CPU, 2 threads, avx512_bf16', '16 GiB (cgroup v2 /a)']) {
    expect(text).toContain(part);
  }
  expect(text).toContain('2.21.0 (cuda build) from pip wheel');
  expect(text).toContain('cuda: TensorFlow uses H200 [GPU:0]');
  expect(text).toContain('not usable: no kernel');
  expect(text).toMatch(/ready$/);
});
