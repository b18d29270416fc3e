import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decode, probe } from '../../src/data/ffmpeg.js';
import { drawText, fittingCharacters, plainText, wrapText } from '../../src/infer/bitmap-font.js';
import { spreadIndices } from '../../src/infer/contact-sheet.js';
import { contactSheet, type Frames, slug, writeVideo } from '../../src/infer/video.js';
import { failure, temporaryFolder } from '../data/helpers.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);

/** A clip of one colour that gets brighter by the frame. */
function clip(width: number, height: number, frames: number, hue: 0 | 1 | 2): Frames {
  const data = new Uint8Array(frames * height * width * 3);
  for (let i = 0; i < data.length / 3; i++) data[i * 3 + hue] = 100 + 10 * Math.floor(i / (width * height));
  return { data, frames, height, width };
}

async function readPng(path: string) {
  const { data, info } = await sharp(path).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const pixel = (x: number, y: number): number[] => [
    ...data.subarray((y * info.width + x) * 3, (y * info.width + x) * 3 + 3),
  ];
  return { width: info.width, height: info.height, pixel };
}

describe('writeVideo', () => {
  it('writes mp4 and GIF, enlarged', async () => {
    await writeVideo(at('v.mp4'), clip(16, 16, 8, 0), { fps: 8, scale: 8 });
    await writeVideo(at('v.gif'), clip(16, 16, 8, 1), { fps: 10, scale: 4 });
    expect(await probe(at('v.mp4'))).toMatchObject({ width: 128, height: 128, frames: 8, fps: 8, codec: 'h264' });
    expect(await probe(at('v.gif'))).toMatchObject({ width: 64, height: 64, fps: 10, codec: 'gif' });
    const back = await decode(at('v.gif'));
    expect(back.frames).toBe(8);
    for (const f of [0, 7]) expect(Math.abs(back.data[f * 64 * 64 * 3 + 1]! - (100 + 10 * f))).toBeLessThanOrEqual(3);
  });

  it('checks the shape', async () => {
    const wrong = { ...clip(16, 16, 8, 0), frames: 9 };
    expect((await failure(() => writeVideo(at('w.mp4'), wrong, { fps: 8 }))).code).toBe('frames.shape');
    expect(readdirSync(folder)).not.toContain('w.mp4');
  });
});

describe('contactSheet', () => {
  it('shows a row a video: the caption, then its frames from left to right', async () => {
    await contactSheet(at('sheet.png'), [clip(16, 12, 5, 0), clip(16, 12, 3, 2)], {
      captions: ['red', 'blue'],
      scale: 4,
      framesPerVideo: 3,
    });
    // 8 margin, 3 frames of 64 with 2 between, 8 margin; text 1x: 9 + 2 high, 2 below it
    const { width, height, pixel } = await readPng(at('sheet.png'));
    expect([width, height]).toEqual([8 + 3 * 64 + 4 + 8, 8 + 2 * (13 + 48 + 8)]);
    const top = 8 + 13;
    expect(pixel(8, top)).toEqual([100, 0, 0]);
    expect(pixel(8 + 66, top + 47)).toEqual([120, 0, 0]);
    expect(pixel(8 + 132 + 63, top)).toEqual([140, 0, 0]);
    expect(pixel(8 + 64, top)).toEqual([250, 250, 250]);
    const second = top + 48 + 8 + 13;
    expect(pixel(8, second)).toEqual([0, 0, 100]);
    expect(pixel(8 + 132, second)).toEqual([0, 0, 120]);
    const caption = Array.from({ length: 13 * 30 }, (_, i) => pixel(8 + (i % 30), 8 + Math.floor(i / 30))[0]!);
    expect(caption.filter(value => value < 60).length).toBeGreaterThan(20);
  });

  it('puts videos side by side, of different sizes, and reduces large ones', async () => {
    await contactSheet(at('grid.png'), [clip(640, 320, 2, 0), clip(32, 32, 2, 1), clip(32, 32, 2, 2)], { columns: 2 });
    const { width, height, pixel } = await readPng(at('grid.png'));
    expect([width, height]).toEqual([8 + 2 * (2 * 192 + 2 + 8), 8 + 96 + 8 + 96 + 8]);
    expect(pixel(8 + 191, 8 + 95)).toEqual([100, 0, 0]);
    expect(pixel(8 + 386 + 8, 8)).toEqual([0, 100, 0]);
    expect(pixel(8, 8 + 96 + 8)).toEqual([0, 0, 100]);
  });

  it('refuses what it cannot show, and leaves nothing behind', async () => {
    const video = clip(16, 16, 4, 0);
    expect((await failure(() => contactSheet(at('x.png'), []))).code).toBe('contact-sheet.option');
    expect((await failure(() => contactSheet(at('x.png'), [video], { captions: ['a', 'b'] }))).message).toMatch(
      /1 videos, 2 captions/,
    );
    expect((await failure(() => contactSheet(at('x.png'), [video], { scale: 0 }))).code).toBe('contact-sheet.option');
    const error = await failure(() => contactSheet(at('sheet.png/x.png'), [video]));
    expect([error.code, error.exitCode]).toEqual(['contact-sheet.failed', 1]);
    expect(readdirSync(folder).filter(name => name.includes('partial') || name === 'x.png')).toEqual([]);
  });

  it('spreads the frames, first and last among them', () => {
    expect(spreadIndices(8, 3)).toEqual([0, 4, 7]);
    expect(spreadIndices(3, 8)).toEqual([0, 1, 2]);
    expect(spreadIndices(9, 1)).toEqual([4]);
    for (let n = 2; n < 40; n++) expect(new Set(spreadIndices(40, n)).size).toBe(n);
  });
});

describe('the pixel font', () => {
  it('has every printable ASCII character, each with its own picture', () => {
    const pictures = new Map<string, string>();
    for (let code = 32; code < 127; code++) {
      const canvas = { data: new Uint8Array(6 * 10 * 3), width: 6, height: 10 };
      drawText(canvas, String.fromCharCode(code), { x: 0, y: 0, scale: 1 }, [255, 255, 255]);
      pictures.set(String.fromCharCode(code), canvas.data.join());
      if (code > 32) expect(canvas.data.some(value => value > 0)).toBe(true);
    }
    expect(new Set(pictures.values()).size).toBe(95);
  });

  it('draws what it says: an L', () => {
    const canvas = { data: new Uint8Array(5 * 7 * 3), width: 5, height: 7 };
    drawText(canvas, 'L', { x: 0, y: 0, scale: 1 }, [1, 1, 1]);
    const rows = Array.from({ length: 7 }, (_, y) =>
      Array.from({ length: 5 }, (_, x) => (canvas.data[(y * 5 + x) * 3] ? '#' : '.')).join(''),
    );
    expect(rows).toEqual([...Array(6).fill('#....'), '#####']);
  });

  it('keeps within the canvas', () => {
    const canvas = { data: new Uint8Array(4 * 4 * 3), width: 4, height: 4 };
    drawText(canvas, 'MMM', { x: -3, y: -2, scale: 2 }, [9, 9, 9]);
    expect(canvas.data).toHaveLength(48);
    expect(canvas.data.includes(9)).toBe(true);
  });

  it('wraps between words, cuts what is too long, and drops accents', () => {
    expect(wrapText('a red square moves', 12, 2)).toEqual(['a red square', 'moves']);
    expect(wrapText('a red square moves to the left', 12, 2)).toEqual(['a red square', 'moves to...']);
    expect(wrapText('incomprehensibilities', 10, 2)).toEqual(['incompr...']);
    expect(plainText(' Él  día\n')).toBe('El dia');
    expect(fittingCharacters(59, 1)).toBe(10);
  });
});

describe('slug', () => {
  it('makes a file name of a prompt', () => {
    expect(slug('A red square, moves to the LEFT!')).toBe('a-red-square-moves-to-the-left');
    expect(slug('../../etc/passwd')).toBe('etc-passwd');
    expect(slug('Él día')).toBe('el-dia');
    expect(slug('熊猫 bear')).toBe('熊猫-bear');
    expect(slug('!!!')).toBe('video');
    expect(slug('abc def', 4)).toBe('abc');
  });
});
