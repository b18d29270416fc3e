/**
 * Which shape a video shows, measured in the pixels alone: each frame's object is compared with rendered shapes of every size at
 * every place near its centre, and the shape that leaves the least squared error over the clip is taken.
 */
import type { Frames } from '../../src/data/frames.js';
import { INSIDE } from '../../src/data/shapes-render.js';
import type { Shape } from '../../src/data/shapes-vocabulary.js';
import { objectWeights } from './check-video.js';

export interface ShapeMeasurement {
  /** Undefined where nothing stands out. */
  shape?: Shape;
  /** Squared error of the best rendering of each shape, as a share of the object's own square. */
  error: Partial<Record<Shape, number>>;
}

/** Half extents tried, as shares of the frame's shorter side. */
const RADII = Array.from({ length: 11 }, (_, i) => 0.1 + 0.016 * i);
/** Distances of a centre from the measured one that are tried, in pixels of a frame of 16. */
const SHIFTS = [-1, -0.5, 0, 0.5, 1];
/** Samples a pixel's side. */
const SAMPLES = 3;

interface Centre {
  frame: number;
  x: number;
  y: number;
}

/** @param among shapes that it may be */
export function measureShape(video: Frames, among: readonly Shape[]): ShapeMeasurement {
  const weights = objectWeights(video);
  const centres = centresOf(video, weights);
  if (centres.length < video.frames / 2) return { error: {} };
  const cover = coverOf(video, weights);
  const side = Math.min(video.width, video.height);
  const energy = centres.reduce((sum, { frame }) => sum + squared(cover, frame * video.width * video.height, video), 0);
  const error: Partial<Record<Shape, number>> = {};
  for (const shape of among) {
    // The size is the clip's, the place each frame's own.
    const sums = RADII.map(radius =>
      centres.reduce((sum, centre) => sum + bestPlace(cover, video, shape, radius * side, centre, side / 16), 0),
    );
    error[shape] = Math.min(...sums) / energy;
  }
  const shape = among.reduce((best, one) => (error[one]! < error[best]! ? one : best));
  return { shape, error };
}

/** The weights' centroid in each frame that shows the object. */
export function centresOf({ frames, height, width }: Frames, weights: Float64Array): Centre[] {
  const centres: (Centre & { weight: number })[] = [];
  for (let frame = 0; frame < frames; frame++) {
    let [x, y, weight] = [0, 0, 0];
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        const w = weights[(frame * height + row) * width + column]!;
        x += w * (column + 0.5);
        y += w * (row + 0.5);
        weight += w;
      }
    }
    if (weight > 0) centres.push({ frame, x: x / weight, y: y / weight, weight });
  }
  const usual = centres.map(({ weight }) => weight).sort((a, b) => a - b)[Math.floor(centres.length / 2)] ?? 0;
  return centres.filter(({ weight }) => weight >= usual / 4);
}

/** How much of each pixel the object covers, 0 … 1: its colour's share between the background's and the object's own. [F, H, W] */
function coverOf({ data, frames, height, width }: Frames, weights: Float64Array): Float32Array {
  const pixels = height * width;
  const cover = new Float32Array(frames * pixels);
  const order = Array.from(weights.keys()).filter(i => weights[i]! > 0);
  order.sort((a, b) => weights[b]! - weights[a]!);
  const strongest = order.slice(0, Math.max(1, Math.floor(order.length / 2)));
  const colour = [0, 1, 2].map(c => median(strongest.map(i => data[3 * i + c]!)));
  for (let f = 0; f < frames; f++) {
    const ground = [0, 1, 2].map(c => median(Array.from({ length: pixels }, (_, i) => data[3 * (f * pixels + i) + c]!)));
    const axis = colour.map((value, c) => value - ground[c]!);
    const length = axis.reduce((sum, value) => sum + value * value, 0);
    for (let i = 0; i < pixels; i++) {
      const along = axis.reduce((sum, value, c) => sum + value * (data[3 * (f * pixels + i) + c]! - ground[c]!), 0);
      cover[f * pixels + i] = Math.min(1, Math.max(0, along / (length || 1)));
    }
  }
  return cover;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function squared(cover: Float32Array, start: number, { height, width }: Frames): number {
  let sum = 0;
  for (let i = start; i < start + height * width; i++) sum += cover[i]! ** 2;
  return sum;
}

/** The least squared error of one frame against the shape, over places near the centre. */
function bestPlace(
  cover: Float32Array,
  video: Frames,
  shape: Shape,
  radius: number,
  centre: Centre,
  unit: number,
): number {
  let best = Number.POSITIVE_INFINITY;
  for (const dy of SHIFTS) {
    for (const dx of SHIFTS) {
      best = Math.min(best, errorAt(cover, video, shape, radius, centre, centre.x + dx * unit, centre.y + dy * unit));
    }
  }
  return best;
}

function errorAt(
  cover: Float32Array,
  { height, width }: Frames,
  shape: Shape,
  radius: number,
  { frame }: Centre,
  x: number,
  y: number,
): number {
  const inside = INSIDE[shape];
  let error = 0;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      let hits = 0;
      if (Math.abs(column + 0.5 - x) < radius + 1 && Math.abs(row + 0.5 - y) < radius + 1) {
        for (let sy = 0; sy < SAMPLES; sy++) {
          for (let sx = 0; sx < SAMPLES; sx++) {
            const [u, v] = [column + (sx + 0.5) / SAMPLES - x, row + (sy + 0.5) / SAMPLES - y];
            if (inside(u / radius, v / radius)) hits++;
          }
        }
      }
      error += (cover[(frame * height + row) * width + column]! - hits / SAMPLES ** 2) ** 2;
    }
  }
  return error;
}
