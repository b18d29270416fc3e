/**
 * Times one UNet step the way `shared/bench/bench_torch.py` does for PyTorch: same config, batch, loss and optimizer.
 * One process measures one mode, so that the peak memory is that mode's.
 */
import { readFile } from 'node:fs/promises';
import {
  compile,
  type Precision,
  randomNormal,
  rngKey,
  type Tensor,
  tf,
  type Variable,
  valueAndGrads,
} from '../engine/index.js';
import { InputError } from '../errors.js';
import { UNet3DConditionModel } from '../models/unet3d/index.js';
import { selectTrainable } from '../train/masks.js';
import { AdamW } from '../train/optimizer.js';

export type BenchMode = 'infer' | 'train' | 'finetune';

export interface BenchOptions {
  config: string;
  mode: BenchMode;
  precision: Precision;
  steps: number;
  compile?: boolean;
  /** Gradient checkpointing of all blocks (default off). */
  checkpointing?: boolean;
  onStep?: (done: number, milliseconds: number) => void;
}

export interface BenchResult {
  side: 'show1';
  mode: BenchMode;
  precision: Precision;
  params: number;
  trainable: number;
  median_ms: number;
  min_ms: number;
  /** Peak resident memory of this process in MiB. */
  peak_mib: number;
  /** Tracing, building and running the first step. */
  first_ms: number;
}

interface BenchConfig {
  /** [B, C, F, H, W], as PyTorch writes it. */
  sample: [number, number, number, number, number];
  /** [B, L, D] */
  text: [number, number, number];
}

async function readConfig(file: string): Promise<{ bench: BenchConfig; model: Record<string, unknown> }> {
  let json: Record<string, unknown>;
  try {
    json = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  } catch (error) {
    throw new InputError(
      `bench: cannot read the config ${file}: ${(error as Error).message}`,
      { code: 'bench.config', file },
      error,
    );
  }
  const { _bench: bench, ...model } = json;
  const { sample, text } = (bench ?? {}) as Partial<BenchConfig>;
  if (sample?.length !== 5 || text?.length !== 3) {
    throw new InputError(`bench: ${file} has no "_bench": {"sample": [B, C, F, H, W], "text": [B, L, D]}`, {
      code: 'bench.config',
      file,
    });
  }
  return { bench: { sample, text }, model };
}

/** Runs the benchmark: one unmeasured step, then `steps` measured ones. */
export async function bench({
  config,
  mode,
  precision,
  steps,
  compile: enabled = true,
  checkpointing = false,
  onStep,
}: BenchOptions): Promise<BenchResult> {
  const { bench, model } = await readConfig(config);
  const [B, C, F, H, W] = bench.sample;
  const unet = new UNet3DConditionModel(model);
  unet.initialize(0);
  if (checkpointing) unet.enableGradientCheckpointing();
  const key = (purpose: string) => rngKey(0, 0, purpose);
  const x = randomNormal([B, F, H, W, C], key('sample'));
  const noise = randomNormal([B, F, H, W, C], key('noise'));
  const text = randomNormal(bench.text, key('text'));
  const t = tf.fill([B], 500, 'int32');

  const parameters = [...unet.parameters().values()];
  const sizes = parameters.map(p => ({ name: p.path, size: p.size }));
  const include = mode === 'finetune' ? ['**.temp_attentions.**'] : ['**'];
  const names = mode === 'infer' ? new Set<string>() : new Set(selectTrainable(sizes, { include, exclude: [] }).names);
  const trainable = parameters
    .filter(p => names.has(p.path))
    .map(p => ({ name: p.path, variable: p.value() as Variable }));
  const variables = trainable.map(v => v.variable);

  const infer = compile((a, ts, txt) => [unet.forward(a, ts, txt).sum()], { name: 'infer', precision, enabled });
  const gradients = compile(
    (a, ts, txt, target) => {
      const loss = () =>
        unet.forward(a, ts, txt).slice([0, 0, 0, 0, 0], [-1, -1, -1, -1, C]).sub(target).square().mean();
      const { value, grads } = valueAndGrads(loss, variables);
      return [value, ...grads];
    },
    { name: 'train', precision, enabled },
  );
  const optimizer =
    mode === 'infer'
      ? null
      : new AdamW(trainable, { betas: [0.9, 0.999], epsilon: 1e-8, weightDecay: 0.01, ema: false, compile: enabled });

  let step = 0;
  const runStep = () =>
    tf.tidy(() => {
      if (!optimizer) return infer(x, t, text)[0]!.dataSync()[0]!;
      const [loss, ...grads] = gradients(x, t, text, noise) as [Tensor, ...Tensor[]];
      const norm = optimizer.gradientNorm(grads);
      optimizer.step(grads, { learningRate: 1e-5, step: step++, gradientScale: Math.min(1, 1 / (norm + 1e-6)) });
      return loss.dataSync()[0]!;
    });

  const timed = () => {
    const start = performance.now();
    runStep();
    return performance.now() - start;
  };
  const first = timed();
  const times: number[] = [];
  for (let i = 0; i < steps; i++) {
    times.push(timed());
    onStep?.(i + 1, times[i]!);
  }
  times.sort((a, b) => a - b);
  const count = (list: { size: number }[]) => list.reduce((sum, p) => sum + p.size, 0);
  return {
    side: 'show1',
    mode,
    precision,
    params: count(parameters),
    trainable: count(parameters.filter(p => names.has(p.path))),
    median_ms: round(times[Math.floor(times.length / 2)]!),
    min_ms: round(times[0]!),
    peak_mib: Math.round(process.resourceUsage().maxRSS / 1024),
    first_ms: round(first),
  };
}

const round = (ms: number) => Math.round(ms * 10) / 10;
