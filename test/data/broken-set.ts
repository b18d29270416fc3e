/** A set of WebVid-style clips of which some are broken in every way that a download of millions of them brings. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encode } from '../../src/data/ffmpeg.js';
import { locate } from '../../src/data/ffmpeg-locate.js';
import type { Frames } from '../../src/data/frames.js';

export const FAULTS = [
  'truncated',
  'zero bytes',
  'no picture',
  'unknown codec',
  'missing',
  'HTML',
  'no caption',
  'short',
] as const;
export type Fault = (typeof FAULTS)[number];

/** The reason that `data prepare` must give for each. */
export const REASONS: Record<Fault, string> = {
  truncated: 'truncated',
  'zero bytes': 'zero-byte file',
  'no picture': 'not a video',
  'unknown codec': 'unknown codec',
  missing: 'missing file',
  HTML: 'not a video',
  'no caption': 'no caption',
  short: 'too few frames',
};

export interface BrokenSet {
  csv: string;
  /** What is wrong with which videoid. */
  faults: Map<string, Fault>;
  clips: number;
}

/** A square that moves over a plain ground. */
function movingSquare(seed: number, frames: number): Frames {
  const [width, height] = [32, 32];
  const data = new Uint8Array(frames * height * width * 3);
  for (let f = 0; f < frames; f++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const at = ((f * height + y) * width + x) * 3;
        const [left, top] = [(f + seed * 3) % 22, (seed * 5) % 22];
        const inside = x >= left && x < left + 10 && y >= top && y < top + 10;
        data[at] = inside ? 230 : 20 * seed;
        data[at + 1] = inside ? 60 + 30 * seed : 90;
        data[at + 2] = inside ? 40 : 120;
      }
    }
  }
  return { data, frames, height, width };
}

/** Makes a copy another file: a box that players pass over, at the end. */
function numbered(clip: Buffer, n: number): Buffer {
  const box = Buffer.alloc(16);
  box.writeUInt32BE(16, 0);
  box.write('free', 4, 'latin1');
  box.writeUInt32BE(n, 12);
  return Buffer.concat([clip, box]);
}

/** An mp4 with sound alone: what is left of a video whose picture was lost. */
function soundAlone(path: string): Buffer {
  const input = ['-f', 'lavfi', '-i', 'sine=frequency=440:duration=1'];
  const args = ['-v', 'error', '-y', ...input, '-c:a', 'aac', path];
  const { status, stderr } = spawnSync(locate('ffmpeg').path, args);
  if (status !== 0) throw new Error(`sound could not be written: ${stderr}`);
  const bytes = readFileSync(path);
  rmSync(path);
  return bytes;
}

/**
 * Writes `results.csv` with WebVid's columns and its `videos/PAGE/ID.mp4`: 32x32, 16 frames at 8 fps.
 * @param share of broken clips, the faults in turn, spread evenly over the set
 */
export async function writeBrokenSet(folder: string, clips: number, share = 0.05): Promise<BrokenSet> {
  const videos = join(folder, 'videos');
  mkdirSync(videos, { recursive: true });
  const make = async (seed: number, frames: number): Promise<Buffer> => {
    const path = join(folder, 'made.mp4');
    await encode(path, movingSquare(seed, frames), { fps: 8 });
    const bytes = readFileSync(path);
    rmSync(path);
    return bytes;
  };
  const good: Buffer[] = [];
  for (let seed = 0; seed < 5; seed++) good.push(await make(seed, 16));
  const short = await make(5, 3);
  const sound = soundAlone(join(folder, 'sound.mp4'));

  const faults = new Map<string, Fault>();
  const rows = ['videoid,contentUrl,duration,page_dir,name'];
  const every = Math.floor(1 / share);
  for (let n = 0; n < clips; n++) {
    const id = String(1_000_000 + n);
    const page = `${String(Math.floor(n / 500) * 500 + 1).padStart(6, '0')}_page`;
    const fault = n % every === every - 1 ? FAULTS[Math.floor(n / every) % FAULTS.length] : undefined;
    if (fault) faults.set(id, fault);
    const caption = fault === 'no caption' ? '' : `"A red square moves, take ${n}"`;
    rows.push(`${id},https://example.com/${id}.mp4,PT00H00M02S,${page},${caption}`);
    const whole = numbered(good[n % good.length]!, n);
    const bytes: Record<Fault, () => Buffer | undefined> = {
      truncated: () => whole.subarray(0, Math.floor(whole.length * (n % 2 ? 0.6 : 0.2))),
      'zero bytes': () => Buffer.alloc(0),
      'no picture': () => numbered(sound, n),
      'unknown codec': () => Buffer.from(whole.toString('latin1').replaceAll('avc1', 'zzzz'), 'latin1'),
      missing: () => undefined,
      HTML: () => Buffer.from('<!DOCTYPE html><html><head><title>404 Not Found</title></head></html>'),
      'no caption': () => whole,
      short: () => numbered(short, n),
    };
    const content = fault ? bytes[fault]() : whole;
    if (n % 500 === 0) mkdirSync(join(videos, page));
    if (content) writeFileSync(join(videos, page, `${id}.mp4`), content);
  }
  const csv = join(folder, 'results.csv');
  writeFileSync(csv, `${rows.join('\n')}\n`);
  return { csv, faults, clips };
}
