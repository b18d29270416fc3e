/**
 * Which shape a video shows, measured in the pixels alone: its object, averaged over the frames around its centre, is compared
 * with those of rendered clips of every shape and size, and the nearest ones vote.
 */
import type { Frames } from '../../src/data/frames.js';
import { describeClip, renderClip } from '../../src/data/shapes-render.js';
import { COLOUR_NAMES, DIRECTION_NAMES, type Shape } from '../../src/data/shapes-vocabulary.js';
import { centresOf, objectWeights } from './check-video.js';

/** Rendered clips of each shape, and how many of the nearest vote. */
const CLIPS = 96;
const VOTES = 9;
/** Side of a portrait in pixels, and the share of a frame's shorter side that it covers. */
const SIDE = 11;
const COVERS = 0.6;

/**
 * @param among shapes that it may be
 * @param radius of the dataset's shapes, where it is not the default
 * @returns undefined where nothing stands out
 */
export function measureShape(
  video: Frames,
  among: readonly Shape[],
  radius?: readonly [number, number],
): Shape | undefined {
  const portrait = portraitOf(video);
  if (!portrait) return undefined;
  const nearest = galleryOf(video, among, radius)
    .map(known => ({ shape: known.shape, distance: squaredDistance(known.portrait, portrait) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, VOTES);
  const votes = (shape: Shape) => nearest.filter(one => one.shape === shape).length;
  return among.reduce((best, shape) => (votes(shape) > votes(best) ? shape : best));
}

const galleries = new Map<string, { shape: Shape; portrait: Float64Array }[]>();

/** Portraits of rendered clips in frames of the video's size. */
function galleryOf({ width, height, frames }: Frames, among: readonly Shape[], radius?: readonly [number, number]) {
  const key = `${width} ${height} ${frames} ${among} ${radius}`;
  let gallery = galleries.get(key);
  if (!gallery) {
    gallery = among.flatMap(shape =>
      Array.from({ length: CLIPS }, (_, i) => {
        const combination = { colour: COLOUR_NAMES[i % 4]!, shape, direction: DIRECTION_NAMES[(i >> 2) % 4]! };
        const clip = renderClip(describeClip(combination, { width, height, frames, radius }, 77, i));
        return { shape, portrait: portraitOf(clip)! };
      }),
    );
    galleries.set(key, gallery);
  }
  return gallery;
}

function squaredDistance(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0);
}

/** The object around its centre, the mean over the frames that show it: [SIDE, SIDE], the strongest pixel being 1. */
function portraitOf(video: Frames): Float64Array | undefined {
  const weights = objectWeights(video);
  const centres = centresOf(video, weights);
  if (centres.length < video.frames / 2) return undefined;
  const cover = coverOf(video, weights);
  const { width, height } = video;
  const pitch = (COVERS * Math.min(width, height)) / SIDE;
  const portrait = new Float64Array(SIDE * SIDE);
  for (const { frame, x, y } of centres) {
    const at = (column: number, row: number) =>
      column < 0 || row < 0 || column >= width || row >= height ? 0 : cover[(frame * height + row) * width + column]!;
    for (let v = 0; v < SIDE; v++) {
      for (let u = 0; u < SIDE; u++) {
        // Between pixel centres, linearly.
        const [px, py] = [x - 0.5 + (u - (SIDE - 1) / 2) * pitch, y - 0.5 + (v - (SIDE - 1) / 2) * pitch];
        const [left, top] = [Math.floor(px), Math.floor(py)];
        const [right, low] = [px - left, py - top];
        portrait[v * SIDE + u]! +=
          (1 - low) * ((1 - right) * at(left, top) + right * at(left + 1, top)) +
          low * ((1 - right) * at(left, top + 1) + right * at(left + 1, top + 1));
      }
    }
  }
  const most = portrait.reduce((a, b) => Math.max(a, b), 0);
  return portrait.map(value => value / (most || 1));
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
    const ground = [0, 1, 2].map(c =>
      median(Array.from({ length: pixels }, (_, i) => data[3 * (f * pixels + i) + c]!)),
    );
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
