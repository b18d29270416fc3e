import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { readMemory, readProcessor } from '../../src/engine/machine.js';

const GiB = 2 ** 30;
const roots: string[] = [];
afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true });
});

/** A file system root with the given files. */
function machine(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'show1-machine-'));
  roots.push(root);
  const meminfo = 'MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:   12582912 kB\n';
  for (const [name, text] of Object.entries({ 'proc/meminfo': meminfo, ...files })) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return root;
}

test('without a container the machine is the limit', () => {
  const root = machine({ 'proc/self/cgroup': '0::/user.slice\n', 'sys/fs/cgroup/user.slice/memory.max': 'max\n' });
  expect(readMemory(root)).toEqual({ total: 16 * GiB, limit: 16 * GiB, available: 12 * GiB, source: 'machine' });
});

test('cgroup v2: the tightest limit up the tree holds; cached file pages give way', () => {
  const root = machine({
    'proc/self/cgroup': '0::/a/b\n',
    'sys/fs/cgroup/a/memory.max': `${4 * GiB}\n`,
    'sys/fs/cgroup/a/memory.current': `${3 * GiB}\n`,
    'sys/fs/cgroup/a/memory.stat': `anon 5\ninactive_file ${GiB}\n`,
    'sys/fs/cgroup/a/b/memory.max': `${8 * GiB}\n`,
    'sys/fs/cgroup/a/b/memory.current': '0\n',
  });
  expect(readMemory(root)).toEqual({ total: 16 * GiB, limit: 4 * GiB, available: 2 * GiB, source: 'cgroup v2 /a' });
});

test('cgroup v2 inside a container, where the group is the root', () => {
  const root = machine({
    'proc/self/cgroup': '0::/\n',
    'sys/fs/cgroup/memory.max': `${GiB}\n`,
    'sys/fs/cgroup/memory.current': `${GiB / 2}\n`,
  });
  expect(readMemory(root)).toMatchObject({ limit: GiB, available: GiB / 2 });
});

test('cgroup v1, and its way of saying "no limit"', () => {
  const files = (limit: string) => ({
    'proc/self/cgroup': '5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n',
    'sys/fs/cgroup/memory/memory.limit_in_bytes': `${limit}\n`,
    'sys/fs/cgroup/memory/memory.usage_in_bytes': `${GiB}\n`,
  });
  expect(readMemory(machine(files(String(2 * GiB))))).toMatchObject({
    limit: 2 * GiB,
    available: GiB,
    source: 'cgroup v1 /',
  });
  expect(readMemory(machine(files('9223372036854771712')))).toMatchObject({ source: 'machine' });
});

test('names instruction sets that matter, and counts threads within the quota', () => {
  const cpuinfo = 'model name\t: Fast CPU \nflags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16 avx512f_other\n';
  const root = machine({ 'proc/cpuinfo': cpuinfo, 'sys/fs/cgroup/cpu.max': '150000 100000\n' });
  const features = ['avx2', 'avx512f', 'avx512_bf16', 'amx_bf16'];
  expect(readProcessor(root, 8)).toEqual({ model: 'Fast CPU', threads: 1, features });
  expect(readProcessor(machine({ 'proc/cpuinfo': cpuinfo, 'sys/fs/cgroup/cpu.max': 'max 100000\n' }), 8).threads).toBe(
    8,
  );
});

test('reads this machine', () => {
  const memory = readMemory();
  expect(memory.available).toBeGreaterThan(0);
  expect(memory.limit).toBeGreaterThanOrEqual(memory.available);
  expect(memory.total).toBeGreaterThanOrEqual(memory.limit);
  expect(readProcessor().threads).toBeGreaterThanOrEqual(1);
});
