/** A run of Python's VideoToVideoSDPipeline replayed on the way that `show1 sample` goes, with the noise Python drew. */
import { type Tensor, tf } from '../../src/engine/index.js';
import { findCascade } from '../../src/infer/cascade-folder.js';
import { inspectStage, openStage, type StageCall, type StageRunner } from '../../src/infer/stage-runner.js';
import { stageSettings } from '../../src/infer/stage-settings.js';
import { CascadeText } from '../../src/infer/stage-text.js';
import { Tokenizer } from '../../src/models/text/index.js';
import { compare } from '../../src/verify/compare.js';
import { hostValue, readTensor, toChannelsFirst } from '../../src/verify/tensors.js';
import { Recorder, recordedNoise } from '../../src/verify/trajectory.js';
import type { TensorValue } from '../../src/verify/types.js';
import type { VideoRun } from './python.js';

/** As that of the trajectories among the fixtures. */
const TOLERANCE = { atol: 1e-3, rtol: 2e-3 };

export interface Replayed {
  /** What is beyond the tolerance, and what Python recorded and nothing was compared with. */
  misses: string[];
  /** Largest difference of each tensor. */
  errors: Record<string, number>;
}

/** Compares by name: every `out.*` of `expected` must be in `actual`. */
export function compareAll(
  actual: ReadonlyMap<string, TensorValue>,
  expected: ReadonlyMap<string, TensorValue>,
  tolerance = TOLERANCE,
): Replayed {
  const misses: string[] = [];
  const errors: Record<string, number> = {};
  for (const [name, value] of expected) {
    if (!name.startsWith('out.')) continue;
    const found = actual.get(name);
    if (!found) {
      misses.push(`${name}: nothing was compared with it`);
      continue;
    }
    const { message, maxAbsError } = compare({ name, actual: found, expected: value, kind: 'output' }, tolerance);
    errors[name] = maxAbsError;
    if (message) misses.push(message);
  }
  return { misses, errors };
}

interface Prompts {
  prompt: string;
  negative: string;
}

/** Opens the folder as stage sr2 and runs it on `in.video`; `use` gets what a call needs but its random numbers. */
async function withStage<T>(
  dir: string,
  io: ReadonlyMap<string, TensorValue>,
  { steps, strength, guidance }: VideoRun,
  { prompt, negative }: Prompts,
  use: (run: StageRunner['run'], call: Omit<StageCall, 'seeds'>) => Promise<T>,
): Promise<T> {
  const model = (await findCascade([dir], ['sr2'])).stages.get('sr2')!;
  const [, F, h, w] = io.get('in.video')!.shape as [number, number, number, number];
  const [, H, W] = io.get('in.frames')!.shape as [number, number, number];
  const input = { frames: F, height: h, width: w, fps: 8 };
  const overrides = { steps, strength, guidance, negative, finalHeight: H, finalWidth: W };
  const settings = stageSettings('sr2', model, input, overrides);
  const width = await inspectStage('sr2', model, settings, input);
  const cascadeText = new CascadeText([{ name: 'sr2', folder: model, width, negative }]);
  const embeddings = (await cascadeText.encode([prompt])).get('sr2')!;
  const [text, unconditional] = [embeddings.batch([prompt]), embeddings.batch([negative])];
  const video = readTensor(io, 'in.video');
  const runner = await openStage('sr2', model, { settings });
  try {
    return await use(call => runner.run(call), { text, unconditional, input: video });
  } finally {
    runner.close();
    cascadeText.forget();
    tf.dispose([text, unconditional, video]);
  }
}

const value = (x: Tensor) => tf.tidy(() => hostValue(toChannelsFirst(x)) as never) as TensorValue;

/** @param io `in.video`, the noise and everything that Python made of them */
export async function replayVideo(
  dir: string,
  io: ReadonlyMap<string, TensorValue>,
  run: VideoRun,
  prompts: Prompts,
): Promise<Replayed> {
  const recorded = new Recorder();
  return withStage(dir, io, run, prompts, async (sample, call) => {
    const noise = recordedNoise({ io, name: dir });
    const seeds = [0]; // unused: all noise is recorded
    const result = await sample({ ...call, seeds, noise, observe: step => recorded.add(step) });
    const actual = recorded.values();
    actual.set('out.prompt_embeds', value(call.text));
    actual.set('out.negative_prompt_embeds', value(call.unconditional));
    actual.set('out.video', value(result));
    result.dispose();
    return compareAll(actual, io);
  });
}

/** The same with random numbers of ours: the video, [1, F, H, W, 3]. */
export async function sampleVideo(
  dir: string,
  io: ReadonlyMap<string, TensorValue>,
  run: VideoRun,
  prompts: Prompts,
  seed: number,
): Promise<TensorValue> {
  return withStage(dir, io, run, prompts, async (sample, call) => {
    const result = await sample({ ...call, seeds: [seed] });
    const video = hostValue(result);
    result.dispose();
    return video;
  });
}

/** Ids of the folder's tokenizer, [texts, L], as `in.input_ids`. */
export function tokensOf(dir: string, texts: string[], maxLength: number): number[] {
  return [...Tokenizer.fromPretrained(dir).encode(texts, { maxLength }).inputIds];
}
