import { InputError } from '../errors.js';

/** A decoded clip: 8-bit RGB, `data` is `[frames, height, width, 3]` row by row. */
export interface Frames {
  data: Uint8Array;
  frames: number;
  height: number;
  width: number;
}

/** Bytes of one `[height, width, 3]` frame. */
export function frameBytes(video: { height: number; width: number }): number {
  return video.height * video.width * 3;
}

/**
 * Wraps raw bytes as a clip.
 * @throws InputError `frames.shape` when the length is not frames·height·width·3.
 */
export function asFrames(data: Uint8Array, shape: { frames: number; height: number; width: number }): Frames {
  const expected = shape.frames * frameBytes(shape);
  if (data.length !== expected || expected === 0) {
    throw new InputError(
      `frames [${shape.frames}, ${shape.height}, ${shape.width}, 3] need ${expected} bytes (at least one frame), got ${data.length}`,
      { code: 'frames.shape', expected, actual: data.length },
    );
  }
  return { data, frames: shape.frames, height: shape.height, width: shape.width };
}

/** Frames `[start, start + count)` as a view on the same memory. */
export function sliceFrames(video: Frames, start: number, count: number): Frames {
  const bytes = frameBytes(video);
  if (start < 0 || count < 1 || start + count > video.frames) {
    throw new InputError(`frames ${start} to ${start + count} are outside a clip of ${video.frames} frames`, {
      code: 'frames.range',
      start,
      count,
      frames: video.frames,
    });
  }
  return { ...video, data: video.data.subarray(start * bytes, (start + count) * bytes), frames: count };
}

/** Frames 0, n, 2n …, copied unless n is 1. */
export function everyNth(video: Frames, n: number): Frames {
  if (n === 1) return video;
  const bytes = frameBytes(video);
  const frames = Math.floor((video.frames - 1) / n) + 1;
  const data = new Uint8Array(frames * bytes);
  for (let f = 0; f < frames; f++) data.set(video.data.subarray(f * n * bytes, (f * n + 1) * bytes), f * bytes);
  return { ...video, data, frames };
}

const TO_UNIT = Float32Array.from({ length: 256 }, (_, value) => value / 127.5 - 1);

/** Writes 8-bit values as floats in [-1, 1] (v / 127.5 - 1) into `target` from `offset` on. */
export function writeUnit(data: Uint8Array, target: Float32Array, offset = 0): void {
  for (let i = 0; i < data.length; i++) target[offset + i] = TO_UNIT[data[i]!]!;
}

/**
 * Floats in [-1, 1] `[F, H, W, 3]` to 8-bit frames; values outside are clamped.
 * @throws InputError `frames.not-finite` on NaN or infinity, which would otherwise turn into black silently.
 */
export function fromUnit(
  values: Float32Array,
  shape: { frames: number; height: number; width: number },
  source = 'frames',
): Frames {
  const data = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!Number.isFinite(value)) {
      throw new InputError(`${source}: value ${value} at index ${i} is not a finite number`, {
        code: 'frames.not-finite',
        index: i,
        value,
      });
    }
    data[i] = Math.round((Math.min(1, Math.max(-1, value)) + 1) * 127.5);
  }
  return asFrames(data, shape);
}
