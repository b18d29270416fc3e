/**
 * What happens to the frames' size before a network's own preprocessing: papers cut, shrink or squeeze videos first, and the figures follow
 * it. Steps are joined by "+"; resizing is PIL's bicubic on 8-bit values, the same on every machine.
 */
import { type Frames, frameBytes } from '../data/frames.js';
import { pilResize } from '../data/pil-resize.js';
import { InputError } from '../errors.js';

export const RESOLUTION_HELP =
  'none (as stored), square:N (squeezed to N×N), size:WxH, short:N (short side N), centre-crop (largest square), centre-crop:N (N×N pixels), ' +
  'or steps joined by +, as centre-crop+square:256';

interface Step {
  /** As it is written in the protocol. */
  name: string;
  apply(video: Frames): Frames;
}

export interface Resolution {
  /** The steps, or `none`. */
  id: string;
  /** @throws InputError `eval.resolution` when a cut is larger than the video */
  apply(video: Frames): Frames;
}

/** @throws InputError `eval.option` */
export function parseResolution(text: string): Resolution {
  const steps = text.trim() === 'none' ? [] : text.split('+').map(word => parseStep(word.trim(), text));
  return {
    id: steps.length === 0 ? 'none' : steps.map(({ name }) => name).join('+'),
    apply: video => steps.reduce((frames, step) => step.apply(frames), video),
  };
}

function parseStep(word: string, text: string): Step {
  const [, name = '', first, second] = /^([a-z-]+)(?::(\d+)(?:x(\d+))?)?$/.exec(word.replace('center', 'centre')) ?? [];
  const [w, h] = [Number(first), Number(second)];
  const one = first !== undefined && second === undefined && w > 0 && w <= 8192;
  if (name === 'square' && one) return { name: `square:${w}`, apply: video => resize(video, w, w) };
  if (name === 'short' && one) return { name: `short:${w}`, apply: video => shortSide(video, w) };
  if (name === 'centre-crop' && one) return { name: `centre-crop:${w}`, apply: video => centreCrop(video, w) };
  if (name === 'centre-crop' && first === undefined) {
    return { name: 'centre-crop', apply: video => centreCrop(video, Math.min(video.width, video.height)) };
  }
  if (name === 'size' && second !== undefined && w > 0 && h > 0 && Math.max(w, h) <= 8192) {
    return { name: `size:${w}x${h}`, apply: video => resize(video, w, h) };
  }
  throw new InputError(`--resolution ${text}: "${word}" is no step; allowed: ${RESOLUTION_HELP}`, {
    code: 'eval.option',
    option: 'resolution',
    value: text,
  });
}

function resize(video: Frames, width: number, height: number): Frames {
  const { data, frames } = video;
  const shape = { images: frames, height: video.height, width: video.width };
  return { data: pilResize(data, shape, { height, width }), frames, height, width };
}

function shortSide(video: Frames, side: number): Frames {
  const scale = side / Math.min(video.width, video.height);
  const long = Math.round(Math.max(video.width, video.height) * scale);
  return video.width < video.height ? resize(video, side, long) : resize(video, long, side);
}

/** The middle `side`×`side` pixels; of an odd rest the smaller half is cut at the left and the top. */
function centreCrop(video: Frames, side: number): Frames {
  const { data, frames, height, width } = video;
  if (side > Math.min(width, height)) {
    throw new InputError(`centre-crop:${side} does not fit into a video of ${width}x${height}`, {
      code: 'eval.resolution',
      side,
      width,
      height,
    });
  }
  const [left, top] = [Math.floor((width - side) / 2), Math.floor((height - side) / 2)];
  const cropped = { frames, height: side, width: side };
  const out = new Uint8Array(frames * frameBytes(cropped));
  for (let f = 0; f < frames; f++) {
    for (let y = 0; y < side; y++) {
      const from = ((f * height + top + y) * width + left) * 3;
      out.set(data.subarray(from, from + side * 3), (f * side + y) * side * 3);
    }
  }
  return { data: out, ...cropped };
}
