/** The shapes of the batches that a config trains on. */
import type { Config } from './schema.js';

export interface BatchShape {
  /** Keys of what states it: `data`, or `data.buckets.N`. */
  path: string[];
  batchSize: number;
  frames: number;
  /** Pixels. */
  height: number;
  width: number;
}

type Sources = Pick<Config, 'data' | 'train'>;

/** Shapes of the batches of videos: that of `data`, or its buckets. */
export function videoShapes({ data, train }: Sources): BatchShape[] {
  const { batchSize } = train;
  const { frames, height, width, buckets } = data;
  if (!buckets) return [{ path: ['data'], batchSize, frames, height, width }];
  return buckets.map((bucket, i) => ({ path: ['data', 'buckets', String(i)], batchSize, ...bucket }));
}

/** Shapes of the batches of pictures: one a size of the videos; none without `data.images`. */
export function imageShapes(config: Sources): BatchShape[] {
  const { images } = config.data;
  if (!images) return [];
  const batchSize = images.batchSize ?? config.train.batchSize;
  const sizes = new Map(videoShapes(config).map(shape => [`${shape.width}x${shape.height}`, shape]));
  return [...sizes.values()].map(shape => ({ ...shape, frames: 1, batchSize }));
}

/** The shape of the most pixels: what a step needs memory for. */
export function largestShape(config: Sources): BatchShape {
  const pixels = ({ batchSize, frames, height, width }: BatchShape): number => batchSize * frames * height * width;
  return [...videoShapes(config), ...imageShapes(config)].reduce((a, b) => (pixels(b) > pixels(a) ? b : a));
}
