import { open } from 'node:fs/promises';
import { InputError, Show1Error, WorkError } from '../errors.js';
import { asSource, nameOf, type VideoSource, withoutUrl } from './video-source.js';

/** What can be wrong with one clip. Such a clip is skipped and counted; anything else stops the work. */
export const CLIP_PROBLEMS = {
  'video.missing': 'missing file',
  'video.not-a-file': 'not a file',
  'video.empty': 'zero-byte file',
  'video.not-a-video': 'not a video',
  'video.truncated': 'truncated',
  'video.too-short': 'too short',
  'video.unreadable': 'unreadable',
  'image.unreadable': 'not a picture',
} as const;
export type ClipProblem = keyof typeof CLIP_PROBLEMS;

/** The short reason, e.g. `truncated`, when the error is about one clip; undefined when it is about anything else. */
export function clipProblem(error: unknown): string | undefined {
  if (!(error instanceof Show1Error)) return undefined;
  return (CLIP_PROBLEMS as Record<string, string>)[error.code];
}

export function clipError(
  code: ClipProblem,
  video: string | VideoSource,
  message: string,
  data: object = {},
): InputError {
  return new InputError(`${nameOf(video)}: ${message}`, { code, path: asSource(video).path, ...data });
}

/**
 * Checks what needs no ffmpeg: that the path is a file with bytes in it, and that it reaches to the end of a tar's member.
 * @throws InputError `video.missing`, `video.not-a-file`, `video.empty`, `video.truncated`, `video.unreadable`
 */
export async function checkFile(video: string | VideoSource): Promise<void> {
  const { path, member } = asSource(video);
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, 'r');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') throw clipError('video.missing', video, 'no such file');
    if (code === 'EISDIR') throw clipError('video.not-a-file', video, 'is a folder, not a video file');
    if (code !== 'EACCES' && code !== 'EPERM') {
      throw new WorkError(`${path} cannot be opened: ${message}`, { code: 'video.open-failed', path }, error);
    }
    throw clipError('video.unreadable', video, `cannot be read (${code}); check its permissions`);
  }
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw clipError('video.not-a-file', video, 'is not a regular file');
    if ((member ? member.end - member.start : stat.size) === 0)
      throw clipError('video.empty', video, 'has zero bytes; download or copy it again');
    if (member && member.end > stat.size) {
      const message = `is truncated: its shard ends at byte ${stat.size}, it at ${member.end}; copy the shard again`;
      throw clipError('video.truncated', video, message, { size: stat.size });
    }
  } finally {
    await file.close();
  }
}

/** A file that is text (an HTML error page saved as .mp4, say) has no zero bytes or control characters at its start. */
async function textAtStart(video: VideoSource): Promise<string | undefined> {
  const { path, member } = video;
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(256), 0, 256, member?.start ?? 0);
    const start = buffer.subarray(0, member ? Math.min(bytesRead, member.end - member.start) : bytesRead);
    const control = start.some(byte => byte < 32 && byte !== 9 && byte !== 10 && byte !== 13);
    return control ? undefined : start.toString('utf8').split(/\r?\n/)[0]!.slice(0, 60);
  } finally {
    await file.close();
  }
}

/** The last lines of ffmpeg's own words, without the codec addresses that change from run to run. */
export function lastWords(stderr: string, lines = 2): string {
  const words = withoutUrl(stderr)
    .split(/\r?\n/)
    .map(line => line.replace(/ @ 0x[0-9a-f]+\]/g, ']').trim())
    .filter(line => line !== '' && !/^Conversion failed|^ff(mpeg|probe) exited/.test(line));
  return words.slice(-lines).join(' · ');
}

/** Signs in ffmpeg's log that the file was cut or damaged, and was not merely short. */
export function looksDamaged(stderr: string): boolean {
  return /moov atom not found|partial file|truncat|Invalid NAL|error while decoding|corrupt|Packet mismatch|stream \d+, offset 0x/i.test(
    stderr,
  );
}

/** Signs that the call was wrong or the machine is in trouble: no reason to pass over the clip. */
export function looksLikeOurFault(stderr: string): boolean {
  return /No such filter|Unrecognized option|Option .* not found|Unable to parse|Undefined constant|Error (re)?(initializing|parsing|applying|setting option)|No space left|Cannot allocate memory/i.test(
    stderr,
  );
}

/** The codec that this build of ffmpeg cannot decode; undefined where that is not the problem. */
export function missingDecoder(stderr: string): string | undefined {
  return /Decoder \(codec (\S+)\) not found|no decoder found for: (\S+)|Unknown decoder '(\S+)'/i
    .exec(stderr)
    ?.slice(1)
    .find(Boolean);
}

/** Turns a failed ffmpeg or ffprobe run over one file into the error that says what is wrong with the file. */
export async function explainFailure(video: string | VideoSource, stderr: string): Promise<InputError> {
  const words = lastWords(stderr);
  const text = await textAtStart(asSource(video));
  if (text !== undefined) {
    return clipError('video.not-a-video', video, `is text, not a video: it starts with ${JSON.stringify(text)}`, {
      words,
    });
  }
  if (/moov atom not found/i.test(stderr)) {
    return clipError(
      'video.truncated',
      video,
      `is truncated, its index (moov) is missing; copy it again. ffmpeg: ${words}`,
      {
        words,
      },
    );
  }
  if (/matches no streams|does not contain any stream|no video stream/i.test(stderr)) {
    return clipError('video.not-a-video', video, `holds no video stream. ffmpeg: ${words}`, { words });
  }
  if (looksDamaged(stderr)) {
    return clipError('video.truncated', video, `is truncated or damaged. ffmpeg: ${words}`, { words });
  }
  return clipError('video.not-a-video', video, `is not a video that ffmpeg can read. ffmpeg: ${words}`, { words });
}
