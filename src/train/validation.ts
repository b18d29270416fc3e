/** Samples drawn during training: the same prompts or clips and seeds every time, with the averaged weights. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { videoBytes } from '../diffusion/index.js';
import { tf } from '../engine/index.js';
import { InterruptedError } from '../errors.js';
import { contactSheet, type Frames, slug, writeVideo } from '../infer/video.js';
import type { RunLogger } from './logging/index.js';
import { createStageSampler, type Example, type StageSampler, type StageSamplerContext } from './stage-samplers.js';

/** Frames of a video shown in the sheet where several videos stand side by side. */
const FRAMES_SIDE_BY_SIDE = 4;

export class ValidationSampler {
  private readonly sampler: StageSampler;

  constructor(private readonly context: StageSamplerContext) {
    this.sampler = createStageSampler(context);
  }

  /** @param last the step that the run ends with */
  due(step: number, last: number): boolean {
    const { validate } = this.context.config;
    if (validate.everySteps === 0 || this.sampler.count === 0) return false;
    return step % validate.everySteps === 0 || step === last;
  }

  /**
   * Writes `samples/step-N/*.gif` (condition, sample and truth side by side where a stage has them), `sheet.png` and
   * `samples.json`, and shows the GIFs in TensorBoard.
   */
  async sample(
    run: string,
    step: number,
    logger: RunLogger,
    print: (line: string) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    const { fps } = this.context.config.data;
    const dir = path.join(run, 'samples', `step-${step}`);
    await mkdir(dir, { recursive: true });
    const rows: Frames[] = [];
    const captions: string[] = [];
    const records: Record<string, unknown>[] = [];
    let columns = 1;
    const checkpoint = () => {
      if (signal?.aborted) throw new InterruptedError('validation stopped', { code: 'train.validation-stopped' });
    };
    for (let i = 0; i < this.sampler.count; i++) {
      let example: Example;
      try {
        example = await this.sampler.draw(i, checkpoint);
      } catch (error) {
        if (error instanceof InterruptedError) return; // the loop saves and stops at this step's end
        throw error;
      }
      const { caption, seed, clip } = example;
      const videos = await toFrames(example);
      const shown = sideBySide(videos);
      const file = path.join(dir, `${String(i).padStart(2, '0')}-${slug(caption)}.gif`);
      const scale = Math.max(1, Math.floor(256 / videos[0]!.width));
      await writeVideo(file, shown, { fps, scale });
      logger.image(step, `samples/${i} ${caption}`, await readFile(file), shown.width * scale, shown.height * scale);
      columns = videos.length;
      rows.push(...videos);
      captions.push(...example.videos.map(({ label }) => (columns > 1 && label !== 'condition' ? label : caption)));
      records.push({ prompt: caption, path: path.basename(file), seed, ...(clip === undefined ? {} : { clip }) });
    }
    const framesPerVideo = columns > 1 ? FRAMES_SIDE_BY_SIDE : undefined;
    await contactSheet(path.join(dir, 'sheet.png'), rows, { captions, columns, framesPerVideo });
    await writeFile(path.join(dir, 'samples.json'), `${JSON.stringify(records, null, 2)}\n`);
    print(`samples of step ${step} in ${dir}`);
  }

  async dispose(): Promise<void> {
    await this.sampler.dispose();
  }
}

/** The example's videos as 8-bit frames; disposes of its tensors. */
async function toFrames({ videos }: Example): Promise<Frames[]> {
  const list: Frames[] = [];
  for (const { video } of videos) {
    const [, frames, height, width] = video.shape as [number, number, number, number];
    list.push({ data: await videoBytes(video), frames, height, width });
  }
  tf.dispose(videos.map(({ video }) => video));
  return list;
}

/** Videos of one size as one video, from left to right. */
function sideBySide(videos: Frames[]): Frames {
  const { frames, height, width } = videos[0]!;
  const row = width * 3;
  const data = new Uint8Array(videos.length * frames * height * row);
  for (let line = 0; line < frames * height; line++) {
    videos.forEach((video, i) => {
      data.set(video.data.subarray(line * row, (line + 1) * row), (line * videos.length + i) * row);
    });
  }
  return { data, frames, height, width: width * videos.length };
}
