import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { Show1Error } from '../../errors.js';
import { decode, probe, type VideoInfo } from '../ffmpeg.js';
import { clipError, clipProblem, looksLikeOurFault } from '../ffmpeg-errors.js';
import type { ManifestEntry } from '../manifest.js';
import { asSource, nameOf, type VideoSource } from '../video-source.js';
import { type Cut, findCuts, measureMotion } from './cuts.js';

/** What is found out about a clip once, whatever is filtered later. */
export interface Scan {
  info: VideoInfo;
  /** Frames a second at which the clip was looked at; `cuts` count its frames. */
  rate: number;
  /** Frames that were decoded, at that rate. */
  decoded: number;
  cuts: Cut[];
  /** See {@link measureMotion}. */
  motion: number[];
  /** Of the file's size, its head and its tail: equal for copies. */
  hash: string;
}

/** Why a clip is of no use. */
export interface Failure {
  reason: string;
  detail: string;
}

/** Pixels of the longer side of the frames that are looked at. Changing it, or what is measured on them, changes {@link SCAN_VERSION}. */
const SIDE = 64;
/** Frames looked at: of longer videos not every one. */
const MOST_FRAMES = 36_000;
const HASHED_BYTES = 64 * 1024;
/** Part of its stated length that a video may lack, for containers that state the longer of sound and picture. */
const MAY_LACK = { share: 0.1, seconds: 0.5 };

/** A journal of another version is not continued. */
export const SCAN_VERSION = 1;

async function contentHash(video: VideoSource): Promise<string> {
  const { path, member } = asSource(video);
  const file = await open(path, 'r');
  try {
    const start = member?.start ?? 0;
    const end = member?.end ?? (await file.stat()).size;
    const hash = createHash('sha256').update(`${end - start} `);
    for (const from of [start, Math.max(start, end - HASHED_BYTES)]) {
      const length = Math.min(HASHED_BYTES, end - from);
      const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, from);
      hash.update(buffer.subarray(0, bytesRead));
    }
    return hash.digest('hex').slice(0, 24);
  } finally {
    await file.close();
  }
}

async function look(entry: ManifestEntry, signal: AbortSignal): Promise<Scan> {
  const info = await probe(entry, { signal });
  const rate = Math.min(info.fps, MOST_FRAMES / Math.max(1, info.seconds));
  const shrink = SIDE / Math.max(info.width, info.height);
  const side = (pixels: number): number => Math.max(1, Math.round(pixels * shrink));
  const video = await decode(entry, {
    size: { width: side(info.width), height: side(info.height) },
    fit: 'stretch',
    interpolation: 'area',
    fps: rate,
    sourceFps: info.fps,
    signal,
  });
  const lacking = info.seconds - video.frames / rate;
  if (lacking > Math.max(MAY_LACK.seconds, MAY_LACK.share * info.seconds)) {
    const found = `${(video.frames / rate).toFixed(2)} s were decoded, its index promises ${info.seconds.toFixed(2)} s`;
    throw clipError('video.truncated', entry, `is truncated or damaged: ${found}`);
  }
  const hash = await contentHash(entry);
  return { info, rate, decoded: video.frames, cuts: findCuts(video), motion: measureMotion(video, rate), hash };
}

/**
 * Probes a clip and decodes all of it, small.
 * @returns what was found, or why the clip is of no use: an ffmpeg that crashes or hangs over one clip is the clip's fault
 * @throws WorkError when ffmpeg cannot be run at all, and `ffmpeg.aborted` on `signal`
 */
export async function scanClip(
  entry: ManifestEntry,
  { signal, timeoutSeconds }: { signal: AbortSignal; timeoutSeconds: number },
): Promise<Scan | Failure> {
  const timeout = AbortSignal.timeout(timeoutSeconds * 1000);
  try {
    return await look(entry, AbortSignal.any([signal, timeout]));
  } catch (error) {
    if (!(error instanceof Show1Error) || signal.aborted) throw error;
    if (timeout.aborted) {
      const detail = `${nameOf(entry)}: ffmpeg had not read it after ${timeoutSeconds} s`;
      return { reason: 'unreadable', detail };
    }
    const reason = clipProblem(error);
    if (reason !== undefined) return { reason: error.data.codec ? 'unknown codec' : reason, detail: error.message };
    const ofThisClip = error.code === 'ffmpeg.failed' || error.code === 'video.open-failed';
    const couldNotStart = error.cause instanceof Show1Error;
    if (!ofThisClip || couldNotStart || looksLikeOurFault(error.message)) throw error;
    return {
      reason: 'unreadable',
      detail: error.message.startsWith(entry.path) ? error.message : `${nameOf(entry)}: ${error.message}`,
    };
  }
}
