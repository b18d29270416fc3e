import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { decode, encode, probe } from '../../src/data/ffmpeg.js';
import { clipProblem } from '../../src/data/ffmpeg-errors.js';
import { locate } from '../../src/data/ffmpeg-locate.js';
import type { Frames } from '../../src/data/frames.js';
import { countingFrames, cut, failure, frameNumbers, makeClip, temporaryFolder, withoutIndex } from './helpers.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const ffmpeg = (...args: string[]): void => {
  const result = spawnSync(locate('ffmpeg').path, ['-v', 'error', '-y', ...args], { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(result.stderr);
};

/** Left half red, right half blue. */
function twoColours(width: number, height: number, frames = 4): Frames {
  const data = new Uint8Array(frames * height * width * 3);
  for (let i = 0; i < data.length / 3; i++) data.set(i % width < width / 2 ? [220, 40, 40] : [40, 60, 220], i * 3);
  return { data, frames, height, width };
}

const pixel = (video: Frames, f: number, y: number, x: number): number[] => {
  const start = ((f * video.height + y) * video.width + x) * 3;
  return [...video.data.subarray(start, start + 3)];
};
const near = (actual: number[], expected: number[], tolerance: number): void => {
  for (const [i, value] of actual.entries()) expect(Math.abs(value - expected[i]!)).toBeLessThanOrEqual(tolerance);
};

let clip: string;
beforeAll(async () => {
  clip = await makeClip(at('clip.mp4'), 24, { fps: 8, width: 48, height: 32 });
});

describe('encode and probe', () => {
  it('writes H.264 that browsers play, and says what it wrote', async () => {
    expect(await probe(clip)).toEqual({ width: 48, height: 32, fps: 8, frames: 24, seconds: 3, codec: 'h264' });
    const report = spawnSync(locate('ffprobe').path, ['-v', 'error', '-show_streams', clip], {
      encoding: 'utf8',
    }).stdout;
    expect(report).toMatch(/pix_fmt=yuv420p\b/);
    const bytes = readFileSync(clip);
    expect(bytes.indexOf('moov')).toBeLessThan(bytes.indexOf('mdat'));
  });

  it('keeps the colours of a 16x16 clip', async () => {
    const video = twoColours(16, 16);
    await encode(at('colours.mp4'), video, { fps: 8 });
    const back = await decode(at('colours.mp4'));
    expect([back.frames, back.height, back.width]).toEqual([4, 16, 16]);
    near(pixel(back, 3, 8, 3), [220, 40, 40], 6);
    near(pixel(back, 3, 8, 12), [40, 60, 220], 6);
  });

  it('gives the same bytes for the same frames', async () => {
    for (const name of ['a.mp4', 'b.mp4']) await encode(at(name), twoColours(16, 16), { fps: 8 });
    expect(readFileSync(at('a.mp4')).equals(readFileSync(at('b.mp4')))).toBe(true);
  });

  it('enlarges without smoothing, as mp4 and as GIF', async () => {
    for (const name of ['large.mp4', 'large.gif']) {
      await encode(at(name), twoColours(16, 16), { fps: 8, scale: 4 });
      const back = await decode(at(name));
      expect([back.frames, back.height, back.width]).toEqual([4, 64, 64]);
      near(pixel(back, 0, 30, 28), [220, 40, 40], 12);
      near(pixel(back, 0, 30, 35), [40, 60, 220], 12);
    }
    expect(readFileSync(at('large.gif')).toString('latin1')).toContain('NETSCAPE2.0');
  });

  it('pads an odd side and makes the folder', async () => {
    await encode(at('new/deep/odd.mp4'), twoColours(15, 17), { fps: 8 });
    expect(await probe(at('new/deep/odd.mp4'))).toMatchObject({ width: 16, height: 18 });
  });

  it('refuses options that make no sense, and leaves no partial file when it fails', async () => {
    const video = twoColours(16, 16);
    expect((await failure(() => encode(at('a.webm'), video, { fps: 8 }))).message).toMatch(/cannot write "webm"/);
    expect((await failure(() => encode(at('a.mp4'), video, { fps: 0 }))).code).toBe('encode.option');
    expect((await failure(() => encode(at('a.mp4'), video, { fps: 8, scale: 1.5 }))).code).toBe('encode.option');
    const crf = 'best' as unknown as number;
    const error = await failure(() => encode(at('broken.mp4'), video, { fps: 8, crf }));
    expect([error.code, error.exitCode]).toEqual(['ffmpeg.failed', 1]);
    expect(error.message).toContain(at('broken.mp4'));
    const inside = join(clip, 'inside.mp4');
    expect((await failure(() => encode(inside, video, { fps: 8 }))).message).toContain(
      `${inside} could not be written`,
    );
    expect(readdirSync(folder).filter(name => name.includes('partial') || name === 'broken.mp4')).toEqual([]);
  });
});

describe('decode', () => {
  it('takes frames at their own rate, resampled, and from an offset', async () => {
    const size = { width: 16, height: 16 };
    const numbers = async (options: Parameters<typeof decode>[1]) => {
      const video = await decode(clip, { size, ...options });
      return frameNumbers(video.data, video.frames);
    };
    expect(await numbers({})).toEqual(Array.from({ length: 24 }, (_, i) => i));
    expect(await numbers({ fps: 8, frames: 4, offset: 5 })).toEqual([5, 6, 7, 8]);
    expect(await numbers({ fps: 8, frames: 3, start: 2.5 })).toEqual([20, 21, 22]);
    expect(await numbers({ fps: 4 })).toEqual(Array.from({ length: 12 }, (_, i) => 2 * i));
    expect(await numbers({ fps: 4, frames: 3, offset: 2 })).toEqual([4, 6, 8]);
    expect(await numbers({ fps: 2 })).toEqual([0, 4, 8, 12, 16, 20]);
    expect(await numbers({ fps: 16 })).toHaveLength(48);
  });

  it('crops the middle, pads or stretches', async () => {
    await encode(at('wide.mp4'), twoColours(64, 32), { fps: 8, crf: 2 });
    const size = { width: 32, height: 32 };
    const crop = await decode(at('wide.mp4'), { size });
    expect([crop.frames, crop.height, crop.width]).toEqual([4, 32, 32]);
    near(pixel(crop, 0, 16, 6), [220, 40, 40], 10);
    near(pixel(crop, 0, 16, 25), [40, 60, 220], 10);
    const pad = await decode(at('wide.mp4'), { size, fit: 'pad' });
    near(pixel(pad, 0, 2, 16), [0, 0, 0], 2);
    near(pixel(pad, 0, 16, 4), [220, 40, 40], 10);
    const stretch = await decode(at('wide.mp4'), { size, fit: 'stretch' });
    near(pixel(stretch, 0, 1, 4), [220, 40, 40], 10);
    near(pixel(stretch, 0, 30, 28), [40, 60, 220], 10);
  });

  it('turns a clip that was filmed upright, and counts pixels that are not square', async () => {
    const bytes = readFileSync(at('wide.mp4'));
    const matrix = bytes.indexOf('tkhd') + 44; // of the track header: how to show its pictures
    const quarterTurn = [0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30];
    quarterTurn.forEach((value, i) => {
      bytes.writeInt32BE(value, matrix + 4 * i);
    });
    writeFileSync(at('turned.mp4'), bytes);
    expect(await probe(at('turned.mp4'))).toMatchObject({ width: 32, height: 64 });
    expect(await decode(at('turned.mp4'))).toMatchObject({ width: 32, height: 64 });
    ffmpeg('-i', clip, '-vf', 'setsar=2/1', at('sar.mp4'));
    const padded = await decode(at('sar.mp4'), { size: { width: 30, height: 30 }, fit: 'pad' });
    near(pixel(padded, 20, 9, 15), [0, 0, 0], 2); // 48x32 at 2:1 is 96x32: 10 of 30 lines
    expect(pixel(padded, 20, 15, 15)[0]).toBeGreaterThan(100);
  });

  it('reads a file whose name looks like an option or an address', async () => {
    for (const name of ['-i.mp4', 'http:clip.mp4', 'a %03d,b.mp4']) {
      writeFileSync(at(name), readFileSync(clip));
      expect((await decode(at(name), { frames: 2 })).frames).toBe(2);
    }
  });

  it('needs no more memory than allowed', async () => {
    const error = await failure(() => decode(clip, { maxBytes: 10 * 48 * 32 * 3 }));
    expect(error.code).toBe('decode.too-large');
    expect(await decode(clip, { maxBytes: 24 * 48 * 32 * 3 })).toMatchObject({ frames: 24 });
  });

  it('stops on request', async () => {
    ffmpeg('-f', 'lavfi', '-i', 'testsrc=s=160x120:r=25:d=40', at('long.mp4'));
    const stop = new AbortController();
    const call = decode(at('long.mp4'), { signal: stop.signal, size: { width: 800, height: 600 } });
    setTimeout(() => stop.abort(), 60);
    const started = performance.now();
    expect((await failure(() => call)).code).toBe('ffmpeg.aborted');
    expect(performance.now() - started).toBeLessThan(2000);
    expect((await failure(() => decode(clip, { signal: stop.signal }))).code).toBe('ffmpeg.aborted');
  });

  it('refuses options that make no sense', async () => {
    expect((await failure(() => decode(clip, { frames: 0 }))).message).toMatch(
      /frames must be a positive integer, got 0/,
    );
    expect((await failure(() => decode(clip, { fps: -1 }))).code).toBe('decode.option');
    expect((await failure(() => decode(clip, { offset: 3 }))).message).toMatch(/offset counts frames at fps/);
    for (const pick of [[], [2, 1], [-1], [0.5]]) {
      expect((await failure(() => decode(clip, { pick }))).message).toMatch(/pick must be ascending frame numbers/);
    }
  });
  it('picks frames by their numbers, of a GIF too, whose times are rounded', async () => {
    const gif = await makeClip(at('picked.gif'), 24, { fps: 12 });
    for (const path of [clip, gif]) {
      for (const pick of [[0, 1, 2], [3, 6, 9, 12], [1, 7, 8, 23], [23]]) {
        const { data, frames } = await decode(path, { pick });
        expect(frameNumbers(data, frames)).toEqual(pick);
      }
    }
    const slow = await decode(clip, { pick: [1, 2, 4], fps: 4 });
    expect(frameNumbers(slow.data, slow.frames)).toEqual([2, 4, 8]);
    expect(await failure(() => decode(clip, { pick: [20, 30] }))).toMatchObject({ code: 'video.too-short' });
  });
});

describe('files that are wrong', () => {
  const size = { width: 16, height: 16 };
  /** The same error from probe and decode. */
  const both = async (path: string) => {
    const [probed, decoded] = [
      await failure(() => probe(path)),
      await failure(() => decode(path, { size, frames: 8, fps: 8 })),
    ];
    expect(decoded.code).toBe(probed.code);
    expect(probed.message).toContain(path);
    expect(probed.exitCode).toBe(2);
    return probed;
  };

  it('missing', async () => {
    const error = await both(at('none.mp4'));
    expect([error.code, clipProblem(error)]).toEqual(['video.missing', 'missing file']);
    expect((await both(join(clip, 'inside.mp4'))).code).toBe('video.missing');
  });

  it('a folder', async () => {
    mkdirSync(at('folder.mp4'));
    expect((await both(at('folder.mp4'))).code).toBe('video.not-a-file');
  });

  it('zero bytes', async () => {
    writeFileSync(at('zero.mp4'), '');
    const error = await both(at('zero.mp4'));
    expect([error.code, clipProblem(error)]).toEqual(['video.empty', 'zero-byte file']);
  });

  it('an HTML page instead of a video', async () => {
    writeFileSync(at('page.mp4'), '<!DOCTYPE html>\n<html><title>404 Not Found</title></html>\n');
    const error = await both(at('page.mp4'));
    expect(clipProblem(error)).toBe('not a video');
    expect(error.message).toMatch(/is text, not a video: it starts with "<!DOCTYPE html>"/);
  });

  it('noise instead of a video', async () => {
    writeFileSync(
      at('noise.mp4'),
      Uint8Array.from({ length: 5000 }, (_, i) => (i * i * 31 + 7 * i) % 256),
    );
    expect(clipProblem(await both(at('noise.mp4')))).toMatch(/not a video|truncated/);
  });

  it('sound only', async () => {
    ffmpeg('-f', 'lavfi', '-i', 'sine=d=1', at('sound.mp4'));
    const error = await both(at('sound.mp4'));
    expect(error.code).toBe('video.not-a-video');
    expect(error.message).toMatch(/no video stream/);
  });

  it('truncated: the index (moov) is gone', async () => {
    ffmpeg('-i', clip, '-c', 'copy', at('late-index.mp4')); // moov at the end, as most cameras write it
    await withoutIndex(at('late-index.mp4'), at('no-index.mp4'));
    const error = await both(at('no-index.mp4'));
    expect(clipProblem(error)).toBe('truncated');
    expect(error.message).toMatch(/index \(moov\) is missing.*moov atom not found/);
  });

  it('truncated: the index is there, the frames are not', async () => {
    ffmpeg('-f', 'lavfi', '-i', 'testsrc=s=320x240:r=25:d=4', '-movflags', '+faststart', at('detailed.mp4'));
    await cut(at('detailed.mp4'), at('half.mp4'), 0.4);
    const error = await failure(() => decode(at('half.mp4'), { size, frames: 80 }));
    expect(clipProblem(error)).toBe('truncated');
    expect(error.message).toMatch(/frames were read, 80 needed, its index promises 100/);
    expect((await failure(() => decode(at('half.mp4'), { size }))).code).toBe('video.truncated');
    expect((await decode(at('half.mp4'), { size, frames: 8 })).frames).toBe(8);
  });

  it('three frames long', async () => {
    await makeClip(at('three.mp4'), 3);
    const error = await failure(() => decode(at('three.mp4'), { size, frames: 8, fps: 8 }));
    expect(clipProblem(error)).toBe('too short');
    expect(error.message).toMatch(/has 3 frames at 8 fps.*8 are needed/);
    expect(error.data).toMatchObject({ got: 3, needed: 8 });
    expect((await decode(at('three.mp4'), { size, frames: 8, exact: false })).frames).toBe(3);
  });

  it('does not blame the file for what ffmpeg lacks', async () => {
    expect(existsSync(clip)).toBe(true);
    const error = await failure(() => decode(clip, { size, interpolation: 'no-such-kernel' as 'bicubic' }));
    expect([error.code, error.exitCode, clipProblem(error)]).toEqual(['ffmpeg.failed', 1, undefined]);
  });
});

describe('counting frames', () => {
  it('survive encoding, which the tests above rely on', async () => {
    const video = countingFrames(24);
    expect(frameNumbers(video.data, 24)).toEqual(Array.from({ length: 24 }, (_, i) => i));
  });
});
