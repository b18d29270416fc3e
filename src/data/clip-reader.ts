import { ByteCache } from './cache.js';
import { createChildPool } from './children.js';
import { type DecodeOptions, decode, probe, type VideoInfo } from './ffmpeg.js';
import { clipError, clipProblem } from './ffmpeg-errors.js';
import { type Frames, frameBytes, sliceFrames } from './frames.js';
import { decodeImage } from './image.js';
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
  /** For clips of several shapes: what `frames`, `width` and `height` are for a clip; always the same for the same clip. */
  shapeOf?: (index: number) => ClipShape;
  fit?: 'crop' | 'pad' | 'stretch';
  /** ffmpeg children at a time. */
  workers: number;
  /** Bytes of decoded clips kept in memory. */
  cacheBytes: number;
  signal: AbortSignal;
}

export interface ClipShape {
  frames: number;
  width: number;
  height: number;
}

/** Frames of a clip, and which they are. */
export interface ClipWindow extends Frames {
  /** Number of the first one, counted at the rate of the reader. */
  offset: number;
}

export interface ReadOptions {
  /** Number of frames, at most (and by default) `frames`. */
  count?: number;
  /** Of what waits for a child, the lowest number comes first. */
  priority?: number;
}

/** Reads consecutive frames of a clip at an offset chosen by the caller. */
export interface ClipReader {
  /**
   * @param index into `entries`
   * @param chooseOffset called with the number of possible offsets n ≥ 1, returns one of 0 … n-1
   * @throws InputError about this clip ({@link clipProblem} names the reason), WorkError about anything else
   */
  read(index: number, chooseOffset: (offsets: number) => number, options?: ReadOptions): Promise<ClipWindow>;
  stats(): { decoded: number; hits: number; cachedClips: number; cachedBytes: number };
}

/** Frames a second: wanted, and the clip's own. */
interface Rate {
  fps: number;
  sourceFps: number;
}

/** A longer video is never decoded whole: the first sample would have to wait for its end. */
const MAX_WHOLE_SECONDS = 120;

/** Whether a clip of `total` frames is decoded whole: see {@link createClipReader}. */
export function isDecodedWhole(
  { total, seconds }: { total: number; seconds: number },
  { frames, width, height }: ClipShape,
  { clips, cacheBytes }: { clips: number; cacheBytes: number },
): boolean {
  const fits = total * frameBytes({ width, height }) * clips <= cacheBytes && seconds <= MAX_WHOLE_SECONDS;
  return total <= 2 * frames || fits;
}

/**
 * A clip is decoded whole and kept, as 8-bit frames at the model's size, when the whole dataset fits the cache at its length or
 * when it is hardly longer than what is needed: then ffmpeg starts once a clip, not once a sample. Of longer clips only the
 * wanted window is decoded. Which way is taken depends on the clip and the options alone, so a sample's frames do not
 * depend on what was read before.
 */
export function createClipReader(options: ClipReaderOptions): ClipReader {
  const { entries, signal } = options;
  const shapeOf = options.shapeOf ?? (() => options);
  const pool = createChildPool(options.workers);
  const limitPictures = createLimit(options.workers);
  const cache = new ByteCache<number, Frames>(options.cacheBytes);
  const infos = new Map<number, VideoInfo>();
  const pending = new Map<number, Promise<Frames>>();
  const failed = new Map<number, unknown>();
  let decoded = 0;
  let hits = 0;

  const info = async (index: number, priority: number): Promise<VideoInfo> => {
    const entry = entries[index]!;
    const known = entry.info ?? infos.get(index);
    if (known) return known;
    const probed = await probe(entry, { pool, priority, signal }).catch(error => remember(index, error));
    infos.set(index, probed);
    return probed;
  };

  /** What is wrong with a whole file stays wrong: it is found out once. Anything else may be tried again. */
  const remember = (index: number, error: unknown): never => {
    if (clipProblem(error) !== undefined) failed.set(index, error);
    throw error;
  };

  const decodeClip = (index: number, { fps, sourceFps }: Rate, more: DecodeOptions): Promise<Frames> => {
    const { width, height } = shapeOf(index);
    const same = { size: { width, height }, fit: options.fit, fps, sourceFps, pool, signal };
    return decode(entries[index]!, { ...same, ...more });
  };

  const readWindow = async (index: number, rate: Rate, offset: number, wanted: Required<ReadOptions>) => {
    const { count, priority } = wanted;
    const clip = await decodeClip(index, rate, { frames: count, offset, priority });
    decoded++;
    return { ...clip, offset };
  };

  /** What `make` gives, once for all requests of this time, from memory later. */
  const keep = (index: number, make: () => Promise<Frames>): Promise<Frames> => {
    const cached = cache.get(index);
    if (cached) {
      hits++;
      return Promise.resolve(cached);
    }
    const running = pending.get(index);
    if (running) return running;
    const job = make()
      .then(clip => {
        decoded++;
        cache.set(index, clip, clip.data.length);
        return clip;
      })
      .catch(error => remember(index, error))
      .finally(() => pending.delete(index));
    pending.set(index, job);
    return job;
  };

  const readPicture = async (index: number): Promise<ClipWindow> => {
    const { frames, width, height } = shapeOf(index);
    const { fit } = options;
    if (frames > 1) {
      throw remember(index, clipError('video.too-short', entries[index]!, `is a picture, ${frames} frames are needed`));
    }
    const decodeOne = () => decodeImage(entries[index]!, { size: { width, height }, fit });
    return { ...(await keep(index, () => limitPictures(decodeOne))), offset: 0 };
  };

  const readWhole = (index: number, rate: Rate, total: number, priority: number): Promise<Frames> => {
    const { frames } = shapeOf(index);
    // A container without a stated length (a live recording) is read up to a bound.
    const bound = total > 0 ? {} : { frames: 64 * frames, exact: false };
    return keep(index, async () => {
      const clip = await decodeClip(index, rate, { ...bound, priority });
      if (clip.frames >= frames) return clip;
      // Asking for the exact number makes ffmpeg.ts find out whether the clip is cut or merely short.
      await decodeClip(index, rate, { frames, priority });
      throw clipError('video.too-short', entries[index]!, `has ${clip.frames} frames, ${frames} are needed`, {
        got: clip.frames,
      });
    });
  };

  return {
    async read(index, chooseOffset, { count = shapeOf(index).frames, priority = 0 } = {}) {
      if (failed.has(index)) throw failed.get(index);
      if (entries[index]!.kind === 'image') return readPicture(index);
      const { frames, width, height } = shapeOf(index);
      const { seconds, fps: ownRate } = await info(index, priority);
      const fps = options.fps ?? ownRate;
      const rate = { fps, sourceFps: ownRate };
      const total = Math.round(seconds * fps);
      if (isDecodedWhole({ total, seconds }, { frames, width, height }, { ...options, clips: entries.length })) {
        const clip = await readWhole(index, rate, total, priority);
        const offset = chooseOffset(clip.frames - count + 1);
        return { ...sliceFrames(clip, offset, count), offset };
      }
      const wanted = { count, priority };
      const offset = chooseOffset(total - count + 1);
      try {
        return await readWindow(index, rate, offset, wanted);
      } catch (error) {
        // The stated length may promise more than there is: the start of the clip is the second choice, for every run alike.
        if (offset === 0 || clipProblem(error) === undefined) throw error;
        return readWindow(index, rate, 0, wanted);
      }
    },
    stats: () => ({ decoded, hits, cachedClips: cache.size, cachedBytes: cache.bytes }),
  };
}
