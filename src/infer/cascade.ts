/**
 * Show-1's cascade from prompts to videos. Stages load and free in turn, so the peak of memory is that of the largest
 * stage; prompts are encoded first, by encoders that are freed before any UNet is loaded.
 */
import path from 'node:path';
import { type Precision, type Tensor, tf } from '../engine/index.js';
import { InputError, WorkError } from '../errors.js';
import { formatBytes } from '../format.js';
import { type CascadeFolder, findCascade } from './cascade-folder.js';
import { readDeltas, type StageDelta } from './deltas.js';
import { fingerprintOf, type HostVideo, keyOf, type StageCache, videoKey } from './stage-cache.js';
import type { StageName } from './stage-names.js';
import { inspectFirstFrame, inspectStage, openFirstFrame, openStage, type StageRunner } from './stage-runner.js';
import {
  FIRST_FRAME,
  type StageOverrides,
  type StageSettings,
  stageSettings,
  unusedOptions,
  type VideoShape,
} from './stage-settings.js';
import { CascadeText, type StageText, type TextUser } from './stage-text.js';
import { rowsThatFit } from './step-size.js';

export interface CascadeOptions extends StageOverrides {
  /** Folders: `DIR` or `STAGE=DIR`; see `findCascade`. */
  models: readonly string[];
  stages: readonly StageName[];
  weights?: 'ema' | 'raw';
  precision?: Precision;
  compile?: boolean;
  /** Size of the video that the first stage starts from, where that is not base. */
  input?: VideoShape;
  /** Fine-tuned tensors put over the stages they belong to: files, or runs that hold them. */
  deltas?: readonly string[];
  /** How far towards the deltas' values (default 1). */
  deltaScale?: number;
  /** Told of options that no stage uses, and of a delta that was trained on other weights. */
  print?: (line: string) => void;
}

/** One stage of a pipeline, as it will run. */
export interface StagePlan {
  stage: StageName;
  label: string;
  settings: StageSettings;
}

export interface GenerateOptions {
  prompts: readonly string[];
  /** One a prompt. */
  seeds: readonly number[];
  /** Videos denoised together (default 4); fewer where memory is short. */
  batch?: number;
  /** interp: windows denoised together (default: all of a batch); fewer where memory is short. */
  batchWindows?: number;
  /** DeepFloyd IF's caption cleaning of the prompts for T5 (links, markup, file names …); default lower case alone. */
  cleanCaptions?: boolean;
  /** The videos that the first stage starts from, where that is not base; one a prompt. */
  input?: readonly HostVideo[];
  /** Finished stages are read from and written to here. */
  cache?: StageCache;
  /** `done` of `total` units of the whole; `what` says the stage and step. */
  onProgress?: (done: number, total: number, what: string) => void;
  print?: (line: string) => void;
  /** Called often; throw in it to stop. */
  checkpoint?: () => void;
  /** Told of each stage's video as soon as it is there. */
  onVideo?: (stage: StageName, index: number, video: HostVideo) => Promise<void>;
}

export interface StageReport extends StagePlan {
  secondsPerVideo: number;
}

type Phase = StageName | 'firstFrame';

export class Show1Pipeline {
  private constructor(
    private readonly options: CascadeOptions,
    private readonly folder: CascadeFolder,
    /** What each stage will do. */
    readonly plan: readonly StagePlan[],
    private readonly users: readonly TextUser[],
    private readonly text: CascadeText,
    private readonly deltas: ReadonlyMap<StageName, StageDelta>,
  ) {}

  /**
   * Finds all stages and checks everything that can be checked without reading weights: parts, configs, names and shapes.
   * @throws InputError for the first thing that is missing or does not fit
   */
  static async open(options: CascadeOptions): Promise<Show1Pipeline> {
    for (const line of unusedOptions(options, options.stages)) options.print?.(line);
    const folder = await findCascade(options.models, options.stages, options.weights);
    const deltas = await readDeltas(options, folder.stages);
    const plan: StagePlan[] = [];
    const users: TextUser[] = [];
    let shape = options.input;
    for (const [stage, model] of folder.stages) {
      const settings = stageSettings(stage, model, shape, options, deltas.get(stage)?.guidance);
      const width = await inspectStage(stage, model, settings, shape);
      const label = deltas.has(stage) ? `${model.label}, with ${deltas.get(stage)!.file}` : model.label;
      plan.push({ stage, label, settings });
      users.push({ name: stage, folder: model, width, negative: settings.negative });
      shape = settings;
    }
    if (folder.firstFrame && folder.stages.has('sr1')) {
      users.push({
        name: 'firstFrame',
        folder: folder.firstFrame,
        width: await inspectFirstFrame(folder.firstFrame),
        negative: '',
      });
    }
    return new Show1Pipeline(options, folder, plan, users, new CascadeText(users), deltas);
  }

  /** Whether sr1 starts on an image model's frame or on the bicubic enlargement of its input's. */
  get hasFirstFrameModel(): boolean {
    return this.folder.firstFrame !== undefined;
  }

  /**
   * Runs all stages for all prompts; each video depends on its own prompt and seed alone.
   * @returns the last stage's videos, one a prompt, and what each stage took
   */
  async generate(request: GenerateOptions): Promise<{ videos: HostVideo[]; stages: StageReport[] }> {
    const { prompts, seeds, input } = request;
    if (seeds.length !== prompts.length || (input && input.length !== prompts.length)) {
      throw new InputError(`generate: ${prompts.length} prompts need as many seeds and input videos`, {
        code: 'infer.batch',
      });
    }
    const progress = this.progress(request);
    try {
      const embeddings = await this.text.encode(prompts, {
        cleanCaptions: request.cleanCaptions,
        onProgress: (done, total) => progress('text', done, total),
      });
      let videos: HostVideo[] | undefined = input && [...input];
      let keys = prompts.map((prompt, i) =>
        keyOf([prompt, request.cleanCaptions ?? false, seeds[i], input && videoKey(input[i]!)]),
      );
      const stages: StageReport[] = [];
      for (const plan of this.plan) {
        const began = performance.now();
        ({ videos, keys } = await this.runStage(plan, { request, embeddings, videos, keys, progress }));
        stages.push({ ...plan, secondsPerVideo: (performance.now() - began) / 1e3 / prompts.length });
      }
      return { videos: videos!, stages };
    } finally {
      this.text.forget();
    }
  }

  private async runStage({ stage, settings }: StagePlan, run: Run): Promise<{ videos: HostVideo[]; keys: string[] }> {
    const { cache, onVideo, prompts } = run.request;
    const model = this.folder.stages.get(stage)!;
    const { firstFrame } = stage === 'sr1' ? this.folder : {};
    const { precision = model.config?.precision, compile = model.config?.compile } = this.options;
    const own = fingerprintOf(
      ...[model, ...(firstFrame ? [firstFrame] : [])].flatMap(({ unet, root }) => [
        unet,
        ...['scheduler', 'image_noising_scheduler', 'vae'].map(part => path.join(root, part)),
      ]),
      ...[stage, ...(firstFrame ? ['firstFrame'] : [])].flatMap(name => this.text.foldersOf(name)),
    );
    const keys = run.keys.map(key =>
      keyOf([
        key,
        stage,
        own,
        settings,
        model.recipe?.maxTextLength,
        precision ?? 'fp32',
        firstFrame && FIRST_FRAME,
        this.deltas.get(stage),
      ]),
    );
    const name = (i: number) => `${String(i).padStart(2, '0')}-${stage}`;
    const videos: (HostVideo | null)[] = await Promise.all(
      prompts.map(async (_, i) => (await cache?.read(name(i), keys[i]!)) ?? null),
    );
    const todo = videos.flatMap((video, i) => (video ? [] : [i]));
    const delta = this.deltas.get(stage);
    const options = { settings, precision, compile, delta };
    const inputs = run.videos;
    const firstFrames: HostVideo[] = [];
    if (firstFrame && todo.length > 0) {
      const opened = await openFirstFrame(firstFrame, options);
      await this.inBatches(opened, 'firstFrame', todo, run, inputs, async (i, frame) => {
        firstFrames[i] = frame;
      });
    }
    if (todo.length > 0) {
      const opened = await openStage(stage, model, options);
      await this.inBatches(opened, stage, todo, { ...run, firstFrames }, inputs, async (i, video) => {
        videos[i] = video;
        await cache?.write(name(i), keys[i]!, video);
        await onVideo?.(stage, i, video);
      });
    }
    for (const [i, video] of videos.entries()) if (!todo.includes(i)) await onVideo?.(stage, i, video!);
    run.progress(stage, 1, 1);
    return { videos: videos as HostVideo[], keys };
  }

  /** Runs an opened stage over the prompts `todo`, a batch at a time, and closes it. */
  private async inBatches(
    runner: StageRunner,
    phase: Phase,
    todo: readonly number[],
    { request, embeddings, firstFrames, progress }: Run & { firstFrames?: HostVideo[] },
    inputs: readonly HostVideo[] | undefined,
    keep: (index: number, video: HostVideo) => Promise<void>,
  ): Promise<void> {
    const { prompts, seeds, checkpoint } = request;
    const text = embeddings.get(phase)!;
    const { negative } = this.users.find(user => user.name === phase)!;
    try {
      const { batch, batchWindows } = this.together(runner, phase, todo.length, text.shape, request);
      for (let from = 0; from < todo.length; from += batch) {
        const chunk = todo.slice(from, from + batch);
        checkpoint?.();
        const context = text.batch(chunk.map(i => prompts[i]!));
        const unconditional = text.batch([negative]);
        const input = inputs && toTensor(chunk.map(i => inputs[i]!));
        const firstFrame = firstFrames?.length ? toTensor(chunk.map(i => firstFrames[i]!)) : undefined;
        try {
          const result = await runner.run({
            text: context,
            unconditional,
            seeds: chunk.map(i => seeds[i]!),
            input,
            firstFrame,
            batchWindows,
            checkpoint,
            onStep: (done, total) =>
              progress(phase, (from + (chunk.length * done) / total) / todo.length, 1, done, total),
          });
          const made = await toHost(result, phase);
          for (const [k, i] of chunk.entries()) await keep(i, made[k]!);
        } finally {
          tf.dispose([context, unconditional, ...(input ? [input] : []), ...(firstFrame ? [firstFrame] : [])]);
        }
      }
    } finally {
      runner.close();
    }
  }

  /** How many videos, or windows, go through the network together: what was asked for, or what memory holds. */
  private together(
    runner: StageRunner,
    phase: Phase,
    videos: number,
    text: [number, number],
    { batch = 4, batchWindows, print }: GenerateOptions,
  ): { batch: number; batchWindows?: number } {
    const isInterp = phase === 'interp';
    const { settings } = this.plan.find(({ stage }) => stage === (phase === 'firstFrame' ? 'sr1' : phase))!;
    const windows = isInterp ? (settings.frames - 1) / (settings.windowFrames! - 1) : 1;
    const size = Math.min(batch, videos);
    const wanted = isInterp ? Math.min(batchWindows ?? Number.POSITIVE_INFINITY, size * windows) : size;
    if (wanted === 1) return { batch: size, batchWindows: isInterp ? 1 : undefined };
    const bytes = runner.stepBytes(text);
    const fit = Math.min(wanted, rowsThatFit(bytes));
    if (fit < wanted) {
      const unit = isInterp ? 'windows' : 'videos';
      print?.(
        `${phase}: ${fit} instead of ${wanted} ${unit} at a time: each needs ${formatBytes(bytes)} beside the weights`,
      );
    }
    return isInterp ? { batch: size, batchWindows: fit } : { batch: fit };
  }

  /** Progress of the whole: phases weighted by pixels, windows and steps, text by a little. */
  private progress({ onProgress }: GenerateOptions): ProgressOf {
    const phases: [Phase | 'text', number][] = [['text', 0]];
    for (const { stage, settings } of this.plan) {
      const { frames, height, width, steps, windowFrames = frames } = settings;
      const overlap = windowFrames > 1 ? windowFrames / (windowFrames - 1) : 1;
      const pixels = frames * height * width * (stage === 'sr2' ? 1 / 16 : 1) * overlap;
      if (stage === 'sr1' && this.hasFirstFrameModel) phases.push(['firstFrame', height * width * FIRST_FRAME.steps]);
      phases.push([stage, pixels * steps]);
    }
    const total = phases.reduce((sum, [, weight]) => sum + weight, 0);
    phases[0]![1] = 0.02 * total;
    return (phase, done, of, step, steps) => {
      const at = phases.findIndex(([name]) => name === phase);
      const before = phases.slice(0, at).reduce((sum, [, weight]) => sum + weight, 0);
      const share = (before + (phases[at]![1] * done) / of) / (1.02 * total);
      const what = steps === undefined ? phase : `${phase} step ${step}/${steps}`;
      onProgress?.(share, 1, what === 'text' ? 'encoding the prompts' : what);
    };
  }
}

type ProgressOf = (phase: Phase | 'text', done: number, of: number, step?: number, steps?: number) => void;

interface Run {
  request: GenerateOptions;
  embeddings: Map<string, StageText>;
  /** Results of the stage before. */
  videos: HostVideo[] | undefined;
  keys: string[];
  progress: ProgressOf;
}

/** [F, H, W, 3] each -> [B, F, H, W, 3] */
function toTensor(videos: readonly HostVideo[]): Tensor {
  return tf.tidy(() => tf.stack(videos.map(({ shape, data }) => tf.tensor(data, shape))));
}

/** [B, F, H, W, 3], taken over -> B videos */
async function toHost(x: Tensor, phase: Phase): Promise<HostVideo[]> {
  const [B, ...shape] = x.shape as [number, ...HostVideo['shape']];
  const data = (await x.data()) as Float32Array;
  x.dispose();
  if (!data.every(Number.isFinite)) {
    throw new WorkError(
      `stage ${phase} gave a video with values that are no numbers. Its weights hold some, or bfloat16 is too coarse for them: check the weight files, try --precision fp32.`,
      { code: 'infer.not-finite', stage: phase },
    );
  }
  const size = data.length / B;
  return Array.from({ length: B }, (_, i) => ({ shape, data: data.slice(i * size, (i + 1) * size) }));
}
