/** Generates the videos of a benchmark: each is written once, whole or not at all, by whichever process gets to it. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { encode } from '../../data/index.js';
import { InputError, InterruptedError } from '../../errors.js';
import { type CascadeOptions, Show1Pipeline } from '../../infer/cascade.js';
import { findCascade } from '../../infer/cascade-folder.js';
import type { ModelFolder } from '../../infer/model-folder.js';
import { toFrames } from '../../infer/sample.js';
import { type HostVideo, StageCache } from '../../infer/stage-cache.js';
import { locateWeights } from '../../models/weights/locate.js';
import { writeJson } from '../../train/cache/atomic.js';
import { FileHashes } from '../../train/cache/file-hashes.js';
import type { Shard } from '../extract.js';
import { compareFields } from '../protocol.js';
import type { PlannedVideo } from './plan.js';

export interface GenerateRequest extends Omit<CascadeOptions, 'input' | 'deltas' | 'deltaScale'> {
  out: string;
  videos: readonly PlannedVideo[];
  /** What the videos follow from besides the model; a folder with others is refused. */
  record: Record<string, unknown>;
  /** Told how many frames the videos will have, before any is generated; may refuse. */
  checkFrames?: (frames: number) => void;
  /** Videos denoised together. */
  videosTogether?: number;
  batchWindows?: number;
  cleanCaptions?: boolean;
  /** Videos that go through the stages together: weights are loaded once for so many (default 32). */
  chunk?: number;
  shard?: Shard;
  signal?: AbortSignal;
  onProgress?: (what: string, done: number, total: number) => void;
}

export interface Generation {
  /** Written to `benchmark.json`. */
  record: Record<string, unknown>;
  /** Videos made in this run. */
  made: number;
}

export const RECORD_FILE = 'benchmark.json';
const STORAGE = 'mp4, H.264 (crf 17; 10 up to 64 pixels), yuv420p';

export const fileOf = (out: string, { id }: PlannedVideo): string => path.join(out, 'videos', `${id}.mp4`);

/** @throws InputError `eval.benchmark` when `out` holds videos of another model or other settings; InterruptedError */
export async function generateVideos(request: GenerateRequest): Promise<Generation> {
  const { out, videos, shard, signal, chunk = 32, print, onProgress = () => {} } = request;
  const pipeline = await Show1Pipeline.open(request);
  request.checkFrames?.(pipeline.plan.at(-1)!.settings.frames);
  await mkdir(path.join(out, 'videos'), { recursive: true });
  const record = { ...request.record, model: await describeModel(request, pipeline), storage: STORAGE };
  await keepRecord(out, record);

  const name = shard ? `${shard.index + 1}-of-${shard.count}` : 'all';
  const ours = shard ? videos.filter((_, i) => i % shard.count === shard.index) : videos;
  let made = 0;
  let done = 0;
  const interrupted = () => {
    if (!signal?.aborted) return;
    const there = ours.filter(video => existsSync(fileOf(out, video))).length;
    throw new InterruptedError(
      `interrupted; ${there} of ${ours.length} videos are in ${out}. The same command goes on from here.`,
      {
        code: 'eval.interrupted',
      },
    );
  };
  for (let at = 0; at < ours.length; at += chunk) {
    const part = ours.slice(at, at + chunk);
    const todo = part.filter(video => !existsSync(fileOf(out, video)));
    done += part.length - todo.length;
    onProgress('generating', done, ours.length);
    if (todo.length === 0) continue;
    interrupted();
    const stages = path.join(out, 'stages', name);
    const last = pipeline.plan.at(-1)!;
    await pipeline.generate({
      prompts: todo.map(({ prompt }) => prompt),
      seeds: todo.map(({ seed }) => seed),
      batch: request.videosTogether,
      batchWindows: request.batchWindows,
      cleanCaptions: request.cleanCaptions,
      cache: pipeline.plan.length > 1 ? new KeyedStages(stages) : undefined,
      checkpoint: interrupted,
      print,
      onProgress: share => onProgress('generating', done + Math.floor(share * todo.length * 0.999), ours.length),
      onVideo: async (stage, i, video) => {
        if (stage !== last.stage) return;
        await encode(fileOf(out, todo[i]!), toFrames(video), { fps: last.settings.fps });
        made++;
      },
    });
    await rm(stages, { recursive: true, force: true });
    done += todo.length;
    onProgress('generating', done, ours.length);
  }
  return { record, made };
}

/** Finished stages by what they follow from: what is left of a chunk is numbered anew at each start. */
class KeyedStages extends StageCache {
  override read(name: string, key: string): Promise<HostVideo | null> {
    return super.read(keyed(name, key), key);
  }

  override write(name: string, key: string, video: HostVideo): Promise<void> {
    return super.write(keyed(name, key), key, video);
  }
}

const keyed = (name: string, key: string): string => `${name.replace(/^\d+-/, '')}-${key.slice(0, 32)}`;

/** Stages with their settings, and their weights by content. */
async function describeModel(request: GenerateRequest, pipeline: Show1Pipeline): Promise<object> {
  const { models, stages, weights, out, print = () => {} } = request;
  const folders = await findCascade(models, stages, weights);
  const hashes = await FileHashes.open(path.join(out, `hashes-${hostname()}.json`), print);
  const ofFolder = async (dir: string): Promise<string[]> => {
    const found = locateWeights(dir);
    const files = 'file' in found ? [found.file] : found.shards;
    const list: string[] = [];
    for (const file of files) list.push(await hashes.of(file, request.signal));
    return list;
  };
  const describe = async ({ unet, root }: ModelFolder) => {
    const parts: Record<string, string[]> = { unet: await ofFolder(unet) };
    for (const part of ['vae', 'text_encoder']) {
      const dir = path.join(root, part);
      if (existsSync(path.join(dir, 'config.json'))) parts[part] = await ofFolder(dir);
    }
    return parts;
  };
  const described: Record<string, unknown> = {};
  for (const { stage, settings } of pipeline.plan) {
    described[stage] = { settings, weightsSha256: await describe(folders.stages.get(stage)!) };
  }
  if (folders.firstFrame && folders.stages.has('sr1')) {
    described.firstFrame = { weightsSha256: await describe(folders.firstFrame) };
  }
  await hashes.save();
  return { stages: described, precision: request.precision ?? null, cleanCaptions: request.cleanCaptions ?? false };
}

/** One folder holds the videos of one model and one way of sampling. */
async function keepRecord(out: string, record: Record<string, unknown>): Promise<void> {
  const file = path.join(out, RECORD_FILE);
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return writeJson(file, record);
  let before: object;
  try {
    before = JSON.parse(text) as object;
  } catch (error) {
    throw new InputError(`${file} is not JSON: ${(error as Error).message}`, { code: 'eval.benchmark', file });
  }
  const [first, ...more] = compareFields(before, JSON.parse(JSON.stringify(record)) as object);
  if (!first) return;
  const others = more.length > 0 ? `, and ${more.length} more` : '';
  throw new InputError(
    `${out} holds videos that were generated differently: ${first.field} was ${JSON.stringify(first.a)}, is ${JSON.stringify(first.b)}${others}. ` +
      'Choose another folder with --out',
    { code: 'eval.benchmark', out, fields: [first, ...more].map(({ field }) => field) },
  );
}
