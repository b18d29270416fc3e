/** A style that no base has seen: shapes on light paper with dark lines; and how much of it a video shows. */
import type { Frames } from '../../src/data/frames.js';
import { renderClip, type ShapeClip } from '../../src/data/shapes-render.js';

/** Tone of the paper and of its lines, 0 … 1; a line every so many rows. */
const PAPER = 0.9;
const LINE = 0.5;
const EVERY = 4;
/** Least brightness of the background, and least correlation of its rows with the lines. */
const LEAST_TONE = 0.6;
const LEAST_LINES = 0.6;

const toneOf = (row: number): number => (row % EVERY === EVERY - 1 ? LINE : PAPER);

/** The clip as `renderClip` draws it, on paper in place of its background. */
export function drawOnPaper(clip: ShapeClip): Frames {
  const on = (tone: number) =>
    renderClip({ ...clip, background: { ...clip.background, tone, slope: 0, grain: 0, kind: 'flat' } });
  const [black, white] = [on(0), on(1)];
  const { width, height } = black;
  // What differs between a black and a white background is the part of a pixel that the shape leaves free.
  const data = black.data.map((value, i) => {
    const row = Math.floor(i / (3 * width)) % height;
    return Math.round(value + (white.data[i]! - value) * toneOf(row));
  });
  return { ...black, data };
}

export interface Look {
  /** Median tone, 0 … 1: a shape covers less than half of the frame. */
  tone: number;
  /** Correlation of the rows' median tones with the lines. */
  lines: number;
  onPaper: boolean;
}

export function measureLook({ data, frames, height, width }: Frames): Look {
  const rows: number[] = [];
  for (let y = 0; y < height; y++) {
    const tones: number[] = [];
    for (let f = 0; f < frames; f++) {
      for (let x = 0; x < width; x++) {
        const i = ((f * height + y) * width + x) * 3;
        tones.push((data[i]! + data[i + 1]! + data[i + 2]!) / 765);
      }
    }
    rows.push(median(tones));
  }
  const tone = median(rows);
  const lines = correlation(
    rows,
    rows.map((_, y) => toneOf(y)),
  );
  return { tone, lines, onPaper: tone >= LEAST_TONE && lines >= LEAST_LINES };
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

function correlation(a: number[], b: number[]): number {
  const centre = (values: number[]) => {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return values.map(value => value - mean);
  };
  const dot = (x: number[], y: number[]) => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
  const [x, y] = [centre(a), centre(b)];
  return dot(x, y) / (Math.sqrt(dot(x, x) * dot(y, y)) || 1);
}
