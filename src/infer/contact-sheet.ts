import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import sharp from 'sharp';
import { type Frames, frameBytes, sliceFrames } from '../data/frames.js';
import { InputError, WorkError } from '../errors.js';
import { type Canvas, drawText, fittingCharacters, GLYPH_HEIGHT, wrapText } from './bitmap-font.js';

export interface ContactSheetOptions {
  /** One a video. */
  captions?: readonly string[];
  /** Videos side by side; default 1. */
  columns?: number;
  /** Frames shown of each video, evenly spread, first and last among them; default 8. */
  framesPerVideo?: number;
  /** Integer enlargement; default: frames about 96 pixels wide, larger than 192 ones are reduced to that. */
  scale?: number;
}

const GAP = 2;
const MARGIN = 8;
const PAPER = 250;
const INK = [28, 28, 32] as const;
const DEFAULT_WIDTH = 96;
const LARGEST_WIDTH = 192;
const CAPTION_LINES = 2;

/** `count` indices spread over 0 … frames-1, ends included, none twice. */
export function spreadIndices(frames: number, count: number): number[] {
  if (count >= frames) return Array.from({ length: frames }, (_, i) => i);
  if (count === 1) return [Math.floor(frames / 2)];
  return Array.from({ length: count }, (_, i) => Math.round((i * (frames - 1)) / (count - 1)));
}

/** One frame enlarged without smoothing. */
function enlarge(frame: Frames, scale: number): Canvas {
  const [width, height] = [frame.width * scale, frame.height * scale];
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const row = Math.floor(y / scale) * frame.width;
    for (let x = 0; x < width; x++) {
      const from = (row + Math.floor(x / scale)) * 3;
      const to = (y * width + x) * 3;
      for (let c = 0; c < 3; c++) data[to + c] = frame.data[from + c]!;
    }
  }
  return { data, width, height };
}

async function reduce(frame: Frames, width: number): Promise<Canvas> {
  const raw = { width: frame.width, height: frame.height, channels: 3 as const };
  const { data, info } = await sharp(frame.data, { raw }).resize({ width }).raw().toBuffer({ resolveWithObject: true });
  return { data: new Uint8Array(data), width: info.width, height: info.height };
}

/** One video as it is shown: its caption's lines and its pictures. */
interface Block {
  lines: string[];
  pictures: Canvas[];
  width: number;
  height: number;
  captionHeight: number;
  textScale: number;
}

async function makeBlock(video: Frames, caption: string, options: ContactSheetOptions): Promise<Block> {
  const scale = options.scale ?? Math.max(1, Math.floor(DEFAULT_WIDTH / video.width));
  const pictures: Canvas[] = [];
  for (const f of spreadIndices(video.frames, options.framesPerVideo ?? 8)) {
    const frame = sliceFrames(video, f, 1);
    const tooWide = options.scale === undefined && video.width > LARGEST_WIDTH;
    pictures.push(tooWide ? await reduce(frame, LARGEST_WIDTH) : enlarge(frame, scale));
  }
  const { width: side, height: pictureHeight } = pictures[0]!;
  const width = pictures.length * (side + GAP) - GAP;
  const textScale = width >= 360 ? 2 : 1;
  const lines = caption === '' ? [] : wrapText(caption, fittingCharacters(width, textScale), CAPTION_LINES);
  const captionHeight = lines.length * (GLYPH_HEIGHT + 2) * textScale + (lines.length > 0 ? 2 * textScale : 0);
  return { lines, pictures, width, height: captionHeight + pictureHeight, captionHeight, textScale };
}

function paste(canvas: Canvas, picture: Canvas, left: number, top: number): void {
  for (let y = 0; y < picture.height; y++) {
    const row = picture.data.subarray(y * picture.width * 3, (y + 1) * picture.width * 3);
    canvas.data.set(row, ((top + y) * canvas.width + left) * 3);
  }
}

function drawBlock(canvas: Canvas, block: Block, left: number, top: number): void {
  block.lines.forEach((line, i) => {
    const y = top + i * (GLYPH_HEIGHT + 2) * block.textScale;
    drawText(canvas, line, { x: left, y, scale: block.textScale }, INK);
  });
  block.pictures.forEach((picture, i) => {
    paste(canvas, picture, left + i * (picture.width + GAP), top + block.captionHeight);
  });
}

/**
 * Writes a PNG that shows videos as rows: the caption, below it the frames from left to right.
 * @throws InputError `contact-sheet.option`; WorkError `contact-sheet.failed`
 */
export async function contactSheet(
  path: string,
  videos: readonly Frames[],
  options: ContactSheetOptions = {},
): Promise<void> {
  const { captions = [], columns = 1, framesPerVideo = 8, scale = 1 } = options;
  const wrong =
    videos.length === 0 ||
    videos.some(video => video.data.length !== video.frames * frameBytes(video) || video.frames < 1) ||
    (captions.length > 0 && captions.length !== videos.length) ||
    [columns, framesPerVideo, scale].some(value => !Number.isInteger(value) || value < 1);
  if (wrong) {
    throw new InputError(
      `contact sheet ${path}: needs at least one whole video, no captions or one each, and columns, framesPerVideo and scale ` +
        `from 1; got ${videos.length} videos, ${captions.length} captions, ${columns}, ${framesPerVideo}, ${scale}`,
      { code: 'contact-sheet.option', path },
    );
  }
  const blocks: Block[] = [];
  for (const [i, video] of videos.entries()) blocks.push(await makeBlock(video, captions[i] ?? '', options));
  const rows = Array.from({ length: Math.ceil(blocks.length / columns) }, (_, r) =>
    blocks.slice(r * columns, (r + 1) * columns),
  );
  const widest = Math.max(...blocks.map(block => block.width));
  const heights = rows.map(row => Math.max(...row.map(block => block.height)));
  const used = Math.min(columns, blocks.length);
  const width = MARGIN + used * (widest + MARGIN);
  const height = MARGIN + heights.reduce((sum, one) => sum + one + MARGIN, 0);
  const canvas: Canvas = { data: new Uint8Array(width * height * 3).fill(PAPER), width, height };
  let top = MARGIN;
  for (const [r, row] of rows.entries()) {
    for (const [c, block] of row.entries()) drawBlock(canvas, block, MARGIN + c * (widest + MARGIN), top);
    top += heights[r]! + MARGIN;
  }
  await writePng(path, canvas);
}

async function writePng(path: string, canvas: Canvas): Promise<void> {
  const partial = `${path}.partial-${process.pid}`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await sharp(canvas.data, { raw: { width: canvas.width, height: canvas.height, channels: 3 } })
      .png({ compressionLevel: 9 })
      .toFile(partial);
    await rename(partial, path);
  } catch (error) {
    const message = `${path} could not be written: ${(error as Error).message}`;
    throw new WorkError(message, { code: 'contact-sheet.failed', path }, error);
  } finally {
    await rm(partial, { force: true }).catch(() => undefined);
  }
}
