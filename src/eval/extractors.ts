/** The networks with their preprocessing, as compiled functions from 8-bit frames to features. */
import { type Frames, sliceFrames } from '../data/frames.js';
import { compile, type Tensor, tf } from '../engine/index.js';
import { WorkError } from '../errors.js';
import type { CLIPModel } from '../models/clip/index.js';
import type { MetricNetwork } from '../models/metrics/index.js';
import { C3D_CHANNEL_MEAN, type C3dMean } from './c3d-mean.js';
import type { Extractor } from './extract.js';
import type { Features } from './feature-store.js';
import type { MetricDefinition } from './metrics.js';
import { c3dInput, clipInput, fvdInput, inceptionInput } from './preprocess.js';

export interface ExtractorOptions {
  definition: MetricDefinition;
  preprocess: string;
  network: MetricNetwork;
  /** c3d: see `c3dMeanOf`. */
  mean?: C3dMean;
  /** Clips, or frames, that go through the network together. */
  batch: number;
}

export interface OpenExtractor extends Extractor {
  dispose(): void;
}

/** @throws WorkError `eval.not-finite` from `run` when a network gives values that are no numbers */
export function createExtractor(options: ExtractorOptions): OpenExtractor {
  const { definition, network, batch } = options;
  const input = preprocessor(options);
  const forward = compile(x => [embed(network, x)], { name: `eval_${network.kind}` });
  const run = async (x: Tensor): Promise<Float32Array> => {
    const [y] = forward(x);
    const values = (await y!.data()) as Float32Array;
    tf.dispose([x, y!]);
    if (values.every(Number.isFinite)) return values;
    throw new WorkError(
      `the ${network.kind} network gave values that are no numbers; its weights (sha256 ${network.sha256}) are damaged: convert them again`,
      { code: 'eval.not-finite', kind: network.kind },
    );
  };
  if (definition.takesClips) {
    return {
      batch,
      async run(clips) {
        const x = tf.tidy(() => tf.concat(clips.map(input), 0)); // [B, F, H, W, 3]
        const values = await run(x);
        const dim = values.length / clips.length;
        return clips.map((_, b) => ({ rows: 1, values: values.slice(b * dim, (b + 1) * dim) }));
      },
      dispose: () => forward.dispose(),
    };
  }
  return {
    batch: 1,
    async run([clip]) {
      const rows: Float32Array[] = [];
      for (let at = 0; at < clip!.frames; at += batch) {
        const count = Math.min(batch, clip!.frames - at);
        const values = await run(tf.tidy(() => filled(input(sliceFrames(clip!, at, count)), batch))); // [N, D]
        rows.push(values.slice(0, (values.length / batch) * count));
      }
      return [joined(rows, clip!.frames)];
    },
    dispose: () => forward.dispose(),
  };
}

/** CLIP's images and videos' logits alike: [N, …] -> [N, D]. */
function embed({ kind, model }: MetricNetwork, x: Tensor): Tensor {
  return kind === 'clip' ? (model as CLIPModel).encodeImage(x) : (model.forward(x) as Tensor);
}

function preprocessor({ definition, preprocess, network, mean }: ExtractorOptions): (frames: Frames) => Tensor {
  const { model } = network;
  switch (definition.network) {
    case 'i3d':
      return frames => fvdInput(frames, preprocess as 'stylegan-v' | 'videogpt');
    case 'inception-v3':
      return frames => inceptionInput(frames, preprocess as 'clean' | 'legacy-pytorch');
    case 'clip':
      return frames => clipInput(frames, (model as CLIPModel).imageSize);
    case 'c3d':
      return frames => c3dInput(frames, mean ?? C3D_CHANNEL_MEAN);
  }
}

/** Rows [n, …] filled up to [rows, …] with the last one: every call has one shape, traced once. */
function filled(x: Tensor, rows: number): Tensor {
  const n = x.shape[0]!;
  if (n === rows) return x;
  const last = x.slice([n - 1], [1]);
  return tf.concat([x, ...Array.from({ length: rows - n }, () => last)], 0);
}

function joined(parts: readonly Float32Array[], rows: number): Features {
  const values = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    values.set(part, at);
    at += part.length;
  }
  return { rows, values };
}
