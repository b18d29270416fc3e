/**
 * Peak memory and time of encoding prompts with a full-size T5 that is streamed from disk, in a process of its own:
 *   npx tsx experiments/memory/t5.ts --folder DIR [--json experiments/memory/t5.json] [--prompts 2] [--layers 24] [--dtype F16]
 * A random T5 v1.1 XXL encoder (4.76 B parameters, 9.5 GB as F16) is written into DIR first, unless it is there; DIR is
 * removed afterwards unless --keep is given.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { StreamedT5Encoder } from '../../src/models/text/streamed-t5.js';
import { T5EncoderModel } from '../../src/models/text/t5.js';
import { SHOW1_MAX_LENGTH, type TokenBatch } from '../../src/models/text/tokenizer.js';
import { savePretrainedFolder } from '../../src/models/weights/pretrained.js';

const { values } = parseArgs({
  options: {
    folder: { type: 'string' },
    json: { type: 'string' },
    prompts: { type: 'string', default: '2' },
    layers: { type: 'string', default: '24' },
    dtype: { type: 'string', default: 'F16' },
    keep: { type: 'boolean', default: false },
    child: { type: 'string' },
  },
});
if (!values.folder) throw new Error('give --folder DIR: a new folder on a disk with 10 GB free');
const folder = values.folder;

/** google/t5-v1_1-xxl's encoder, which DeepFloyd IF and Show-1 use. */
const XXL = {
  model_type: 't5',
  vocab_size: 32128,
  d_model: 4096,
  d_kv: 64,
  d_ff: 10240,
  num_layers: Number(values.layers),
  num_heads: 64,
  relative_attention_num_buckets: 32,
  relative_attention_max_distance: 128,
  layer_norm_epsilon: 1e-6,
  feed_forward_proj: 'gated-gelu',
};

/** Initial values as a new model has them, a parameter at a time. */
async function write(): Promise<void> {
  const model = new T5EncoderModel(XXL);
  const entries = [...model.parameters()].map(([name, parameter]) => ({
    name,
    shape: parameter.torchShape,
    data: () => {
      parameter.initialize(0);
      const data = parameter.toTorch();
      parameter.dispose();
      return data;
    },
  }));
  const dtype = values.dtype as 'F32' | 'F16' | 'BF16';
  await savePretrainedFolder(folder, 'model', model.configJson(), entries, { dtype, maxShardBytes: 5e9 });
}

/** Prompts of different lengths, ended and padded as a tokenizer does. */
function prompts(count: number, length: number): TokenBatch {
  const inputIds = new Int32Array(count * length);
  const attentionMask = new Int32Array(count * length);
  for (let i = 0; i < count; i++) {
    const used = Math.max(2, length - 20 * i);
    for (let at = 0; at < used; at++) {
      inputIds[i * length + at] = at === used - 1 ? 1 : 3 + ((7919 * (at + 1) * (i + 1)) % 32000);
      attentionMask[i * length + at] = 1;
    }
  }
  return { inputIds, attentionMask, shape: [count, length] };
}

async function encode(): Promise<object> {
  const peak = () => process.resourceUsage().maxRSS * 1024;
  const before = peak();
  const start = performance.now();
  const encoder = await StreamedT5Encoder.fromPretrained(folder);
  const openSeconds = (performance.now() - start) / 1e3;
  const began = performance.now();
  const cpu = process.cpuUsage();
  const layerPeaks: number[] = [];
  const states = await encoder.encode(prompts(Number(values.prompts), SHOW1_MAX_LENGTH), {
    onLayer: (done, total) => {
      layerPeaks.push(peak());
      process.stderr.write(`layer ${done}/${total}: ${((performance.now() - began) / 1e3).toFixed(1)} s\n`);
    },
  });
  const seconds = (performance.now() - began) / 1e3;
  const { user, system } = process.cpuUsage(cpu);
  encoder.dispose();
  const finite = states.every(text => text.every(Number.isFinite));
  const square = (text: Float32Array) => text.reduce((sum, v) => sum + v * v, 0) / text.length;
  const meanSquare = states.reduce((sum, text) => sum + square(text), 0) / states.length; // 1: the final norm's
  return {
    prompts: states.length,
    tokens: SHOW1_MAX_LENGTH,
    openSeconds,
    seconds,
    cpuSeconds: (user + system) / 1e6,
    loadAverage: loadavg()[0],
    peakBytesBefore: before,
    peakBytes: peak(),
    peakBytesAfterFirstLayer: layerPeaks[0],
    finite,
    meanSquare,
  };
}

function child(what: 'write' | 'encode'): string {
  const args = [...process.execArgv, fileURLToPath(import.meta.url), ...process.argv.slice(2), '--child', what];
  const { stdout, status } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) throw new Error(`the ${what} process ended with ${status}`);
  return stdout;
}

if (values.child === 'write') await write();
else if (values.child === 'encode') console.log(JSON.stringify(await encode()));
else {
  const start = performance.now();
  const isNew = !existsSync(join(folder, 'config.json'));
  if (isNew) child('write');
  const writeSeconds = isNew ? (performance.now() - start) / 1e3 : null;
  try {
    const parameters = new T5EncoderModel(XXL).countParams();
    const result = {
      command: `npx tsx experiments/memory/t5.ts ${process.argv.slice(2).join(' ')}`,
      machine: `${cpus().length} × ${cpus()[0]?.model}`,
      parameters,
      dtype: values.dtype,
      writeSeconds,
      ...(JSON.parse(child('encode')) as object),
    };
    const text = `${JSON.stringify(result, null, 2)}\n`;
    if (values.json) await writeFile(values.json, text);
    process.stdout.write(text);
  } finally {
    if (!values.keep) await rm(folder, { recursive: true });
  }
}
