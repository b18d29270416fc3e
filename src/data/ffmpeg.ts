/**
 * Everything that is done with ffmpeg: probe, decode, encode. The only file that uses fluent-ffmpeg (archived upstream in
 * 2025), so that it can be replaced here alone; `ffmpeg-locate.ts` finds the programs, `ffmpeg-errors.ts` reads their words.
 */
import { setMaxListeners } from 'node:events';
import { type Stats, statSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import ffmpegCommand, { type FfmpegCommand } from 'fluent-ffmpeg';
import { InputError, WorkError } from '../errors.js';
import { runChild } from './children.js';
import {
  checkDecodeOptions,
  type DecodeOptions,
  type EncodeOptions,
  encodeArguments,
  encodeFormat,
  pickFilter,
  type RunOptions,
  rateFilter,
  sizeFilter,
} from './ffmpeg-arguments.js';
import {
  checkFile,
  clipError,
  explainFailure,
  lastWords,
  looksDamaged,
  looksLikeOurFault,
  missingDecoder,
} from './ffmpeg-errors.js';
import { locate } from './ffmpeg-locate.js';
import { type Frames, frameBytes } from './frames.js';
import { asSource, inputUrl, nameOf, type Segment, type VideoSource } from './video-source.js';

export type { DecodeOptions, EncodeOptions, VideoSource };

/** What a container says about its first video stream. */
export interface VideoInfo {
  /** Pixels as displayed (rotation applied). */
  width: number;
  height: number;
  /** Average frames a second. */
  fps: number;
  /** Number of frames (counted by the container, else seconds·fps). */
  frames: number;
  seconds: number;
  codec: string;
}

/** Kept from a run: ffmpeg's own words, and whether it failed. */
interface Outcome {
  stderr: string;
  error?: Error;
}

const QUIET = ['-hide_banner', '-nostdin', '-loglevel', 'warning'];

function prepare(): void {
  ffmpegCommand.setFfmpegPath(locate('ffmpeg').path);
}

/**
 * Runs a program to its end, in the thread of children; never throws because of its exit code.
 * @throws WorkError `ffmpeg.aborted`, `ffmpeg.failed` when it could not run or was killed by somebody else
 */
async function runProgram(
  name: 'ffmpeg' | 'ffprobe',
  args: readonly string[],
  options: RunOptions,
): Promise<Outcome & { stdout: Uint8Array }> {
  const failed = (why: string, cause?: unknown): WorkError =>
    new WorkError(`${name} could not run: ${why}`, { code: 'ffmpeg.failed' }, cause);
  const result = await runChild({ command: locate(name).path, args, ...options }).catch(cause => {
    throw failed((cause as Error).message, cause);
  });
  if (options.signal?.aborted) throw aborted();
  if (result.code === null) throw failed(`it was killed with signal ${result.signal}`);
  const { code, stdout, stderr } = result;
  return { stdout, stderr, error: code === 0 ? undefined : new Error(`${name} exited with code ${code}`) };
}

const aborted = (): WorkError => new WorkError('ffmpeg was stopped on request', { code: 'ffmpeg.aborted' });

/** Runs an encoding to its end; never throws because of ffmpeg's exit code. */
function run(command: FfmpegCommand, signal: AbortSignal | undefined): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    let stderr = '';
    if (signal?.aborted) return reject(aborted());
    const stop = (): void => {
      command.kill('SIGKILL');
    };
    if (signal) {
      setMaxListeners(0, signal);
      signal.addEventListener('abort', stop);
    }
    const done = (error?: Error): void => {
      signal?.removeEventListener('abort', stop);
      if (signal?.aborted) reject(aborted());
      else if (error && /killed with signal|ENOMEM|EAGAIN|EMFILE|spawn /.test(error.message)) {
        reject(new WorkError(`ffmpeg could not run: ${error.message}`, { code: 'ffmpeg.failed' }, error));
      } else resolve({ stderr, error });
    };
    command
      .on('start', () => {
        // A request to stop may have come before the child was there to be killed.
        if (signal?.aborted) stop();
      })
      .on('stderr', (line: string) => {
        stderr = `${stderr}${line}\n`.slice(-8192);
      })
      .on('error', (error: Error) => done(error))
      .on('end', () => done())
      .run();
  });
}

/**
 * {@link checkFile} without its turns of the event loop where all is well: they would hold up what is read ahead, because
 * training lets the loop turn once a step.
 */
async function quickCheck(video: string | VideoSource): Promise<void> {
  const { path, member } = asSource(video);
  let found: Stats | undefined;
  try {
    found = statSync(path, { throwIfNoEntry: false });
  } catch {
    // checkFile says why
  }
  const size = member ? member.end - member.start : found?.size;
  if (!found?.isFile() || !size || (member && member.end > found.size)) await checkFile(video);
}

/** What ffprobe prints as JSON, as far as it is read. */
interface ProbeStream {
  codec_type?: string;
  codec_name?: string;
  width?: number;
  height?: number;
  avg_frame_rate?: string;
  r_frame_rate?: string;
  nb_frames?: string;
  duration?: string;
  disposition?: { attached_pic?: number };
  tags?: { rotate?: string };
  side_data_list?: { rotation?: number }[];
}

interface ProbeOutput {
  streams?: ProbeStream[];
  format?: { duration?: string };
}

function number(value: unknown): number {
  const parsed = typeof value === 'number' ? value : Number.parseFloat(String(value));
  return Number.isFinite(parsed) && parsed > 0 ? parsed : 0;
}

function rate(value: unknown): number {
  const [top, bottom] = String(value ?? '').split('/');
  return number(top) / (bottom === undefined ? 1 : number(bottom) || Number.POSITIVE_INFINITY);
}

function describe(stream: ProbeStream, containerSeconds: number): VideoInfo {
  const turn = stream.side_data_list?.find(one => one.rotation !== undefined)?.rotation ?? stream.tags?.rotate ?? 0;
  const rotation = Math.abs(Number.parseFloat(String(turn)));
  const turned = rotation === 90 || rotation === 270;
  const [width, height] = [number(stream.width), number(stream.height)];
  const fps = rate(stream.avg_frame_rate) || rate(stream.r_frame_rate);
  const counted = number(stream.nb_frames);
  const seconds = number(stream.duration) || containerSeconds || (fps > 0 ? counted / fps : 0);
  return {
    width: turned ? height : width,
    height: turned ? width : height,
    fps,
    frames: counted || Math.round(seconds * fps),
    seconds,
    codec: String(stream.codec_name ?? 'unknown'),
  };
}

/** What is left of a video in a segment of it. */
function inside(info: VideoInfo, segment: Segment | undefined): VideoInfo {
  if (!segment) return info;
  // A container without a stated length (a live recording) is taken to reach as far as the segment says.
  const rest = info.seconds > 0 ? Math.max(0, info.seconds - segment.start) : segment.seconds;
  const seconds = Math.min(segment.seconds, rest);
  return { ...info, seconds, frames: Math.round(seconds * info.fps) };
}

/**
 * Reads a video's size, rate and length without decoding it. Of a segment, the length is the segment's.
 * @param video a path, or a file with a tar's member or a segment chosen in it
 * @throws InputError `video.missing`, `video.not-a-file`, `video.empty`, `video.unreadable`, `video.not-a-video`,
 *   `video.truncated` (see {@link clipProblem}); WorkError `ffmpeg.missing`, `ffmpeg.failed`
 */
export async function probe(video: string | VideoSource, options: RunOptions = {}): Promise<VideoInfo> {
  await quickCheck(video);
  const args = ['-v', 'error', '-print_format', 'json', '-show_streams', '-show_format', inputUrl(video)];
  const { stdout, stderr, error } = await runProgram('ffprobe', args, options);
  if (error) throw await explainFailure(video, stderr);
  const { streams = [], format = {} } = JSON.parse(Buffer.from(stdout).toString()) as ProbeOutput;
  // A cover picture is a video stream of one frame to ffmpeg.
  const stream = streams.find(one => one.codec_type === 'video' && one.disposition?.attached_pic !== 1);
  if (!stream) throw await explainFailure(video, 'no video stream');
  const info = describe(stream, number(format.duration));
  if (info.width === 0 || info.height === 0 || info.fps === 0) {
    const found = `${info.width}x${info.height} at ${info.fps} fps, codec ${info.codec}`;
    throw clipError('video.not-a-video', video, `has a video stream without size or rate (${found})`);
  }
  return inside(info, asSource(video).segment);
}

/**
 * Decodes frames as 8-bit RGB, `[frames, height, width, 3]`, resized and resampled in time. Of a segment, `start` and `offset`
 * count from its start, and no frame behind its end is read.
 * @throws as {@link probe}, and InputError `video.too-short` (with `frames` got and needed) or `video.truncated` when there
 *   are fewer frames than asked for, `decode.option`, `decode.too-large`; WorkError `ffmpeg.aborted`
 */
export async function decode(video: string | VideoSource, options: DecodeOptions = {}): Promise<Frames> {
  const name = nameOf(video);
  const { segment } = asSource(video);
  checkDecodeOptions(name, options);
  await quickCheck(video);
  const { fps, sourceFps, signal, pool, priority } = options;
  const running = { signal, pool, priority };
  const known = options.size !== undefined && (fps === undefined || sourceFps !== undefined);
  const info = known ? undefined : await probe(video, running);
  const size = options.size ?? info!;
  const rate = fps === undefined ? [] : rateFilter(fps, sourceFps ?? info!.fps);
  const into = (options.start ?? 0) + (options.offset ?? 0) / (options.fps ?? 1);
  const start = (segment?.start ?? 0) + into;
  // Containers that count milliseconds round a frame's time: the first frame behind a segment may seem to be that much early.
  const until = segment ? [`trim=end=${Math.max(1e-6, segment.seconds - into - 0.002).toFixed(6)}`] : [];
  const maxBytes = options.maxBytes ?? 2 * 2 ** 30;
  const most = Math.floor(maxBytes / frameBytes(size));
  const wanted = options.pick?.length ?? options.frames;
  const asked = wanted ?? most + 1;
  if (wanted !== undefined && asked > most) throw tooLarge(name, size, asked, maxBytes);
  const pick = options.pick ? pickFilter(options.pick) : [];

  // One thread a child: the loader runs several children, and a tiny clip is not worth a pool of threads.
  const seek = start > 0 ? ['-ss', start.toFixed(6)] : [];
  const {
    stdout: data,
    stderr,
    error,
  } = await runProgram(
    'ffmpeg',
    [
      ...[...QUIET, '-threads', '1', ...seek, '-i', inputUrl(video)],
      ...['-map', '0:V:0', '-an', '-sn', '-dn', '-threads', '1', '-frames:v', String(asked)],
      ...[
        '-filter:v',
        [...until, ...rate, ...pick, ...sizeFilter(options)].join(','),
        '-f',
        'rawvideo',
        '-pix_fmt',
        'rgb24',
      ],
      'pipe:1',
    ],
    running,
  );
  const frames = Math.floor(data.length / frameBytes(size));
  if (frames > most) throw tooLarge(name, size, frames, maxBytes);
  const needed = options.exact === false ? 1 : (wanted ?? 1);
  // Read to its end, a damaged file is refused: ffmpeg makes up what is missing. Read in part, newer versions of ffmpeg may
  // or may not have seen the damage behind that part by then, so what was asked for decides alone.
  const complete = wanted !== undefined && frames >= wanted;
  if (frames < needed || (!complete && looksDamaged(stderr))) {
    throw await explainShortage(video, options, { frames, needed, stderr, error });
  }
  return { data: data.subarray(0, frames * frameBytes(size)), frames, height: size.height, width: size.width };
}

function tooLarge(path: string, size: { width: number; height: number }, frames: number, maxBytes: number): InputError {
  return new InputError(
    `${path}: ${frames} or more frames of ${size.width}x${size.height} take more than maxBytes=${maxBytes}; ` +
      'ask for a smaller size or fewer frames, or raise maxBytes',
    { code: 'decode.too-large', path, frames, maxBytes },
  );
}

/** Too few frames: was the file cut, is it no video, or is it whole but short? */
async function explainShortage(
  video: string | VideoSource,
  options: DecodeOptions,
  result: Outcome & { frames: number; needed: number },
): Promise<Error> {
  const info = await probe(video); // throws the reason where the file is no video at all
  const path = nameOf(video);
  const { frames: got, needed, stderr, error } = result;
  const rate = options.fps ?? info.fps;
  const last = options.pick?.at(-1);
  const stated = Math.max(0, Math.round((info.seconds - (options.start ?? 0)) * rate) - (options.offset ?? 0));
  const promised = last === undefined ? stated : stated > last + 1 ? needed : got; // of the frames asked for
  const words = lastWords(stderr);
  if (looksLikeOurFault(stderr)) {
    return new WorkError(`${path}: ffmpeg failed: ${words || error?.message}`, { code: 'ffmpeg.failed', path }, error);
  }
  const codec = missingDecoder(stderr);
  if (codec !== undefined) {
    const message = `this ffmpeg (${locate('ffmpeg').path}) has no decoder for ${codec}; name a newer one by FFMPEG_PATH`;
    return clipError('video.unreadable', video, message, { codec });
  }
  if (looksDamaged(stderr) || promised > got + 1) {
    const message = `is truncated or damaged: ${got} frames were read, ${needed} needed, its index promises ${promised}`;
    return clipError('video.truncated', video, words === '' ? message : `${message}. ffmpeg: ${words}`, {
      got,
      needed,
      promised,
      words,
    });
  }
  if (error) {
    return new WorkError(`${path}: ffmpeg failed: ${words || error.message}`, { code: 'ffmpeg.failed', path }, error);
  }
  const at = options.fps === undefined ? '' : ` at ${options.fps} fps`;
  const from = options.offset || options.start ? ` from the asked start on` : '';
  const length = `${info.seconds.toFixed(2)} s of ${info.fps.toFixed(2)} fps`;
  const message = `is too short: it has ${got} frames${at}${from} (${length}), ${needed} are needed`;
  return clipError('video.too-short', video, message, { got, needed });
}

/**
 * Writes frames as H.264 mp4 (yuv420p, plays in browsers; an odd side gets one black line) or as an endless GIF.
 * The folder is made; the file appears whole or not at all.
 * @throws InputError `encode.option`; WorkError `ffmpeg.missing`, `ffmpeg.failed`, `ffmpeg.aborted`
 */
export async function encode(path: string, video: Frames, options: EncodeOptions): Promise<void> {
  const format = encodeFormat(path, options);
  prepare();
  const bytes = frameBytes(video);
  const frames = Array.from({ length: video.frames }, (_, f) => video.data.subarray(f * bytes, (f + 1) * bytes));
  const { filter, output } = encodeArguments(video, format, options);
  const partial = `${path}.partial-${process.pid}`;
  const layout = ['-pix_fmt', 'rgb24', '-video_size', `${video.width}x${video.height}`];
  const command = ffmpegCommand(Readable.from(frames.map(frame => Buffer.from(frame.buffer, frame.byteOffset, bytes))))
    .inputOptions(['-hide_banner', '-loglevel', 'warning', '-f', 'rawvideo', ...layout])
    .inputOptions(['-framerate', String(options.fps)])
    .outputOptions(['-an', ...output])
    .videoFilters(filter)
    .output(inputUrl(partial));
  const failed = (why: string, cause: unknown): WorkError =>
    new WorkError(`${path} could not be written: ${why}`, { code: 'ffmpeg.failed', path }, cause);
  try {
    await mkdir(dirname(path), { recursive: true });
    const { stderr, error } = await run(command, options.signal);
    if (error) throw failed(lastWords(stderr) || error.message, error);
    await rename(partial, path);
  } catch (error) {
    throw error instanceof WorkError ? error : failed((error as Error).message, error);
  } finally {
    await rm(partial, { force: true }).catch(() => undefined);
  }
}
