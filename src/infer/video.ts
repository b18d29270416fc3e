/** Videos as files that people look at: mp4, GIF, and PNG sheets of frames. */

import { type EncodeOptions, encode } from '../data/ffmpeg.js';
import { asFrames, type Frames } from '../data/frames.js';

export type { Frames } from '../data/frames.js';
export { asFrames, fromUnit } from '../data/frames.js';
export { type ContactSheetOptions, contactSheet } from './contact-sheet.js';

/**
 * Writes 8-bit frames `[F, H, W, 3]` as mp4 (H.264, yuv420p) or GIF, by the extension of the path.
 * @param options `scale` enlarges without smoothing, so that a 16x16 video can be seen
 * @throws InputError `frames.shape`, `encode.option`; WorkError `ffmpeg.missing`, `ffmpeg.failed`
 */
export async function writeVideo(path: string, video: Frames, options: EncodeOptions): Promise<void> {
  await encode(path, asFrames(video.data, video), options);
}

/** A prompt as part of a file name: lower case, words joined by "-", at most `length` characters, never empty. */
export function slug(text: string, length = 48): string {
  const words = text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .match(/[\p{L}\p{N}]+/gu);
  const joined = (words ?? []).join('-').slice(0, length).replace(/-+$/, '');
  return joined === '' ? 'video' : joined;
}
