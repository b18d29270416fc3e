/** Decodes the frames of a video that are measured. */
import type { ChildPool } from '../data/children.js';
import { clipError, clipProblem } from '../data/ffmpeg-errors.js';
import { type DecodeOptions, decode, type Frames, frameBytes, type ManifestEntry, probe } from '../data/index.js';
import { type ClipSampling, chooseFrames, spanOf } from './clip-sampling.js';
import type { Resolution } from './resolution.js';

/** Videos of which all frames are measured come in pieces of at most so many bytes. */
const PIECE_BYTES = 128 * 2 ** 20;

export interface ReadOptions {
  sampling: ClipSampling;
  resolution: Resolution;
  pool?: ChildPool;
  signal?: AbortSignal;
}

/**
 * @param content see {@link chooseFrames}
 * @returns the frames in pieces; one piece unless all frames of a large video are measured. The first one is there already.
 * @throws InputError about this video (`clipProblem` names the reason), `eval.resolution`
 */
export async function readClip(
  entry: ManifestEntry,
  content: string,
  options: ReadOptions,
): Promise<AsyncIterable<Frames>> {
  const { sampling, resolution, pool, signal } = options;
  const info = entry.info ?? (await probe(entry, { pool, signal }));
  const { fps } = sampling;
  const rate = fps === null ? {} : { fps, sourceFps: info.fps };
  const common: DecodeOptions = {
    ...rate,
    size: { width: info.width, height: info.height },
    fit: 'stretch',
    pool,
    signal,
  };
  const read = async (pick: readonly number[]): Promise<Frames> =>
    resolution.apply(await decode(entry, { ...common, pick }));
  const stated = fps === null ? info.frames : Math.round(info.seconds * fps);

  const choose = (total: number): number[] => {
    const numbers = chooseFrames(sampling, total, content);
    if (numbers) return numbers;
    const message = `has ${total} frames${fps === null ? '' : ` at ${fps} fps`}, ${spanOf(sampling)} are needed`;
    throw clipError('video.too-short', entry, message, { got: total, needed: spanOf(sampling) });
  };
  /** The frames counted one by one, small: lengths that containers state may promise more, or less, than there is. */
  const count = async (): Promise<number> =>
    (await decode(entry, { ...common, size: { width: 16, height: 16 }, fit: 'stretch' })).frames;

  const perPiece = Math.max(16, Math.floor(PIECE_BYTES / frameBytes(info)));
  const first = async (numbers: readonly number[]) => read(numbers.slice(0, perPiece));
  let numbers: number[];
  let opened: Frames;
  if (sampling.frames === 'all') {
    numbers = choose(await count());
    opened = await first(numbers);
  } else {
    try {
      numbers = choose(stated);
      opened = await first(numbers);
    } catch (error) {
      if (clipProblem(error) === undefined) throw error;
      numbers = choose(await count());
      opened = await first(numbers);
    }
  }
  return (async function* () {
    yield opened;
    for (let at = perPiece; at < numbers.length; at += perPiece) yield read(numbers.slice(at, at + perPiece));
  })();
}
