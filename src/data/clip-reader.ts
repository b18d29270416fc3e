import { ByteCache } from './cache.js';
import { decode, probe, type VideoInfo } from './ffmpeg.js';
import { clipError, clipProblem } from './ffmpeg-errors.js';
import { type Frames, frameBytes, sliceFrames } from './frames.js';
import { createLimit } from './limit.js';
import type { ManifestEntry } from './manifest.js';

export interface ClipReaderOptions {
  entries: readonly ManifestEntry[];
  /** Most frames that are read at once; shorter clips are refused. */
  frames: number;
  /** Frames a second; default: each clip's own rate. */
  fps?: number;
  width: number;
  height: number;
  fit?: 'crop' | 'pad' | 'stretch';
  /** ffmpeg children at a time. */
  workers: number;
  /** Bytes of decoded clips kept in memory. */
  cacheBytes: number;
  signal: AbortSignal;
}

/** Reads consecutive frames of a clip at an offset chosen by the caller. */
export interface ClipReader {
  /**
   * @param index into `entries`
   * @param count number of frames, at most (and by default) `frames`
   * @param chooseOffset called with the number of possible offsets n ≥ 1, returns one of 0 … n-1
   * @throws InputError about this clip ({@link clipProblem} names the reason), WorkError about anything else
   */
  read(index: number, chooseOffset: (offsets: number) => number, count?: number): Promise<Frames>;
  stats(): { decoded: number; hits: number; cachedClips: number; cachedBytes: number };
}

/** Frames a second: wanted, and the clip's own. */
interface Rate {
  fps: number;
  sourceFps: number;
}

/** A longer video is never decoded whole: the first sample would have to wait for its end. */
const MAX_WHOLE_SECONDS = 120;

/**
 * A clip is decoded whole and kept, as 8-bit frames at the model's size, when the whole dataset fits the cache at its length or
 * when it is hardly longer than what is needed: then ffmpeg starts once a clip, not once a sample. Of longer clips only the
 * wanted window is decoded. Which way is taken depends on the clip and the options alone, so a sample's frames do not
 * depend on what was read before.
 */
export function createClipReader(options: ClipReaderOptions): ClipReader {
  const { entries, frames, width, height, signal } = options;
  const size = { width, height };
  const bytesPerFrame = frameBytes(size);
  const limit = createLimit(options.workers);
  const cache = new ByteCache<number, Frames>(options.cacheBytes);
  const infos = new Map<number, VideoInfo>();
  const pending = new Map<number, Promise<Frames>>();
  const failed = new Map<number, unknown>();
  let decoded = 0;
  let hits = 0;

  const info = async (index: number): Promise<VideoInfo> => {
    const entry = entries[index]!;
    const known = entry.info ?? infos.get(index);
    if (known) return known;
    const probed = await limit(() => probe(entry)).catch(error => remember(index, error));
    infos.set(index, probed);
    return probed;
  };

  /** What is wrong with a whole file stays wrong: it is found out once. Anything else may be tried again. */
  const remember = (index: number, error: unknown): never => {
    if (clipProblem(error) !== undefined) failed.set(index, error);
    throw error;
  };

  const readWindow = (index: number, { fps, sourceFps }: Rate, offset: number, count: number): Promise<Frames> =>
    limit(async () => {
      const clip = await decode(entries[index]!, {
        size,
        fit: options.fit,
        fps,
        sourceFps,
        frames: count,
        offset,
        signal,
      });
      decoded++;
      return clip;
    });

  const readWhole = (index: number, { fps, sourceFps }: Rate, total: number): Promise<Frames> => {
    // A container without a stated length (a live recording) is read up to a bound.
    const bound = total > 0 ? {} : { frames: 64 * frames, exact: false };
    const cached = cache.get(index);
    if (cached) {
      hits++;
      return Promise.resolve(cached);
    }
    const running = pending.get(index);
    if (running) return running;
    const job = limit(async () => {
      const video = entries[index]!;
      const clip = await decode(video, { size, fit: options.fit, fps, sourceFps, signal, ...bound });
      if (clip.frames < frames) {
        // Asking for the exact number makes ffmpeg.ts find out whether the clip is cut or merely short.
        await decode(video, { size, fit: options.fit, fps, sourceFps, frames, signal });
        throw clipError('video.too-short', video, `has ${clip.frames} frames, ${frames} are needed`, {
          got: clip.frames,
        });
      }
      decoded++;
      cache.set(index, clip, clip.data.length);
      return clip;
    })
      .catch(error => remember(index, error))
      .finally(() => pending.delete(index));
    pending.set(index, job);
    return job;
  };

  return {
    async read(index, chooseOffset, count = frames) {
      if (failed.has(index)) throw failed.get(index);
      const { seconds, fps: ownRate } = await info(index);
      const fps = options.fps ?? ownRate;
      const rate = { fps, sourceFps: ownRate };
      const total = Math.round(seconds * fps);
      const fits = total * bytesPerFrame * entries.length <= options.cacheBytes && seconds <= MAX_WHOLE_SECONDS;
      if (total <= 2 * frames || fits) {
        const clip = await readWhole(index, rate, total);
        return sliceFrames(clip, chooseOffset(clip.frames - count + 1), count);
      }
      const offset = chooseOffset(total - count + 1);
      try {
        return await readWindow(index, rate, offset, count);
      } catch (error) {
        // The stated length may promise more than there is: the start of the clip is the second choice, for every run alike.
        if (offset === 0 || clipProblem(error) === undefined) throw error;
        return readWindow(index, rate, 0, count);
      }
    },
    stats: () => ({ decoded, hits, cachedClips: cache.size, cachedBytes: cache.bytes }),
  };
}
