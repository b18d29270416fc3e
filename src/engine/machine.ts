/** What this machine offers, as the limits of its container and processor say, not only its hardware. */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';

export interface Memory {
  /** Bytes of memory in the machine. */
  total: number;
  /** Bytes that this process may use: the machine's, or the container's limit where that is less. */
  limit: number;
  /** Bytes that can be taken now without swapping, within the limit. */
  available: number;
  /** Where `limit` comes from, e.g. `machine`, `cgroup v2 /user.slice`. */
  source: string;
}

export interface Processor {
  model: string;
  /** Threads that this process may run at once: affinity and the container's quota count. */
  threads: number;
  /** Instruction sets that matter for speed here, in the kernel's names: avx2, avx512f, avx512_bf16, amx_bf16 … */
  features: string[];
}

/** Instruction sets worth naming, on x86 and on ARM. */
const FEATURES = [
  'avx',
  'avx2',
  'fma',
  'avx512f',
  'avx512_bf16',
  'avx512_fp16',
  'amx_tile',
  'amx_bf16',
  'asimd',
  'sve',
  'bf16',
];

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function readBytes(file: string): number | undefined {
  const text = read(file)?.trim();
  const value = text === undefined || text === '' ? Number.NaN : Number(text);
  // cgroup v1 writes "no limit" as a number near 2^63, v2 as `max`.
  return Number.isFinite(value) && value < 2 ** 60 ? value : undefined;
}

interface Group {
  name: string;
  folder: string;
  limit: string;
  usage: string;
}

/** The memory control groups of this process, innermost first; a limit anywhere up the tree holds. */
function memoryGroups(root: string): Group[] {
  const groups: Group[] = [];
  for (const line of (read(join(root, 'proc/self/cgroup')) ?? '').split('\n')) {
    const [id, controllers = '', path = '/'] = line.split(':');
    const isV2 = id === '0' && controllers === '';
    if (!isV2 && !controllers.split(',').includes('memory')) continue;
    const base = join(root, 'sys/fs/cgroup', isV2 ? '' : 'memory');
    const parts = path.split('/').filter(Boolean);
    for (let depth = parts.length; depth >= 0; depth--) {
      const own = parts.slice(0, depth).join('/');
      groups.push({
        name: `cgroup ${isV2 ? 'v2' : 'v1'} /${own}`,
        folder: join(base, own),
        limit: isV2 ? 'memory.max' : 'memory.limit_in_bytes',
        usage: isV2 ? 'memory.current' : 'memory.usage_in_bytes',
      });
    }
  }
  return groups;
}

/**
 * Memory of the machine and of this process's container.
 * @param root where `proc` and `sys` are, for tests
 */
export function readMemory(root = '/', machineTotal = totalmem()): Memory {
  const info = read(join(root, 'proc/meminfo')) ?? '';
  const field = (name: string): number | undefined => {
    const match = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(info);
    return match ? Number(match[1]) * 1024 : undefined;
  };
  const total = field('MemTotal') ?? machineTotal;
  let limit = total;
  let available = field('MemAvailable') ?? total;
  let source = 'machine';
  for (const group of memoryGroups(root)) {
    const groupLimit = readBytes(join(group.folder, group.limit));
    if (groupLimit === undefined || groupLimit >= limit) continue;
    limit = groupLimit;
    source = group.name;
    const usage = readBytes(join(group.folder, group.usage)) ?? 0;
    // Cached file pages count as used but give way.
    const cache = /^(?:inactive_file|total_inactive_file) (\d+)/m.exec(read(join(group.folder, 'memory.stat')) ?? '');
    available = Math.min(available, Math.max(0, groupLimit - usage + Number(cache?.[1] ?? 0)));
  }
  return { total, limit, available: Math.min(available, limit), source };
}

/** CPU quota of the container in threads (cgroup v2 `cpu.max`, v1 `cpu.cfs_quota_us`); undefined without one. */
function readQuota(root: string): number | undefined {
  const [quota, period] = (read(join(root, 'sys/fs/cgroup/cpu.max')) ?? '').trim().split(' ').map(Number);
  const old = readBytes(join(root, 'sys/fs/cgroup/cpu/cpu.cfs_quota_us'));
  const oldPeriod = readBytes(join(root, 'sys/fs/cgroup/cpu/cpu.cfs_period_us'));
  if (quota && period) return quota / period;
  return old !== undefined && old > 0 && oldPeriod ? old / oldPeriod : undefined;
}

/** The processor, as this process may use it. @param root where `proc` and `sys` are, for tests */
export function readProcessor(root = '/', parallelism = availableParallelism()): Processor {
  const info = read(join(root, 'proc/cpuinfo')) ?? '';
  const flags = new Set(/^(?:flags|Features)\s*:(.*)$/m.exec(info)?.[1]?.trim().split(/\s+/));
  const model = /^model name\s*:\s*(.*)$/m.exec(info)?.[1] ?? cpus()[0]?.model ?? 'unknown';
  const quota = readQuota(root);
  const threads = quota === undefined ? parallelism : Math.min(parallelism, Math.max(1, Math.floor(quota)));
  return { model: model.trim(), threads, features: FEATURES.filter(feature => flags.has(feature)) };
}
