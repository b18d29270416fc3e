/** Does a video's object move along the path of a reference clip? Measured in the pixels alone. */
import type { Frames } from '../../src/data/frames.js';
import { centresOf, objectWeights } from '../prompt-following/check-video.js';

/** Centre of the object in each frame as shares of width and height, or null where there is none. */
export type Path = ({ x: number; y: number } | null)[];

export interface PathMatch {
  /** Correlation of both paths around their own centres: 1 is the same path, wherever it lies and however large it is. */
  correlation: number;
  /** The same without each path's straight movement: what is left of a line is nothing. */
  bends: number;
  /** Size of the bends against the reference's. */
  size: number;
  /** Whether the video moves as the reference does. */
  follows: boolean;
}

const LEAST_CORRELATION = 0.7;
const LEAST_BENDS = 0.6;
/** A tenth of a pixel of trembling also has a shape: the bends must be of the reference's order. */
const SIZES = [0.35, 2.5] as const;

export function measurePath(video: Frames): Path {
  const path: Path = new Array<null>(video.frames).fill(null);
  for (const { frame, x, y } of centresOf(video, objectWeights(video))) {
    path[frame] = { x: x / video.width, y: y / video.height };
  }
  return path;
}

/** Compares the frames that show the object in both; half of all must. */
export function matchPath(path: Path, reference: Path): PathMatch {
  const shared = path.flatMap((at, t) => (at && reference[t] ? [{ t, at, wanted: reference[t] }] : []));
  if (shared.length < Math.max(4, reference.length / 2)) {
    return { correlation: 0, bends: 0, size: 0, follows: false };
  }
  const times = shared.map(({ t }) => t);
  const coordinates = (key: 'x' | 'y') =>
    [shared.map(({ at }) => at[key]), shared.map(({ wanted }) => wanted[key])].map(centred) as [number[], number[]];
  const [x, wantedX] = coordinates('x');
  const [y, wantedY] = coordinates('y');
  const [a, b] = [
    [...x, ...y],
    [...wantedX, ...wantedY],
  ];
  const bend = (values: number[]) => withoutLine(times, values);
  const [bendsA, bendsB] = [
    [...bend(x), ...bend(y)],
    [...bend(wantedX), ...bend(wantedY)],
  ];
  const correlation = cosine(a, b);
  const bends = cosine(bendsA, bendsB);
  const size = Math.sqrt(dot(bendsA, bendsA) / (dot(bendsB, bendsB) || 1));
  const follows = correlation >= LEAST_CORRELATION && bends >= LEAST_BENDS && size >= SIZES[0] && size <= SIZES[1];
  return { correlation, bends, size, follows };
}

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const cosine = (a: readonly number[], b: readonly number[]): number =>
  dot(a, b) / (Math.sqrt(dot(a, a) * dot(b, b)) || 1);

function centred(values: number[]): number[] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.map(value => value - mean);
}

/** What is left of centred values after the least-squares line over time. */
function withoutLine(times: number[], values: number[]): number[] {
  const t = centred(times);
  const slope = dot(t, values) / dot(t, t);
  return values.map((value, i) => value - slope * t[i]!);
}
