/** Fréchet distances of sets of clips by networks of random weights: what a metric does, without anybody's checkpoint. */
import type { Frames } from '../../src/data/frames.js';
import { describeClip, renderClip } from '../../src/data/shapes-render.js';
import { COLOUR_NAMES, combinations, DIRECTION_NAMES, SHAPES } from '../../src/data/shapes-vocabulary.js';
import { compile, type Tensor, tf } from '../../src/engine/index.js';
import { frechetDistance } from '../../src/eval/frechet.js';
import { fvdInput, inceptionInput } from '../../src/eval/preprocess.js';
import { FeatureStatistics } from '../../src/eval/statistics.js';
import { InceptionI3d, InceptionV3 } from '../../src/models/metrics/index.js';

const BACKGROUND = { tone: 0.25, slope: 0, grain: 0.05 };

export interface SetSize {
  clips: number;
  frames: number;
  /** Of a frame, in pixels. */
  side: number;
}

/**
 * Clips of moving shapes as `show1 data shapes` draws them, but all on one grainy background: what networks of random weights see before
 * anything else is how bright a clip is, and sets of clips of any brightness would have to be large to be alike.
 * Another seed is another sample of the same distribution.
 */
export function shapeClips({ clips, frames, side }: SetSize, seed: number): Frames[] {
  const all = combinations([...COLOUR_NAMES], [...SHAPES], [...DIRECTION_NAMES]);
  return Array.from({ length: clips }, (_, i) => {
    const clip = describeClip(all[(i * 7) % all.length]!, { width: side, height: side, frames }, seed, i);
    return renderClip({ ...clip, background: { ...clip.background, ...BACKGROUND } });
  });
}

export interface Measure {
  /** Features of a set; a row for each clip (FVD) or each frame (FID-vid). */
  features(clips: readonly Frames[]): FeatureStatistics;
  distance(a: FeatureStatistics, b: FeatureStatistics): number;
  dispose(): void;
}

function measure(model: InceptionI3d | InceptionV3, input: (clip: Frames) => Tensor): Measure {
  const forward = compile((x: Tensor) => [model.forward(x) as Tensor], { name: `random_${model.constructor.name}` });
  return {
    features(clips) {
      const rows: Float32Array[] = [];
      for (const clip of clips) {
        const x = input(clip);
        const [y] = forward(x);
        const values = y!.dataSync() as Float32Array;
        for (let at = 0; at < values.length; at += model.features) rows.push(values.slice(at, at + model.features));
        tf.dispose([x, y!]);
      }
      // In an order that follows from the rows alone: a set is no list, and its sums must not depend on one.
      rows.sort(compareRows);
      const statistics = new FeatureStatistics(model.features);
      for (const row of rows) statistics.add(row, 1);
      return statistics;
    },
    distance: frechetDistance,
    dispose() {
      forward.dispose();
      model.dispose();
    },
  };
}

function compareRows(a: Float32Array, b: Float32Array): number {
  const i = a.findIndex((value, at) => value !== b[at]);
  return i < 0 ? 0 : a[i]! - b[i]!;
}

export interface RandomNetwork {
  /** Share of the published channels. */
  width: number;
  /** Of a row; fewer than there are rows, or the distance is that of small samples. */
  features: number;
  seed: number;
}

/** FVD by an I3D of random weights, with the preprocessing of StyleGAN-V. */
export function randomFvd({ width, features, seed }: RandomNetwork): Measure {
  const model = new InceptionI3d({ width, num_classes: features });
  model.initialize(seed);
  return measure(model, clip => fvdInput(clip, 'stylegan-v'));
}

/** FID over all frames by an Inception v3 of random weights, with clean-fid's preprocessing. */
export function randomFid({ width, features, seed }: RandomNetwork): Measure {
  const model = new InceptionV3({ width, features });
  model.initialize(seed);
  return measure(model, clip => inceptionInput(clip, 'clean'));
}
