/** Options of decoding and encoding, their checks, and the ffmpeg filters and arguments that they become. */
import { extname } from 'node:path';
import { InputError } from '../errors.js';
import type { ChildPool } from './children.js';
import type { Frames } from './frames.js';

export interface DecodeOptions {
  /** Output size in pixels; default: the clip's own. */
  size?: { width: number; height: number };
  /** `crop` fills the size and cuts what sticks out at both sides, `pad` adds black bars, `stretch` distorts. Default `crop`. */
  fit?: 'crop' | 'pad' | 'stretch';
  /** Resampled to this rate (nearest frame in time); default: the clip's own rate. */
  fps?: number;
  /** The clip's own rate where the caller knows it; else it is looked up when `fps` is given. */
  sourceFps?: number;
  /** Number of frames; default: all that there are. */
  frames?: number;
  /** Seconds from the clip's start; default 0. */
  start?: number;
  /** Frames at `fps` added to `start`; needs `fps`. Default 0. */
  offset?: number;
  /**
   * The frames wanted by their numbers, ascending: counted at `fps`, or as the file stores them where no rate is given. Nothing
   * else is kept in memory. Instead of `frames`, `start` and `offset`.
   */
  pick?: readonly number[];
  /** Default `bicubic`. */
  interpolation?: 'bicubic' | 'bilinear' | 'lanczos' | 'area';
  /** With `frames`: an error when there are fewer (default), or whatever there is (at least one). */
  exact?: boolean;
  /** Bytes that the result may take; default 2 GiB. */
  maxBytes?: number;
  /** Kills ffmpeg; the call then fails with WorkError `ffmpeg.aborted`. */
  signal?: AbortSignal;
  /** Shares its limit of children; default: ffmpeg starts at once. */
  pool?: ChildPool;
  /** Among what waits in the pool, the lowest number comes first; default 0. */
  priority?: number;
}

/** How a child process is run. */
export type RunOptions = Pick<DecodeOptions, 'signal' | 'pool' | 'priority'>;

export interface EncodeOptions {
  /** Frames a second. */
  fps: number;
  /** Default: from the file's extension. */
  format?: 'mp4' | 'gif';
  /** x264 quality, 0 (best) … 51; default 10 up to 64 pixels, where artefacts show most, else 17. */
  crf?: number;
  /** Integer enlargement without smoothing, so that a 16x16 video can be seen; default 1. */
  scale?: number;
  signal?: AbortSignal;
}

/**
 * Filters that bring a clip to another rate: output frame k is the frame nearest in time to k/fps. To a lower rate, ffmpeg's
 * `fps` alone would take the last frame before (k + ½)/fps, and 32 fps become 8 fps as frames 1, 5, 9 … instead of 0, 4, 8 ….
 */
export function rateFilter(fps: number, sourceFps: number): string[] {
  if (fps >= sourceFps) return [`fps=${fps}`];
  return [`setpts=PTS-${(0.5 / sourceFps).toFixed(9)}/TB`, `fps=${fps}:round=up`];
}

/** Filters that let only the named frames through, at equal distances in time so that none is doubled to fill a gap. */
export function pickFilter(numbers: readonly number[]): string[] {
  const [first, last] = [numbers[0]!, numbers.at(-1)!];
  const each = (numbers[1] ?? first + 1) - first;
  const isEven = numbers.every((n, i) => n === first + i * each);
  const chosen = isEven
    ? `between(n,${first},${last})*not(mod(n-${first},${each}))`
    : numbers.map(n => `eq(n,${n})`).join('+');
  return [`select='${chosen}'`, 'setpts=N/FRAME_RATE/TB'];
}

/** Filters that bring a frame to the wanted size. */
export function sizeFilter(options: DecodeOptions): string[] {
  const flags = `${options.interpolation ?? 'bicubic'}+accurate_rnd+full_chroma_int+full_chroma_inp`;
  if (!options.size) return [`scale=flags=${flags}`];
  const { width, height } = options.size;
  if (options.fit === 'stretch') return [`scale=${width}:${height}:flags=${flags}`];
  // `dar` counts non-square pixels, so a clip is never squeezed. The larger of two fits covers the size, the smaller is inside.
  const pad = options.fit === 'pad';
  const pick = pad ? 'min' : 'max';
  const scaled = `w='${pick}(${width},round(${height}*dar))':h='${pick}(${height},round(${width}/dar))'`;
  return [
    `scale=${scaled}:flags=${flags}`,
    pad ? `pad=${width}:${height}:(ow-iw)/2:(oh-ih)/2` : `crop=${width}:${height}`,
    'setsar=1',
  ];
}

/** @throws InputError `decode.option` */
export function checkDecodeOptions(path: string, options: DecodeOptions): void {
  const positive: [string, number | undefined, boolean][] = [
    ['size.width', options.size?.width, true],
    ['size.height', options.size?.height, true],
    ['frames', options.frames, true],
    ['fps', options.fps, false],
  ];
  for (const [name, value, integer] of positive) {
    if (value !== undefined && !(value > 0 && Number.isFinite(value) && (!integer || Number.isInteger(value)))) {
      throw new InputError(`${path}: ${name} must be a positive ${integer ? 'integer' : 'number'}, got ${value}`, {
        code: 'decode.option',
        option: name,
        value,
      });
    }
  }
  const { pick } = options;
  if (pick) {
    const ascending = pick.every((n, i) => Number.isInteger(n) && n > (pick[i - 1] ?? -1));
    const alone = options.frames === undefined && !options.start && !options.offset;
    if (pick.length === 0 || !ascending || !alone) {
      throw new InputError(`${path}: pick must be ascending frame numbers from 0, without frames, start and offset`, {
        code: 'decode.option',
        option: 'pick',
        value: pick,
      });
    }
  }
  if (options.offset && options.fps === undefined) {
    throw new InputError(`${path}: offset counts frames at fps, so fps is needed with offset=${options.offset}`, {
      code: 'decode.option',
      option: 'offset',
    });
  }
}

/**
 * The file format that the options or the file's extension ask for.
 * @throws InputError `encode.option` for another format, a rate that is not positive or a scale that is no integer
 */
export function encodeFormat(path: string, options: EncodeOptions): 'mp4' | 'gif' {
  const format = options.format ?? extname(path).slice(1).toLowerCase();
  if (format !== 'mp4' && format !== 'gif') {
    throw new InputError(
      `${path}: cannot write "${format}" video; name it .mp4 or .gif, or give format: 'mp4' | 'gif'`,
      { code: 'encode.option', option: 'format', value: format },
    );
  }
  const { fps, scale = 1 } = options;
  if (!(fps > 0) || !Number.isFinite(fps) || !Number.isInteger(scale) || scale < 1) {
    throw new InputError(`${path}: fps must be positive and scale an integer from 1, got ${fps} and ${scale}`, {
      code: 'encode.option',
      fps,
      scale,
    });
  }
  return format;
}

/** The filter graph and the output arguments that write frames in a format. */
export function encodeArguments(
  video: Frames,
  format: 'mp4' | 'gif',
  options: EncodeOptions,
): { filter: string; output: string[] } {
  const small = Math.max(video.width, video.height) <= 64;
  const scale = options.scale ?? 1;
  const enlarge = `scale=iw*${scale}:ih*${scale}:flags=neighbor`;
  if (format === 'gif') {
    // Dithering hides banding in photographs but is a visible pattern on enlarged pixels.
    const palette = `palettegen[palette];[second][palette]paletteuse=dither=${small ? 'none' : 'sierra2_4a'}`;
    return { filter: `${enlarge},split[first][second];[first]${palette}`, output: ['-f', 'gif', '-loop', '0'] };
  }
  // H.264 with 4:2:0 colour, which every browser plays, needs even sides.
  const even = 'pad=ceil(iw/2)*2:ceil(ih/2)*2';
  const toYuv = 'scale=flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp:out_color_matrix=bt601:out_range=tv';
  const crf = options.crf ?? (small ? 10 : 17);
  return {
    filter: `${enlarge},${even},${toYuv},format=yuv420p`,
    output: [
      ...['-f', 'mp4', '-c:v', 'libx264', '-preset', 'medium', '-crf', String(crf), '-movflags', '+faststart'],
      ...['-colorspace', 'smpte170m', '-color_primaries', 'smpte170m', '-color_trc', 'smpte170m', '-color_range', 'tv'],
      // The same frames give the same bytes: no encoder version, no dependence on the number of cores.
      ...['-fflags', '+bitexact', '-flags:v', '+bitexact', '-map_metadata', '-1'],
      ...(small ? ['-threads', '1'] : []),
    ],
  };
}
