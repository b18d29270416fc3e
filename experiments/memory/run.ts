/**
 * Peak memory and time of one guided denoising step of a full-size stage, in a process of its own:
 *   npx tsx experiments/memory/run.ts --manifests DIR --stage sr2 [--precision bf16] [--out result.json]
 * Weights are random: memory and time do not depend on them. DIR holds base.json.gz, interp.json.gz, … with the configs.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { schedulerFromConfig } from '../../src/diffusion/index.js';
import { type Precision, randomNormal, rngKey, type Tensor, tf } from '../../src/engine/index.js';
import { readMemory, readProcessor } from '../../src/engine/machine.js';
import { Denoiser } from '../../src/infer/denoise.js';
import { seededNoise } from '../../src/infer/noise.js';
import { predictPeak } from '../../src/infer/plan.js';
import type { Block } from '../../src/models/layers/index.js';
import { VideoCodec } from '../../src/models/vae/index.js';
import { type Measured, record } from './record.js';
import {
  buildUnet,
  buildVae,
  FRAME,
  SIZES,
  STAGES,
  type Stage,
  TOKENS,
  type UnetStage,
  VAE_FRAMES,
  VAE_STAGES,
  type VaeStage,
} from './stages.js';

const { values } = parseArgs({
  options: {
    stage: { type: 'string' },
    manifests: { type: 'string' },
    precision: { type: 'string', default: 'fp32' },
    out: { type: 'string' },
    steps: { type: 'string', default: '1' },
    /** Only what the plan says; a row that is there keeps its measurements. */
    predict: { type: 'boolean', default: false },
    child: { type: 'boolean', default: false },
  },
});

const GB = 1e9;
/** Memory that other programs keep. */
const SPARE = 4 * GB;

const rss = () => process.resourceUsage().maxRSS * 1024;
const random = (shape: number[], name: string) => tf.tidy(() => randomNormal(shape, rngKey(1, 0, name)));

interface Work {
  model: Block;
  /** Bytes besides the weights, estimated. */
  activations: number;
  prepare(): { inputs: Tensor[]; run(): Promise<Tensor> };
}

function unetWork(stage: UnetStage, precision: Precision): Work {
  const unet = buildUnet(stage, values.manifests!);
  const { frames, height, width, channels, text, labels } = SIZES[stage];
  const sample = [1, frames, height, width, channels];
  const extra = unet.config.inChannels - channels;
  const scheduler = schedulerFromConfig({
    _class_name: 'DPMSolverMultistepScheduler',
    beta_schedule: 'squaredcos_cap_v2',
  });
  scheduler.setTimesteps(50);
  const denoiser = new Denoiser({ unet, scheduler, precision });
  const condition = extra > 0 ? [1, frames, height, width, extra] : undefined;
  const { activationBytes } = denoiser.estimate({
    sample,
    text: [TOKENS, text],
    guided: true,
    condition,
    classLabels: labels ? [1] : undefined,
  });
  return {
    model: unet,
    activations: activationBytes,
    prepare() {
      const [positive, negative] = [random([1, TOKENS, text], 'positive'), random([1, TOKENS, text], 'negative')];
      const inputs = [positive, negative];
      const more = (tensor: Tensor) => {
        inputs.push(tensor);
        return tensor;
      };
      const conditions = {
        ...(condition && { condition: more(random(condition, 'condition')) }),
        ...(labels && { classLabels: more(tf.tensor1d([250])) }),
      };
      const run = () =>
        denoiser.run({
          text: positive,
          unconditional: negative,
          guidanceScale: 9,
          start: random(sample, 'start'),
          timesteps: scheduler.timesteps.slice(0, Number(values.steps)),
          noise: seededNoise([1]),
          ...conditions,
        });
      return { inputs, run };
    },
  };
}

function vaeWork(stage: VaeStage, precision: Precision): Work {
  const vae = buildVae();
  const codec = new VideoCodec({ vae, precision });
  const { height, width } = FRAME;
  const low = [1, VAE_FRAMES, height / vae.downsampleFactor, width / vae.downsampleFactor, vae.config.latentChannels];
  return {
    model: vae,
    activations: codec.estimate(stage === 'vae-encode' ? 'encode' : 'decode', { height, width }).activationBytes,
    prepare() {
      const latents = random(low, 'latents');
      const video = random([1, VAE_FRAMES, height, width, 3], 'video');
      const run = () => (stage === 'vae-encode' ? codec.encode(video, latents) : codec.decode(latents));
      return { inputs: [latents, video], run };
    },
  };
}

async function measure(stage: Stage, precision: Precision): Promise<Partial<Measured>> {
  const base = rss();
  const isVae = (VAE_STAGES as readonly Stage[]).includes(stage);
  const { model, activations, prepare } = isVae
    ? vaeWork(stage as VaeStage, precision)
    : unetWork(stage as UnetStage, precision);
  const traced = rss();
  const predicted = predictPeak(traced, [model], activations);
  if (values.predict)
    return { stage, side: 'show1', precision, parameters: model.countParams(), predictedBytes: predicted };
  const { available } = readMemory();
  if (available < predicted + SPARE) {
    const needs = ((predicted + SPARE) / GB).toFixed(1);
    throw new Error(`${stage} needs ${needs} GB with something to spare, ${(available / GB).toFixed(1)} GB are free`);
  }
  model.initialize(0);
  const { inputs, run } = prepare();
  const loaded = rss();
  const cpu = process.cpuUsage();
  const start = performance.now();
  const output = await run();
  const numbers = output.dataSync();
  const seconds = (performance.now() - start) / 1e3;
  const { user, system } = process.cpuUsage(cpu);
  if (!numbers.every(Number.isFinite)) throw new Error(`${stage}: the output is not finite`);
  tf.dispose([output, ...inputs]);
  return {
    stage,
    side: 'show1',
    precision,
    parameters: model.countParams(),
    predictedBytes: predicted,
    peakBytes: rss(),
    programBytes: base,
    loadedBytes: loaded,
    seconds,
    cpuSeconds: (user + system) / 1e6,
    units: isVae ? `${VAE_FRAMES} frames` : '1 step',
  };
}

const { stage, precision } = values as { stage: Stage; precision: Precision };
if (!STAGES.includes(stage) || !values.manifests) {
  throw new Error(`usage: run.ts --manifests DIR --stage ${STAGES.join('|')} [--precision fp32|bf16] [--out FILE]`);
}
if (values.child) console.log(JSON.stringify(await measure(stage, precision)));
else {
  const args = [...process.execArgv, fileURLToPath(import.meta.url), ...process.argv.slice(2), '--child'];
  const { stdout, status } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) process.exit(status ?? 1);
  const measured = JSON.parse(stdout) as Partial<Measured>;
  const { model: processor, threads } = readProcessor();
  record(values.out, measured, { processor, threads, node: process.version });
}
