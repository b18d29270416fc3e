/**
 * Time of the evaluation networks, ours and PyTorch's, in turns:
 *   npx tsx experiments/metric-speed/run.ts --python PYTHON [--networks i3d,c3d,inception-v3,clip] [--rounds 9] [--out FILE]
 * PYTHON needs torch, transformers, safetensors and numpy. Both sides have the same weights (PyTorch's, converted), inputs,
 * batch and number of threads; the outputs are compared.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { convertMetrics } from '../../src/convert/metrics.js';
import { compile, type Tensor, tf } from '../../src/engine/index.js';
import { readProcessor } from '../../src/engine/machine.js';
import type { CLIPModel } from '../../src/models/clip/index.js';
import { type MetricKind, openMetricNetwork } from '../../src/models/metrics/index.js';
import { openSafetensors } from '../../src/models/weights/safetensors.js';

const { values: options } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    networks: { type: 'string', default: 'i3d,c3d,inception-v3,clip' },
    rounds: { type: 'string', default: '9' },
    out: { type: 'string' },
  },
});
const ROUNDS = Number(options.rounds);
const BATCH: Record<MetricKind, number> = { i3d: 1, c3d: 1, 'inception-v3': 8, clip: 8 };
const kinds = options.networks.split(',') as MetricKind[];
const { threads, model: processor } = readProcessor();
const folder = mkdtempSync(join(tmpdir(), 'show1-metric-speed-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

interface Time {
  ms: number;
  cpuMs: number;
}

/** Starts Python and gives a function that sends it a line and returns its answer. */
async function startPython() {
  const script = join(import.meta.dirname, 'networks.py');
  const wanted = kinds.map(kind => `${kind}=${BATCH[kind]}`);
  const child = spawn(options.python, [script, folder, String(threads), ...wanted], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error('Python ended');
    return value as string;
  };
  if ((await next()) !== 'ready') throw new Error('Python did not start');
  const ask = async (line: string) => {
    child.stdin.write(`${line}\n`);
    return JSON.parse(await next()) as Time & { output?: number[] };
  };
  return { ask, end: () => child.stdin.end() };
}

/** Our network, compiled, on the input that Python wrote. */
async function openOurs(kind: MetricKind) {
  await convertMetrics(join(folder, `${kind}.safetensors`), join(folder, kind));
  const network = await openMetricNetwork(join(folder, kind), kind);
  const file = openSafetensors(join(folder, `${kind}.input.safetensors`));
  const x = tf.tensor((await file.read('input')) as Float32Array, file.info('input').shape);
  file.close();
  const embed = (input: Tensor) =>
    kind === 'clip' ? (network.model as CLIPModel).encodeImage(input) : (network.model.forward(input) as Tensor);
  const compiled = compile(input => [embed(input!)], { name: `speed_${kind}` });
  const run = (): Time & { output: Float32Array } => {
    const [start, used] = [performance.now(), process.cpuUsage()];
    const [y] = compiled(x);
    const output = y!.dataSync() as Float32Array;
    const { user, system } = process.cpuUsage(used);
    y!.dispose();
    return { ms: performance.now() - start, cpuMs: (user + system) / 1000, output };
  };
  const dispose = () => {
    compiled.dispose();
    x.dispose();
    network.dispose();
  };
  return { run, dispose };
}

const median = (numbers: readonly number[]): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!;
const round = (value: number): number => Number(value.toPrecision(3));
const medians = (times: readonly Time[]) => ({
  ms: round(median(times.map(({ ms }) => ms))),
  cpuMs: round(median(times.map(({ cpuMs }) => cpuMs))),
});

interface Row {
  network: MetricKind;
  threads: number;
}

/** Adds a row to the result file; it replaces that of the same network and number of threads. */
function record(file: string, row: Row): void {
  const old = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { rows: Row[] }).rows : [];
  const rows = [...old.filter(each => each.network !== row.network || each.threads !== row.threads), row];
  const head = { date: new Date().toISOString().slice(0, 10), processor };
  writeFileSync(file, `${JSON.stringify({ ...head, rows }, null, 2)}\n`);
}

const python = await startPython();
for (const kind of kinds) {
  const ours = await openOurs(kind);
  const ways = [`${kind} contiguous`, `${kind} channels_last`];
  const expected = (await python.ask(`${ways[0]} output`)).output!;
  const scale = Math.max(...expected.map(Math.abs));
  const { output } = ours.run();
  const difference = Math.max(...expected.map((value, i) => Math.abs(value - output[i]!))) / scale;
  await python.ask(ways[1]!);
  const times: Record<'ours' | 'contiguous' | 'channelsLast', Time[]> = { ours: [], contiguous: [], channelsLast: [] };
  for (let turn = 0; turn < ROUNDS; turn++) {
    times.ours.push(ours.run());
    times.contiguous.push(await python.ask(ways[0]!));
    times.channelsLast.push(await python.ask(ways[1]!));
  }
  const [a, b, c] = [medians(times.ours), medians(times.contiguous), medians(times.channelsLast)];
  // The better of its two memory formats, in each kind of time.
  const best = { ms: Math.min(b.ms, c.ms), cpuMs: Math.min(b.cpuMs, c.cpuMs) };
  const row = {
    network: kind,
    threads,
    batch: BATCH[kind],
    ...{ show1: a, torch: b, torchChannelsLast: c },
    ratio: round(a.ms / best.ms),
    cpuRatio: round(a.cpuMs / best.cpuMs),
    perSecond: round((1000 * BATCH[kind]) / a.ms),
    rounds: ROUNDS,
    loadAverage: round(loadavg()[0]!),
    difference: Number(difference.toExponential(1)),
  };
  console.log(JSON.stringify(row));
  if (options.out) record(options.out, row);
  ours.dispose();
}
python.end();
