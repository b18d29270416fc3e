/**
 * How long a step of 300 ms waits for its batch, in this checkout and in another one (say, of an older commit), in turns:
 *   npx tsx experiments/loader/compare.ts --clips DIR --code OTHER [--rounds 3]
 * DIR holds captioned videos of at least 2 s. Every clip comes from ffmpeg; each run is a process of its own.
 */
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    clips: { type: 'string' },
    code: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    child: { type: 'boolean', default: false },
  },
});
const [STEPS, BATCH, BUSY_MS] = [14, 2, 300];

/** Steps of one loader: the mean wait in milliseconds, the first two steps left out. */
async function measure(code: string): Promise<number> {
  const { createLoader, openManifest, probe } = await import(`${code}/src/data/index.ts`);
  const { entries } = await openManifest(values.clips);
  for (const entry of entries) entry.info = await probe(entry.path);
  const size = { frames: 8, fps: 8, width: 64, height: 40 };
  const loader = createLoader({ entries, ...size, batchSize: BATCH, seed: 1, workers: 2, cache: { maxBytes: 0 } });
  const waits: number[] = [];
  for (let step = 0; step < STEPS; step++) {
    const asked = performance.now();
    await loader.batch(step);
    if (step > 1) waits.push(performance.now() - asked);
    const end = performance.now() + BUSY_MS;
    while (performance.now() < end); // a training step: the event loop stands still
    await new Promise(done => setImmediate(done));
  }
  await loader.close();
  return waits.reduce((a, b) => a + b) / waits.length;
}

if (values.child) {
  console.log((await measure(resolve(values.code!))).toFixed(1));
} else {
  const here = fileURLToPath(new URL('../..', import.meta.url));
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const code of [values.code!, here]) {
      const args = [
        '--import',
        'tsx',
        fileURLToPath(import.meta.url),
        '--child',
        '--clips',
        values.clips!,
        '--code',
        code,
      ];
      const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' });
      if (status !== 0) throw new Error(stderr);
      console.log(`${code}: waits ${stdout.trim()} ms a step`);
    }
  }
}
