/** Where a shape is at each moment of its clip. */
import type { RandomStream } from './random.js';
import { type Curve, DIRECTIONS, type Direction, isCurve, type Motion } from './shapes-vocabulary.js';

export interface ShapePath {
  /** Centre in the first and in the last frame, in pixels. */
  from: { x: number; y: number };
  to: { x: number; y: number };
  /** Distance as a share of the frame's side along the movement; of a loop or zigzag: its width. */
  travel: number;
}

interface Size {
  width: number;
  height: number;
}

/** Least and most travel as a share of the frame: far enough to leave no doubt, near enough to stay in view. */
const TRAVEL = [0.42, 0.62] as const;
/** Most width of a loop or zigzag; the wide ones are for small shapes. */
const CURVE_TRAVEL = [0.46, 0.56] as const;
/** Turns of a zigzag: in eight frames, each fourth is at the top again. */
const ZIGZAG_PERIODS = 1.75;
/** Height of a zigzag as a share of its width. */
const ZIGZAG_HEIGHT = 0.7;

/** Chooses a path that keeps a shape of this radius (pixels) in view. */
export function describePath(motion: Motion, size: Size, radius: number, random: RandomStream): ShapePath {
  return isCurve(motion) ? describeCurve(motion, size, radius, random) : describeLine(motion, size, radius, random);
}

function describeLine(direction: Direction, { width, height }: Size, radius: number, random: RandomStream): ShapePath {
  const { x: dx, y: dy } = DIRECTIONS[direction];
  const side = dx !== 0 ? width : height;
  const travel = random.between(TRAVEL[0], Math.min(TRAVEL[1], 1 - (2 * radius) / side));
  const path = travel * side;

  // The whole path keeps the shape in view; it may start anywhere from where that is so.
  const along = random.between(radius, side - radius - path);
  const across = random.between(radius, (dx !== 0 ? height : width) - radius);
  const [start, end] = dx + dy > 0 ? [along, along + path] : [along + path, along];
  const at = (position: number): { x: number; y: number } =>
    dx !== 0 ? { x: position, y: across } : { x: across, y: position };
  return { from: at(start), to: at(end), travel };
}

function describeCurve(curve: Curve, { width, height }: Size, radius: number, random: RandomStream): ShapePath {
  const side = Math.min(width, height);
  const travel = random.between(CURVE_TRAVEL[0], Math.min(CURVE_TRAVEL[1], 1 - (2 * radius) / side));
  const [across, down] =
    curve === 'loop' ? [travel * side, travel * side] : [travel * side, ZIGZAG_HEIGHT * travel * side];
  const left = random.between(radius, width - radius - across);
  const top = random.between(radius, height - radius - down);
  const middle = top + down / 2;
  // A loop starts and ends at its top, a zigzag runs from left to right and starts in the middle of its height.
  if (curve === 'loop') return { from: { x: left + across / 2, y: top }, to: { x: left + across / 2, y: top }, travel };
  return { from: { x: left, y: middle }, to: { x: left + across, y: middle }, travel };
}

/**
 * Centre in pixels at time t of 0 … 1. Lines are run at an even speed, loops once and clockwise, zigzags at an even speed
 * to the right.
 */
export function centreAt(clip: ShapePath & Size & { direction: Motion }, t: number): { x: number; y: number } {
  const { direction, from, to, travel } = clip;
  const line = { x: from.x + (to.x - from.x) * t, y: from.y + (to.y - from.y) * t };
  if (!isCurve(direction)) return line;
  const width = travel * Math.min(clip.width, clip.height);
  if (direction === 'loop') {
    const turn = 2 * Math.PI * t;
    return { x: from.x + (width / 2) * Math.sin(turn), y: from.y + (width / 2) * (1 - Math.cos(turn)) };
  }
  return { x: line.x, y: line.y - ((ZIGZAG_HEIGHT * width) / 2) * triangle(ZIGZAG_PERIODS * t) };
}

/** A triangle wave of period 1: 0, up to 1, down to -1, back to 0. */
function triangle(t: number): number {
  const phase = t - Math.floor(t);
  return phase < 0.25 ? 4 * phase : phase < 0.75 ? 2 - 4 * phase : 4 * phase - 4;
}
