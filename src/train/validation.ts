/** Samples drawn during training: the same prompts and seeds every time, with the averaged weights. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Config } from '../config/schema.js';
import type { DDPMScheduler } from '../diffusion/index.js';
import { schedulerFromConfig, videoBytes } from '../diffusion/index.js';
import { tf } from '../engine/index.js';
import { InterruptedError } from '../errors.js';
import { BaseSampler } from '../infer/base.js';
import { samplerConfig } from '../infer/scheduler.js';
import { contactSheet, slug, writeVideo } from '../infer/video.js';
import type { TextConditioner } from '../models/text/index.js';
import type { UNet3DConditionModel } from '../models/unet3d/index.js';
import type { RunLogger } from './logging/index.js';

interface Context {
  config: Config;
  unet: UNet3DConditionModel;
  text: TextConditioner;
  scheduler: DDPMScheduler;
}

export class ValidationSampler {
  private readonly sampler: BaseSampler;

  constructor(private readonly context: Context) {
    const { config, unet, scheduler } = context;
    const sampling = schedulerFromConfig(samplerConfig(scheduler.toConfig(), config.validate.sampler.scheduler));
    this.sampler = new BaseSampler({ unet, scheduler: sampling, precision: config.precision, compile: config.compile });
  }

  due(step: number): boolean {
    const { validate, train } = this.context.config;
    if (validate.prompts.length === 0 || validate.everySteps === 0) return false;
    return step % validate.everySteps === 0 || step === train.steps;
  }

  /** Writes `samples/step-N/*.gif`, `sheet.png` and `samples.json`, and shows the GIFs in TensorBoard. */
  async sample(
    run: string,
    step: number,
    logger: RunLogger,
    print: (line: string) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    const { config, text } = this.context;
    const { prompts, sampler, seed } = config.validate;
    const { frames, height, width, fps } = config.data;
    const dir = path.join(run, 'samples', `step-${step}`);
    await mkdir(dir, { recursive: true });
    const videos: Uint8Array[] = [];
    const records: { prompt: string; path: string; seed: number }[] = [];
    for (const [i, prompt] of prompts.entries()) {
      const [context, empty] = [text.encode([prompt]), text.encode([''])];
      try {
        const x = await this.sampler.sample({
          text: context,
          unconditional: empty,
          frames,
          height,
          width,
          steps: sampler.steps,
          guidanceScale: sampler.guidanceScale,
          seeds: [seed + i],
          checkpoint: () => {
            if (signal?.aborted) throw new InterruptedError('validation stopped', { code: 'train.validation-stopped' });
          },
        });
        const bytes = await videoBytes(x); // [1, F, H, W, 3]
        x.dispose();
        const file = path.join(dir, `${String(i).padStart(2, '0')}-${slug(prompt)}.gif`);
        const scale = Math.max(1, Math.floor(256 / width));
        await writeVideo(file, { data: bytes, frames, height, width }, { fps, scale });
        logger.image(step, `samples/${i} ${prompt}`, await readFile(file), width * scale, height * scale);
        videos.push(bytes);
        records.push({ prompt, path: path.basename(file), seed: seed + i });
      } catch (error) {
        if (error instanceof InterruptedError) return; // the loop saves and stops at this step's end
        throw error;
      } finally {
        tf.dispose([context, empty]);
      }
    }
    await contactSheet(
      path.join(dir, 'sheet.png'),
      videos.map(data => ({ data, frames, height, width })),
      { captions: prompts },
    );
    await writeFile(path.join(dir, 'samples.json'), `${JSON.stringify(records, null, 2)}\n`);
    print(`samples of step ${step} in ${dir}`);
  }

  dispose(): void {
    this.sampler.dispose();
  }
}
