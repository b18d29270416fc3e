/**
 * Does a video show the colour and the movement of its prompt? Measured in the pixels alone, without any model: the dominant
 * colour of what stands out from the background, and the path of its centroid.
 */
import type { Frames } from '../../src/data/frames.js';
import { type Colour, type Direction, isCurve, readPrompt } from '../../src/data/shapes-vocabulary.js';

export interface VideoMeasurement {
  /** Undefined where nothing stands out, or no colour has half of what does. */
  colour?: Colour;
  /** Undefined where nothing moves far enough. */
  direction?: Direction;
  /** Share of the coloured pixels' weight that has this colour. */
  colourShare: number;
  /** Share of the pixels that stand out. */
  area: number;
  /** Movement over the clip as a share of the frame's width and height; x to the right, y down. */
  travel: { x: number; y: number };
}

export interface VideoCheck extends VideoMeasurement {
  expected: { colour: Colour; direction: Direction };
  colourRight: boolean;
  directionRight: boolean;
}

/** Hue ranges in degrees, from … to; red is what is left. */
const HUES: readonly [number, number, Colour][] = [
  [20, 44, 'orange'],
  [44, 75, 'yellow'],
  [75, 165, 'green'],
  [165, 202, 'cyan'],
  [202, 258, 'blue'],
  [258, 330, 'purple'],
];
/** Difference from the background, of 255, below which a pixel is background whatever the rest of the video looks like. */
const LEAST_CHROMA = 40;
const LEAST_LIGHT = 90;
/** Of the strongest difference: edges, noise and faint ghosts are left out. */
const RELATIVE_THRESHOLD = 0.45;
/** Of the median difference, which is noise: the chroma of pure noise exceeds it in one pixel of three hundred. */
const NOISE_THRESHOLD = 2.9;
/** Share of all pixels that a shape must have. */
const LEAST_AREA = 0.008;
const LEAST_SHARE = 0.5;
/** Least travel as a share of the frame's side. */
const LEAST_TRAVEL = 0.15;
/** A frame with less of the shape than this share of the usual does not count for the path (it has left the view). */
const LEAST_FRAME_WEIGHT = 0.25;

function quantile(values: Float64Array, share: number): number {
  const sorted = values.slice().sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

/** Opponent colour coordinates: the length is the chroma, the angle the hue; grey is (0, 0), so mixing with grey keeps the hue. */
function opponent(r: number, g: number, b: number): [number, number] {
  return [r - (g + b) / 2, (Math.sqrt(3) / 2) * (g - b)];
}

function nameOfHue(degrees: number): Colour {
  for (const [from, to, name] of HUES) if (degrees >= from && degrees < to) return name;
  return 'red';
}

/** For each pixel of the clip: how far it stands out in chroma and in light, and the hue of the difference. */
interface Difference {
  chroma: Float64Array;
  light: Float64Array;
  hue: Float64Array;
}

function differenceFromBackground({ data }: Frames): Difference {
  const count = data.length / 3;
  const u = new Float64Array(count);
  const v = new Float64Array(count);
  const light = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const [r, g, b] = [data[3 * i]!, data[3 * i + 1]!, data[3 * i + 2]!];
    [u[i], v[i]] = opponent(r, g, b);
    light[i] = (r + g + b) / 3;
  }
  // A shape covers a fifth of the frame at most, so the median is background.
  const [u0, v0, light0] = [quantile(u, 0.5), quantile(v, 0.5), quantile(light, 0.5)];
  const chroma = new Float64Array(count);
  const hue = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const [du, dv] = [u[i]! - u0, v[i]! - v0];
    chroma[i] = Math.hypot(du, dv);
    hue[i] = ((Math.atan2(dv, du) * 180) / Math.PI + 360) % 360;
    light[i] = light[i]! - light0;
  }
  return { chroma, light, hue };
}

/** Weight of every pixel that belongs to what stands out (0 elsewhere), and the colour of that. */
function findObject(video: Frames): { colour?: Colour; weights: Float64Array; share: number; area: number } {
  const { chroma, light, hue } = differenceFromBackground(video);
  const count = chroma.length;
  const weights = new Float64Array(count);
  const threshold = Math.max(
    LEAST_CHROMA,
    RELATIVE_THRESHOLD * quantile(chroma, 0.99),
    NOISE_THRESHOLD * quantile(chroma, 0.5),
  );
  const votes = new Map<Colour, number>();
  let total = 0;
  let coloured = 0;
  for (let i = 0; i < count; i++) {
    if (chroma[i]! < threshold) continue;
    const name = nameOfHue(hue[i]!);
    votes.set(name, (votes.get(name) ?? 0) + chroma[i]!);
    total += chroma[i]!;
    coloured++;
  }
  if (coloured >= LEAST_AREA * count) {
    const [colour, votesFor] = [...votes].sort((a, b) => b[1] - a[1])[0]!;
    let area = 0;
    for (let i = 0; i < count; i++) {
      if (chroma[i]! < threshold || nameOfHue(hue[i]!) !== colour) continue;
      weights[i] = chroma[i]!;
      area++;
    }
    const share = votesFor / total;
    return { colour: share >= LEAST_SHARE ? colour : undefined, weights, share, area: area / count };
  }
  // Nothing has a colour: is there something bright, that is, white?
  const bright = Math.max(LEAST_LIGHT, RELATIVE_THRESHOLD * quantile(light, 0.99));
  let area = 0;
  for (let i = 0; i < count; i++) {
    if (light[i]! < bright) continue;
    weights[i] = light[i]!;
    area++;
  }
  const white = area >= LEAST_AREA * count;
  return { colour: white ? 'white' : undefined, weights, share: white ? 1 : 0, area: area / count };
}

/** How much each pixel of `[F, H, W]` belongs to what stands out; 0 elsewhere. */
export const objectWeights = (video: Frames): Float64Array => findObject(video).weights;

/** Slope of the least-squares line through (t, value), times the time covered by all frames. */
function travelOf(points: readonly { t: number; value: number }[], frames: number): number {
  const meanT = points.reduce((sum, { t }) => sum + t, 0) / points.length;
  const mean = points.reduce((sum, { value }) => sum + value, 0) / points.length;
  let top = 0;
  let bottom = 0;
  for (const { t, value } of points) {
    top += (t - meanT) * (value - mean);
    bottom += (t - meanT) ** 2;
  }
  return bottom === 0 ? 0 : (top / bottom) * (frames - 1);
}

export interface Centre {
  frame: number;
  /** In pixels. */
  x: number;
  y: number;
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
  const usual = quantile(
    Float64Array.from(centres, ({ weight }) => weight),
    0.5,
  );
  return centres.filter(({ weight }) => weight >= LEAST_FRAME_WEIGHT * usual);
}

/** Movement of the weights' centroid over the clip, as a share of width and height. */
function measureTravel(video: Frames, weights: Float64Array): { x: number; y: number } {
  const { frames, height, width } = video;
  const seen = centresOf(video, weights);
  // Half of the frames must show it: a line through two of eight points says nothing about the clip.
  if (seen.length < Math.max(3, frames / 2)) return { x: 0, y: 0 };
  return {
    x: travelOf(
      seen.map(({ frame, x }) => ({ t: frame, value: x / width })),
      frames,
    ),
    y: travelOf(
      seen.map(({ frame, y }) => ({ t: frame, value: y / height })),
      frames,
    ),
  };
}

/** Colour and direction of what a video shows, whatever it was asked for. */
export function measureVideo(video: Frames): VideoMeasurement {
  const { colour, weights, share, area } = findObject(video);
  const nothing = { colourShare: share, area, travel: { x: 0, y: 0 } };
  if (area < LEAST_AREA) return nothing;
  const travel = measureTravel(video, weights);
  const sideways = Math.abs(travel.x) >= Math.abs(travel.y);
  const far = Math.abs(sideways ? travel.x : travel.y) >= LEAST_TRAVEL;
  const direction = sideways ? (travel.x < 0 ? 'left' : 'right') : travel.y < 0 ? 'up' : 'down';
  return { colour, direction: far ? direction : undefined, colourShare: share, area, travel };
}

/**
 * Whether a video shows its prompt's colour and direction.
 * @param video 8-bit RGB `[F, H, W, 3]`, any size
 * @throws Error when the prompt does not name exactly one colour and one direction
 */
export function checkVideo(video: Frames, prompt: string): VideoCheck {
  const { colour, direction } = readPrompt(prompt);
  if (!colour || !direction || isCurve(direction)) {
    throw new Error(
      `prompt ${JSON.stringify(prompt)} must name one colour and one direction, as in "a red square moves up"`,
    );
  }
  const measured = measureVideo(video);
  return {
    ...measured,
    expected: { colour, direction },
    colourRight: measured.colour === colour,
    directionRight: measured.direction === direction,
  };
}
