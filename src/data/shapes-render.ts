import { type Frames, frameBytes } from './frames.js';
import { PURPOSE, type RandomStream, randomStream } from './random.js';
import { centreAt, describePath, type ShapePath } from './shapes-path.js';
import { COLOURS, type Combination, type Shape } from './shapes-vocabulary.js';

export const BACKGROUNDS = ['flat', 'gradient', 'noise'] as const;

export interface ClipSize {
  width: number;
  height: number;
  frames: number;
}

/** Everything that a clip's pixels follow from. Lengths are in pixels, tones 0 … 1. */
export interface ShapeClip extends Combination, ClipSize, ShapePath {
  /** Half the extent of the shape. */
  radius: number;
  /** Brightness of the shape against its plain colour. */
  shade: number;
  background: {
    kind: (typeof BACKGROUNDS)[number];
    tone: number;
    /** Change of tone across the frame, and its direction in radians. */
    slope: number;
    angle: number;
    /** Standard deviation of a still grain. */
    grain: number;
    seed: number;
  };
}

/** Half extents as a share of the frame's shorter side: the usual ones, and those that leave every path its room. */
export const RADIUS = [0.13, 0.22] as const;
export const RADIUS_LIMITS = [0.05, 0.27] as const;

/**
 * Chooses size, place, speed and background of a clip.
 * @param size `radius`: least and most half extent as a share of the shorter side (default `RADIUS`)
 * @param index number of the clip: a clip is a pure function of (seed, index, combination, size)
 */
export function describeClip(
  combination: Combination,
  { width, height, frames, radius: radii = RADIUS }: ClipSize & { radius?: readonly [number, number] },
  seed: number,
  index: number,
): ShapeClip {
  const random = randomStream(seed, PURPOSE.shapes, index);
  const size = { width, height, frames };
  const radius = random.between(...radii) * Math.min(width, height);
  const path = describePath(combination.direction, size, radius, random);

  return {
    ...combination,
    ...size,
    radius,
    ...path,
    shade: random.between(0.85, 1.05),
    background: describeBackground(random),
  };
}

function describeBackground(random: RandomStream): ShapeClip['background'] {
  const kind = BACKGROUNDS[random.int(BACKGROUNDS.length)]!;
  return {
    kind,
    tone: random.between(0.06, 0.42),
    slope: kind === 'gradient' ? random.between(0.06, 0.14) : 0,
    angle: random.between(0, 2 * Math.PI),
    grain: kind === 'noise' ? random.between(0.01, 0.025) : 0,
    seed: random.uint32(),
  };
}

/** Whether a point, relative to the centre and in units of the radius (y down), is inside. Areas differ by at most a third. */
export const INSIDE: Record<Shape, (x: number, y: number) => boolean> = {
  square: (x, y) => Math.abs(x) <= 0.9 && Math.abs(y) <= 0.9,
  circle: (x, y) => x * x + y * y <= 1,
  triangle: (x, y) => y <= 0.85 && y >= -0.95 && Math.abs(x) <= (y + 0.95) / 1.8,
  diamond: (x, y) => Math.abs(x) + Math.abs(y) <= 1,
};

/** Samples a pixel's side for anti-aliasing. */
const SAMPLES = 4;

/** Still grey background, `[H, W]`, 0 … 255. */
function renderBackground(clip: ShapeClip): Float32Array {
  const { width, height, background } = clip;
  const grain = randomStream(background.seed, PURPOSE.noise);
  const tones = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [u, v] = [(x + 0.5) / width - 0.5, (y + 0.5) / height - 0.5];
      const gradient = background.slope * (u * Math.cos(background.angle) + v * Math.sin(background.angle));
      const noise = background.grain > 0 ? background.grain * grain.normal() : 0;
      tones[y * width + x] = Math.min(1, Math.max(0, background.tone + gradient + noise)) * 255;
    }
  }
  return tones;
}

/** Share of a pixel that the shape covers, 0 … 1. */
function coverage(clip: ShapeClip, centre: { x: number; y: number }, x: number, y: number): number {
  const inside = INSIDE[clip.shape];
  let hits = 0;
  for (let sy = 0; sy < SAMPLES; sy++) {
    const v = (y + (sy + 0.5) / SAMPLES - centre.y) / clip.radius;
    for (let sx = 0; sx < SAMPLES; sx++) {
      if (inside((x + (sx + 0.5) / SAMPLES - centre.x) / clip.radius, v)) hits++;
    }
  }
  return hits / (SAMPLES * SAMPLES);
}

/** Draws the clip, `[frames, height, width, 3]`: a shape at sub-pixel places on a still background, moving along its path. */
export function renderClip(clip: ShapeClip): Frames {
  const { width, height, frames, radius } = clip;
  const background = renderBackground(clip);
  const colour = COLOURS[clip.colour].map(value => Math.min(255, value * clip.shade));
  const data = new Uint8Array(frames * frameBytes(clip));
  for (let f = 0; f < frames; f++) {
    const centre = centreAt(clip, frames === 1 ? 0 : f / (frames - 1));
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const near = Math.abs(x + 0.5 - centre.x) < radius + 1 && Math.abs(y + 0.5 - centre.y) < radius + 1;
        const alpha = near ? coverage(clip, centre, x, y) : 0;
        const tone = background[y * width + x]!;
        const pixel = ((f * height + y) * width + x) * 3;
        for (let c = 0; c < 3; c++) data[pixel + c] = Math.round(alpha * colour[c]! + (1 - alpha) * tone);
      }
    }
  }
  return { data, frames, height, width };
}
