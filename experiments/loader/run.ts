/**
 * How fast the loader decodes, against ffmpeg in a shell loop, and how long training waits for it:
 *   npx tsx experiments/loader/run.ts [--parts decode,busy,train,shapes] [--clips 24 | --source DIR] [--rounds 5] [--out experiments/loader/result.json]
 * All ways read the same windows of the same 320x240 clips, in turns; each starts with nothing in memory.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseConfig } from '../../src/config/index.js';
import { rateFilter, sizeFilter } from '../../src/data/ffmpeg-arguments.js';
import { createLoader, locate, type ManifestEntry, openManifest, probe, writeShapes } from '../../src/data/index.js';
import { readProcessor } from '../../src/engine/machine.js';
import { train } from '../../src/train/loop.js';

const { values } = parseArgs({
  options: {
    parts: { type: 'string', default: 'decode,busy,train,shapes' },
    clips: { type: 'string', default: '24' },
    rounds: { type: 'string', default: '5' },
    /** A folder of captioned clips of at least 4 s; default: moving shapes are made. */
    source: { type: 'string' },
    out: { type: 'string' },
  },
});
const [CLIPS, ROUNDS] = [Number(values.clips), Number(values.rounds)];
const SIZE = { width: 320, height: 240 };
const [FRAMES, FPS, WORKERS] = [8, 8, 2];
/** Clips have 4 seconds of 24 frames. */
const CLIP = { frames: 96, fps: 24 };
const BUSY_MS = 300;

const root = mkdtempSync(join(tmpdir(), 'show1-loader-'));
process.on('exit', () => rmSync(root, { recursive: true, force: true }));

const median = (numbers: readonly number[]): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!;
const round = (value: number, digits = 3): number => Number(value.toPrecision(digits));

/** Processor seconds of this process and of the children that it waited for. */
function cpuSeconds(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i]), 0) / 100; // utime stime cutime cstime, in ticks of 10 ms
}

interface Measured {
  clipsPerSecond: number;
  cpuMsPerClip: number;
  all: number[];
}

/** Runs each way once a round, one after the other; a way tells how many windows it decoded. */
async function inTurns(ways: Record<string, () => Promise<number> | number>): Promise<Record<string, Measured>> {
  const runs = Object.keys(ways).map(name => ({ name, speed: [] as number[], cpu: [] as number[] }));
  for (let turn = 1; turn <= ROUNDS; turn++) {
    for (const { name, speed, cpu } of runs) {
      const [began, cpuBegan] = [performance.now(), cpuSeconds()];
      const clips = await ways[name]!();
      speed.push((1e3 * clips) / (performance.now() - began));
      cpu.push((1e3 * (cpuSeconds() - cpuBegan)) / clips);
      process.stderr.write(`${turn}/${ROUNDS} ${name}: ${round(speed.at(-1)!)} clips/s\n`);
    }
  }
  return Object.fromEntries(
    runs.map(({ name, speed, cpu }) => [
      name,
      { clipsPerSecond: round(median(speed)), cpuMsPerClip: round(median(cpu)), all: speed.map(one => round(one)) },
    ]),
  );
}

/** The arguments that the loader gives ffmpeg for a window, with `input` before the file. */
function windowArguments({ path: file, info }: ManifestEntry, start: number, input: string[] = []): string[] {
  const filter = [...rateFilter(FPS, info!.fps), ...sizeFilter({ size: SIZE })].join(',');
  return [
    ...['-hide_banner', '-nostdin', '-loglevel', 'warning', '-threads', '1', ...input, '-ss', String(start)],
    ...['-i', `file:${file}`, '-map', '0:V:0', '-an', '-sn', '-dn', '-threads', '1', '-frames:v', String(FRAMES)],
    ...['-filter:v', filter, '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'],
  ];
}

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/** Runs command lines in a shell, one after the other or `parallel` at a time. */
function shell(lines: string[], parallel: number): number {
  const file = join(root, 'lines.txt');
  writeFileSync(file, `${lines.join('\0')}\0`);
  const command = parallel === 1 ? lines.join('\n') : `xargs -0 -P ${parallel} -n 1 sh -c < ${quote(file)}`;
  const { status, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the shell loop failed: ${stderr}`);
  return lines.length;
}

/** Reads two epochs with a new loader; `busy` keeps the main thread for so many milliseconds after each. */
async function load(entries: ManifestEntry[], { batchSize = 4, busy = 0 } = {}) {
  const loader = createLoader({
    ...{
      entries,
      frames: FRAMES,
      fps: FPS,
      ...SIZE,
      batchSize,
      seed: 1,
      workers: WORKERS,
      cache: { maxBytes: 0 },
    },
  });
  let waited = 0;
  const steps = 2 * Math.floor(entries.length / batchSize);
  for (let step = 0; step < steps; step++) {
    const asked = performance.now();
    await loader.batch(step);
    if (step > 0) waited += performance.now() - asked;
    const end = performance.now() + busy;
    while (performance.now() < end); // a training step: the event loop stands still
    await new Promise(resolve => setImmediate(resolve));
  }
  const { decoded } = loader.stats(); // the next epoch's first ones too
  await loader.close();
  return { waitedMsPerStep: waited / (steps - 1), decoded };
}

async function decodePart(plain: ManifestEntry[], known: ManifestEntry[]) {
  const ffmpeg = quote(locate('ffmpeg').path);
  const line = (input: string[] = []) =>
    known.map(
      (entry, i) =>
        `${ffmpeg} ${windowArguments(entry, (i * 0.37) % 3, input)
          .map(quote)
          .join(' ')} > /dev/null`,
    );
  return inTurns({
    'ffmpeg in a shell, one at a time': () => shell(line(), 1),
    'ffmpeg in a shell, 2 at a time': () => shell(line(), 2),
    'ffmpeg in a shell, 2 at a time, probing 32 KiB': () =>
      shell(line(['-probesize', '32768', '-analyzeduration', '0']), 2),
    'ffmpeg -version, 2 at a time: start-up alone': () =>
      shell(
        plain.map(() => `${ffmpeg} -version > /dev/null`),
        2,
      ),
    'loader, sizes unknown': async () => (await load(plain)).decoded,
    'loader, sizes in the manifest': async () => (await load(known)).decoded,
  });
}

/** Waiting a step while the main thread works for 300 ms in each. */
async function busyPart(known: ManifestEntry[]) {
  const waited: number[] = [];
  for (let turn = 0; turn < ROUNDS; turn++) {
    waited.push((await load(known, { batchSize: 2, busy: BUSY_MS })).waitedMsPerStep);
  }
  return {
    busyMsPerStep: BUSY_MS,
    batchSize: 2,
    waitedMsPerStep: round(median(waited)),
    all: waited.map(one => round(one)),
  };
}

const UNET = {
  ...{ _class_name: 'UNet3DConditionModel', in_channels: 3, out_channels: 3, block_out_channels: [32, 64] },
  ...{ layers_per_block: 1, down_block_types: ['ResnetDownsampleBlock3D', 'SimpleCrossAttnDownBlock3D'] },
  ...{ mid_block_type: 'UNetMidBlock3DSimpleCrossAttn', act_fn: 'gelu', norm_num_groups: 8 },
  ...{ up_block_types: ['SimpleCrossAttnUpBlock3D', 'ResnetUpsampleBlock3D'], attention_head_dim: 16 },
  ...{ cross_attention_dim: 64, cross_attention_norm: 'group_norm', encoder_hid_dim: 64 },
  ...{ encoder_hid_dim_type: 'text_proj', addition_embed_type: 'text', addition_embed_type_num_heads: 4 },
  ...{ resnet_time_scale_shift: 'scale_shift' },
};

interface Line {
  waitingSeconds: number;
  memoryBytes: number;
}

/** Trains a small base model from an empty cache; the lines of stats.jsonl and the seconds of each step. */
async function trainSmall(name: string, steps: number, data: Record<string, unknown>) {
  const config = parseConfig({
    ...{ stage: 'base', seed: 1, output: join(root, name) },
    model: { unet: UNET, textEncoder: { tiny: { dModel: 64 } }, maxTextLength: 8 },
    data: { frames: FRAMES, fps: FPS, workers: WORKERS, cacheBytes: 0, ...data },
    train: { steps, batchSize: 2, ema: { decay: 0 } },
    checkpoint: { everySteps: 0 },
    log: { everySteps: 1, tensorboard: false, histogramsEverySteps: 0 },
  } as never).config;
  const times: number[] = [performance.now()];
  await train(config, {
    print: line => {
      if (line.startsWith('step ')) times.push(performance.now());
    },
  });
  const lines = readFileSync(join(root, name, 'stats.jsonl'), 'utf8')
    .trim()
    .split('\n');
  const stats = lines.map(line => JSON.parse(line) as Line).filter(line => line.waitingSeconds !== undefined);
  return { stats, seconds: times.slice(1).map((at, i) => (at - times[i]!) / 1e3) };
}

/** The waiting share of real steps, every clip from ffmpeg. */
async function trainPart(source: string) {
  const { stats, seconds } = await trainSmall('run', 24, { source, width: 64, height: 40 });
  // The first steps trace, and their batches were not asked for before.
  const [steps, waited] = [seconds.slice(2), stats.slice(2).map(({ waitingSeconds }) => waitingSeconds)];
  const sum = (numbers: number[]): number => numbers.reduce((a, b) => a + b, 0);
  return {
    batchSize: 2,
    secondsPerStep: round(median(steps)),
    waitingSecondsPerStep: round(median(waited)),
    waitingShare: round(sum(waited) / sum(steps)),
  };
}

/** Resident memory while two shapes of videos and two of pictures take turns. */
async function shapesPart() {
  const rows: string[] = [];
  for (const [name, size] of Object.entries({ wide: { width: 32, height: 20 }, tall: { width: 20, height: 32 } })) {
    const { train: made } = await writeShapes(join(root, name), { clips: 24, ...size, frames: 8, fps: FPS, seed: 1 });
    const { entries } = await openManifest(made.folder);
    for (const { path, caption } of entries) rows.push(JSON.stringify({ path, caption }));
  }
  const source = join(root, 'mixed.jsonl');
  writeFileSync(source, `${rows.join('\n')}\n`);
  const buckets = [
    { width: 32, height: 20, frames: 8 },
    { width: 20, height: 32, frames: 8, batchSize: 3 },
  ];
  const steps = 90;
  const data = { source, width: 32, height: 20, buckets, images: { source, share: 0.3, batchSize: 4 } };
  const { stats } = await trainSmall('shapes', steps, data);
  const mebibytes = (step: number): number => Math.round(stats[step - 1]!.memoryBytes / 2 ** 20);
  return { steps, mebibytesAt: Object.fromEntries([10, 30, 50, 70, steps].map(step => [step, mebibytes(step)])) };
}

const parts = values.parts.split(',');
async function makeClips(): Promise<string> {
  const made = await writeShapes(join(root, 'shapes'), { clips: CLIPS, ...SIZE, ...CLIP, seed: 1, holdOut: 0 });
  return made.train.folder;
}
const source = values.source ?? (await makeClips());
const { entries } = await openManifest(source);
const known: ManifestEntry[] = [];
for (const entry of entries) known.push({ ...entry, info: await probe(entry.path) });
const about = {
  clips: `${entries.length}, the first: ${JSON.stringify(known[0]!.info)}`,
  window: `${FRAMES} frames at ${FPS} fps`,
  workers: WORKERS,
  rounds: ROUNDS,
  ffmpeg: locate('ffmpeg').source,
  processor: readProcessor(),
};
const work: Record<string, () => Promise<object>> = {
  decode: () => decodePart(entries, known),
  busy: () => busyPart(known),
  train: () => trainPart(source),
  shapes: shapesPart,
};
const before = values.out && existsSync(values.out) ? JSON.parse(readFileSync(values.out, 'utf8')) : {};
let result = { ...before, ...about };
for (const name of parts) {
  const loadAverage = round(Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0]));
  result = { ...result, [name]: { ...(await work[name]!()), loadAverage } };
  // After each part: a part that is measured again replaces its own numbers alone.
  if (values.out) writeFileSync(values.out, `${JSON.stringify(result, null, 2)}\n`);
}
if (!values.out) process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
