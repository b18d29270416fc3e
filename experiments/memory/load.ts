/**
 * Peak memory and time of loading a model folder, in a process of its own:
 *   npx tsx experiments/memory/load.ts --manifest base.json.gz [--dtype F32|F16|BF16] [--folder DIR]
 * The folder is written first (random weights of the manifest's config) unless it exists; it is kept with --folder.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { UNet3DConditionModel } from '../../src/models/unet3d/index.js';
import { readManifest } from '../../src/verify/manifest.js';

const { values } = parseArgs({
  options: {
    manifest: { type: 'string' },
    dtype: { type: 'string', default: 'F32' },
    folder: { type: 'string' },
    child: { type: 'string' },
  },
});

const peak = () => process.resourceUsage().maxRSS * 1024;

/** Runs this file again with `--child what`. */
function child(what: 'write' | 'load', folder: string): Record<string, number> {
  const script = fileURLToPath(import.meta.url);
  const args = [...process.execArgv, script, ...process.argv.slice(2), '--child', what, '--folder', folder];
  const { stdout, status } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) throw new Error(`the ${what} process ended with ${status}`);
  return JSON.parse(stdout) as Record<string, number>;
}

async function write(folder: string): Promise<object> {
  const model = new UNet3DConditionModel(readManifest(values.manifest!).config);
  const start = performance.now();
  model.initialize(0);
  const initialiseSeconds = (performance.now() - start) / 1e3;
  const initialisePeak = peak();
  await model.savePretrained(folder, { dtype: values.dtype as 'F32' });
  return { initialiseSeconds, initialisePeak, saveSeconds: (performance.now() - start) / 1e3 - initialiseSeconds };
}

async function load(folder: string): Promise<object> {
  const before = peak();
  const start = performance.now();
  const model = await UNet3DConditionModel.fromPretrained(folder);
  const seconds = (performance.now() - start) / 1e3;
  const weights = 4 * model.countParams();
  const largest = 4 * Math.max(...[...model.parameters().values()].map(p => p.size));
  const above = peak() - before - weights;
  return { weights, largest, before, peak: peak(), above, seconds, secondsPerGB: seconds / (weights / 1e9) };
}

if (values.child === 'write') console.log(JSON.stringify(await write(values.folder!)));
else if (values.child === 'load') console.log(JSON.stringify(await load(values.folder!)));
else if (!values.manifest) throw new Error('give --manifest FILE');
else {
  const folder = values.folder ?? mkdtempSync(join(tmpdir(), 'show1-load-'));
  try {
    const written = existsSync(join(folder, 'config.json')) ? null : child('write', folder);
    console.log(JSON.stringify({ dtype: values.dtype, written, loaded: child('load', folder) }, null, 2));
  } finally {
    if (!values.folder) rmSync(folder, { recursive: true });
  }
}
