/** Still pictures: size and pixels, by sharp (no child process, and the camera's orientation is honoured). */
import { open, readFile } from 'node:fs/promises';
import sharp from 'sharp';
import type { DecodeOptions, VideoInfo } from './ffmpeg.js';
import { checkFile, clipError } from './ffmpeg-errors.js';
import type { Frames } from './frames.js';
import type { VideoSource } from './video-source.js';

const FITS = { crop: 'cover', pad: 'contain', stretch: 'fill' } as const;

/** The picture's bytes: the file's, or those of a member of a tar shard. */
async function readBytes({ path, member }: VideoSource): Promise<Uint8Array> {
  if (!member) return readFile(path);
  const file = await open(path, 'r');
  try {
    const bytes = new Uint8Array(member.end - member.start);
    await file.read(bytes, 0, bytes.length, member.start);
    return bytes;
  } finally {
    await file.close();
  }
}

async function withPicture<T>(source: VideoSource, use: (picture: ReturnType<typeof sharp>) => Promise<T>): Promise<T> {
  await checkFile(source);
  const bytes = await readBytes(source);
  try {
    return await use(sharp(bytes).autoOrient());
  } catch (error) {
    const words = (error as Error).message.split('\n')[0];
    throw clipError('image.unreadable', source, `is not a picture that can be read: ${words}`);
  }
}

/**
 * Size of a picture as it is shown, as a video of one frame a second that has one frame.
 * @throws InputError `video.missing`, `video.empty`, `image.unreadable` … (see `clipProblem`)
 */
export function probeImage(source: VideoSource): Promise<VideoInfo> {
  return withPicture(source, async picture => {
    const { autoOrient, format } = await picture.metadata();
    return { ...autoOrient, fps: 1, frames: 1, seconds: 1, codec: format };
  });
}

/**
 * A picture as one frame, `[1, height, width, 3]`: bicubic, in sRGB, on black where it is transparent.
 * @throws as {@link probeImage}
 */
export function decodeImage(
  source: VideoSource,
  { size, fit = 'crop' }: { size: { width: number; height: number }; fit?: DecodeOptions['fit'] },
): Promise<Frames> {
  const { width, height } = size;
  return withPicture(source, async picture => {
    const data = await picture
      .flatten({ background: 'black' })
      .resize({ width, height, fit: FITS[fit], kernel: 'cubic', background: 'black' })
      .toColourspace('srgb')
      .removeAlpha()
      .raw()
      .toBuffer();
    return { data: new Uint8Array(data.buffer, data.byteOffset, data.length), frames: 1, height, width };
  });
}
