/** `show1 data cache` as a real process, killed and started again. */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringifyConfig } from '../../../src/config/index.js';
import { writeShapes } from '../../../src/data/shapes.js';
import { openSafetensors } from '../../../src/models/weights/safetensors.js';
import { STAGE_CHANGES, tinyConfig } from '../../helpers/tiny-run.js';

const BIN = fileURLToPath(new URL('../../../bin/show1.js', import.meta.url));
let root: string;
let config: string;
const at = (...parts: string[]) => path.join(root, ...parts);

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'show1-cache-'));
  await writeShapes(at('shapes'), { clips: 320, frames: 12 });
  const run = tinyConfig(root, 'run', {}, STAGE_CHANGES.sr2);
  config = at('sr2.yaml');
  await writeFile(config, stringifyConfig({ ...run, compile: false, data: { ...run.data, workers: 1 } }));
});
afterAll(() => rm(root, { recursive: true, force: true }));

interface Outcome {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Runs the command line; `stop` is asked again and again whether to send its signal. */
function cache(
  out: string,
  stop?: { when: (stderr: string) => Promise<boolean>; signal: NodeJS.Signals },
): Promise<Outcome> {
  return new Promise(resolve => {
    const args = [BIN, 'data', 'cache', config, '--out', at(out), '--json'];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const outcome = { stdout: '', stderr: '' };
    child.stdout.on('data', chunk => {
      outcome.stdout += chunk;
    });
    child.stderr.on('data', chunk => {
      outcome.stderr += chunk;
    });
    const timer = setInterval(async () => {
      if (!stop || !(await stop.when(outcome.stderr)) || child.exitCode !== null) return;
      clearInterval(timer);
      child.kill(stop.signal);
    }, 20);
    child.on('close', (code, signal) => {
      clearInterval(timer);
      resolve({ code, signal, ...outcome });
    });
  });
}

const files = async (out: string) => readdir(at(out)).catch(() => [] as string[]);
const hasPart = (out: string) => async () => (await files(out)).some(name => name.startsWith('latents.part-'));

/** Every tensor of the shards, by name. */
async function tensors(out: string): Promise<Map<string, string>> {
  const all = new Map<string, string>();
  for (const file of (await files(out)).filter(name => /^(text|latents)-\d+\.safetensors$/.test(name))) {
    const reader = openSafetensors(at(out, file));
    for (const name of reader.names()) all.set(name, Buffer.from(reader.readSync(name).buffer).toString('base64'));
    reader.close();
  }
  return all;
}

describe('show1 data cache', () => {
  it('killed by SIGKILL or stopped by Ctrl-C goes on where it was, and ends with the same tensors', async () => {
    const straight = await cache('straight');
    expect(straight.code, straight.stderr).toBe(0);
    const summary = JSON.parse(straight.stdout) as { latents: { clips: number; computed: number } };
    expect(summary.latents.computed).toBe(summary.latents.clips);

    const killed = await cache('again', { when: hasPart('again'), signal: 'SIGKILL' });
    expect(killed.signal, killed.stderr).toBe('SIGKILL');
    expect((await files('again')).filter(name => name === 'latents-index.json')).toEqual([]);
    // Latents come after the captions, and most of them are still to do.
    const atLatents = async (stderr: string) => stderr.includes('captions');
    const stopped = await cache('again', { when: atLatents, signal: 'SIGINT' });
    expect(stopped.code, stopped.stderr).toBe(130);
    expect(stopped.stderr).toContain('Run the same command to go on');
    expect(await hasPart('again')()).toBe(true); // what the first one finished was kept

    const finished = await cache('again');
    expect(finished.code, finished.stderr).toBe(0);
    const rest = JSON.parse(finished.stdout) as typeof summary & { text: { computed: number } };
    expect(rest.text.computed).toBe(0);
    expect(rest.latents.computed).toBeGreaterThan(0);
    expect(rest.latents.computed).toBeLessThan(summary.latents.clips);
    expect([...(await tensors('again'))].sort()).toEqual([...(await tensors('straight'))].sort());
    expect((await files('again')).sort()).toEqual((await files('straight')).sort()); // nothing is left over
    expect(JSON.parse(await readFile(at('again', 'cache.json'), 'utf8'))).toMatchObject({
      text: { complete: true },
      latents: { complete: true },
    });
    const twice = await cache('again');
    expect(JSON.parse(twice.stdout)).toMatchObject({ latents: { computed: 0 }, text: { computed: 0 } });
  });
});
