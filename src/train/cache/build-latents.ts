/**
 * Fills a cache of latents: of each clip all frames at data.fps, encoded to the means and standard deviations that training draws
 * from. ffmpeg decodes the next clips while the autoencoder works.
 */
import type { Config } from '../../config/schema.js';
import {
  clipProblem,
  type DecodeOptions,
  decode,
  type Frames,
  frameBytes,
  type ManifestEntry,
  probe,
  sliceFrames,
  writeUnit,
} from '../../data/index.js';
import { tf } from '../../engine/index.js';
import { InputError, type Show1Error } from '../../errors.js';
import { AutoencoderKL } from '../../models/vae/index.js';
import { type FrozenCodec, frozenCodec } from '../codec.js';
import { type ClipFile, clipName, identify, placeOf } from './clip-files.js';
import type { FileHashes } from './file-hashes.js';
import { latentsFingerprint } from './fingerprints.js';
import type { LatentsIndex, StoredClip } from './latents-index.js';
import { type RejectedClip, readIndex } from './record.js';
import { type CacheSession, checkAbort } from './session.js';

/** Clips whose frames take more are decoded piece by piece, while they are encoded. */
const WHOLE_BYTES = 256 * 2 ** 20;
/** Frames of a piece. */
const PIECE = 64;
/** A container without a stated length is read up to so many times `data.frames`, as the loader does. */
const UNSTATED = 64;

export interface LatentsRequest {
  config: Config;
  /** Folder of the autoencoder. */
  vae: string;
  entries: readonly ManifestEntry[];
}

export interface LatentsSummary {
  clips: number;
  /** Encoded in this run. */
  computed: number;
  frames: number;
  bytes: number;
  rejected: number;
}

interface Problem {
  code: string;
  message: string;
  reason: string;
}

/** A clip on its way: known already, or its frames, or what is wrong with it. */
interface Looked {
  entry: ManifestEntry;
  file: ClipFile;
  name: string;
  info?: Pick<StoredClip, 'seconds' | 'fps'>;
  /** Frames of what is stored. */
  frames?: number;
  pieces?: AsyncIterable<Frames>;
  problem?: Problem;
}

export async function buildLatents(
  session: CacheSession,
  hashes: FileHashes,
  { config, vae, entries }: LatentsRequest,
): Promise<LatentsSummary> {
  const { signal, print, onProgress, dir } = session;
  const fingerprint = await latentsFingerprint(vae, config, hashes, signal);
  const { writer, finish } = await session.begin('latents', fingerprint);
  const before = indexOf(dir);
  if (entries.some(entry => entry.kind === 'image')) {
    throw new InputError('latents of pictures cannot be cached: leave out --latents, or the pictures', {
      code: 'cache.images',
    });
  }
  const places = [...new Map(entries.map(entry => [placeOf(entry), entry]))];
  const clips: LatentsIndex['clips'] = {};
  const files: LatentsIndex['files'] = {};
  const rejected: RejectedClip[] = [];
  let codec: FrozenCodec | null = null;
  let computed = 0;

  const look = async ([place, entry]: [string, ManifestEntry]): Promise<Looked> => {
    const known = before.files[place];
    const { size, mtimeMs, sha256 } = await identify(entry, known, signal);
    const file = { size, mtimeMs, sha256 };
    const name = clipName(file, entry);
    const looked = { entry, file, name };
    try {
      const { seconds, fps } = before.clips[name] ?? clips[name] ?? entry.info ?? (await probe(entry));
      const info = { seconds, fps };
      const frames = writer.shapeOf(name)?.[0];
      if (frames !== undefined) return { ...looked, info, frames };
      return { ...looked, info, pieces: await decodePieces(entry, info, config, signal) };
    } catch (error) {
      return { ...looked, problem: problemOf(error) };
    }
  };

  const ahead: Promise<Looked>[] = [];
  const depth = Math.max(1, config.data.workers) + 1;
  let started = 0;
  try {
    for (let done = 0; done < places.length; done++) {
      while (started < places.length && ahead.length < depth) {
        const looking = look(places[started++]!);
        looking.catch(() => undefined); // it is thrown below, when its turn comes
        ahead.push(looking);
      }
      checkAbort(signal);
      const { entry, file, name, info, pieces, ...looked } = await ahead.shift()!;
      const place = places[done]![0];
      let { frames, problem } = looked;
      if (pieces && !writer.has(name)) {
        codec ??= frozenCodec(await AutoencoderKL.fromPretrained(vae), config);
        try {
          const tensor = await posteriorOf(codec, pieces, signal);
          await writer.add({ name, ...tensor });
          computed++;
        } catch (error) {
          problem = problemOf(error);
        }
      }
      frames ??= writer.shapeOf(name)?.[0]; // the same bytes may have come twice
      if (problem) {
        const { code, message, reason } = problem;
        files[place] = { ...file, name, problem: { code, message } };
        rejected.push({ id: entry.id, path: entry.path, reason, message });
        print(`rejected ${entry.path}: ${reason}: ${message}`);
      } else {
        files[place] = { ...file, name };
        clips[name] = { ...info!, frames: frames! };
      }
      onProgress('clips', done + 1, places.length);
    }
  } catch (error) {
    checkAbort(signal); // a decoder that was stopped on request is no failure
    throw error;
  } finally {
    await Promise.allSettled(ahead);
    await writer.flush(); // what is encoded is kept
    codec?.dispose();
  }
  const names = Object.keys(clips);
  if (names.length === 0) {
    throw new InputError(`none of the ${places.length} clips can be read. First: ${rejected[0]?.message}`, {
      code: 'cache.nothing-left',
    });
  }
  const shape = writer.shapeOf(names[0]!)!.slice(1) as LatentsIndex['shape'];
  const bytes = await finish<Omit<LatentsIndex, 'shards'>>(
    { clips, files, shape },
    { entries: names.length, rejected, isWanted: name => name in clips },
  );
  const frames = Object.values(clips).reduce((sum, clip) => sum + clip.frames, 0);
  return { clips: names.length, computed, frames, bytes, rejected: rejected.length };
}

/** What an earlier run knew; a missing or damaged index costs looking at the clips again. */
function indexOf(dir: string): Pick<LatentsIndex, 'clips' | 'files'> {
  try {
    return readIndex<LatentsIndex>(dir, 'latents');
  } catch {
    return { clips: {}, files: {} };
  }
}

/** What is wrong with one clip; anything else is thrown again. */
function problemOf(error: unknown): Problem {
  const reason = clipProblem(error);
  if (reason === undefined) throw error;
  const { code, message } = error as Show1Error;
  return { code, message, reason };
}

/** All frames of a clip at data.fps, in pieces; exactly those of which the loader cuts its samples. */
async function decodePieces(
  entry: ManifestEntry,
  { seconds, fps: sourceFps }: Pick<StoredClip, 'seconds' | 'fps'>,
  { data }: Config,
  signal: AbortSignal | undefined,
): Promise<AsyncIterable<Frames>> {
  const { width, height, fit, fps } = data;
  const options: DecodeOptions = { size: { width, height }, fit, fps, sourceFps, signal };
  const total = Math.round(seconds * fps);
  const most = total > 0 ? total : UNSTATED * ((data.frames - 1) * Math.max(...data.strides) + 1);
  if (most * frameBytes({ width, height }) > WHOLE_BYTES) return decodeLong(entry, options, most);
  const clip = await decode(entry, { ...options, ...(total > 0 ? {} : { frames: most, exact: false }) });
  return (async function* () {
    for (let at = 0; at < clip.frames; at += PIECE) yield sliceFrames(clip, at, Math.min(PIECE, clip.frames - at));
  })();
}

async function* decodeLong(entry: ManifestEntry, options: DecodeOptions, most: number): AsyncGenerator<Frames> {
  for (let offset = 0; offset < most; offset += PIECE) {
    const frames = Math.min(PIECE, most - offset);
    let piece: Frames;
    try {
      piece = await decode(entry, { ...options, frames, offset, exact: false });
    } catch (error) {
      // A stated length may promise more than there is; the loader then takes the start.
      if (offset === 0 || (error as Show1Error).code !== 'video.too-short') throw error;
      return;
    }
    yield piece;
    if (piece.frames < frames) return;
  }
}

/** Means and standard deviations [F, h, w, 2·latent] of a clip's frames. */
async function posteriorOf(
  codec: FrozenCodec,
  pieces: AsyncIterable<Frames>,
  signal: AbortSignal | undefined,
): Promise<{ shape: number[]; values: Float32Array }> {
  const parts: Float32Array[] = [];
  let shape: number[] = [];
  for await (const { data, frames, height, width } of pieces) {
    const pixels = new Float32Array(data.length);
    writeUnit(data, pixels);
    const video = tf.tensor(pixels, [1, frames, height, width, 3]);
    try {
      const latents = await codec.posterior(video, { onFrame: () => checkAbort(signal) }); // [1, F, h, w, 2·latent]
      shape = latents.shape.slice(2);
      parts.push((await latents.data()) as Float32Array);
      latents.dispose();
    } finally {
      video.dispose();
    }
  }
  const values = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    values.set(part, at);
    at += part.length;
  }
  return { shape: [values.length / shape.reduce((product, n) => product * n, 1), ...shape], values };
}
