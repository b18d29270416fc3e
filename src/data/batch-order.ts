/**
 * Which clips a step's batch holds, as a pure function of the seed, the step and the sizes of the groups: a resumed run asks for its
 * step and replays nothing.
 */
import { PURPOSE, permutation } from './random.js';

/** Clips of one shape, which share batches. */
export interface Group {
  /** Number of its clips, at least 1. */
  clips: number;
  batchSize: number;
}

/** A batch of a group: its samples are batch·B … batch·B + B-1 of the group's endless order. */
export interface GroupBatch {
  group: number;
  batch: number;
}

/** One sample of a group's endless order. */
export interface Place {
  epoch: number;
  /** 0 … clips-1 */
  place: number;
}

/** Batches among which pictures and videos are mixed in the exact share. */
const BLOCK = 64;

export interface BatchOrder {
  /** The batch of a step. */
  at(step: number): GroupBatch & { kind: 'video' | 'image' };
  /** Batches after which every clip of every video group was shown. */
  readonly batchesPerEpoch: number;
}

/**
 * The order of batches of several groups.
 *
 * A group's clips are shown in passes, each in an order of its own; a batch that a pass does not fill takes the first clips of the
 * next pass. After epoch e a group has been given ⌊(e+1)·n/B⌋ batches: what does not fill a batch is carried into the next epoch, so
 * that each clip is shown as often as any other, whatever the size of its group. The batches of an epoch are shuffled by
 * (seed, epoch). One group alone is shown batch by batch.
 */
export function createGroupOrder(groups: readonly Group[], seed: number): (step: number) => GroupBatch {
  if (groups.length === 1) return step => ({ group: 0, batch: step });
  /** Batches of a group in all epochs before `epoch`. */
  const before = ({ clips, batchSize }: Group, epoch: number): number => Math.floor((epoch * clips) / batchSize);
  const total = (epoch: number): number => groups.reduce((sum, group) => sum + before(group, epoch), 0);

  /** The last epoch with `total(epoch) <= step`, which is the one that shows the step's batch. */
  const epochOf = (step: number): number => {
    let [low, high] = [0, 1];
    while (total(high) <= step) [low, high] = [high, 2 * high];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (total(middle) <= step) low = middle;
      else high = middle;
    }
    return low;
  };

  let known: { epoch: number; start: number; batches: GroupBatch[] } | undefined;
  const schedule = (epoch: number) => {
    const batches: GroupBatch[] = [];
    groups.forEach((group, g) => {
      for (let batch = before(group, epoch); batch < before(group, epoch + 1); batch++)
        batches.push({ group: g, batch });
    });
    const shuffled = Array.from(permutation(batches.length, seed, PURPOSE.batchOrder, epoch), i => batches[i]!.group);
    // A group's own batches stay in their order: its passes follow each other.
    const next = groups.map(group => before(group, epoch));
    return { epoch, start: total(epoch), batches: shuffled.map(group => ({ group, batch: next[group]!++ })) };
  };

  return step => {
    if (!known || step < known.start || step >= known.start + known.batches.length) known = schedule(epochOf(step));
    return known.batches[step - known.start]!;
  };
}

/**
 * Video batches and picture batches. Of each {@link BLOCK} steps, `share` (rounded so that no error adds up) are pictures; which ones
 * is drawn from (seed, block). Both kinds count their own batches, so no clip is left out because of the other kind.
 * @param images groups of pictures; none: all steps show videos
 */
export function createBatchOrder(
  videos: readonly Group[],
  seed: number,
  images: readonly Group[] = [],
  share = 0,
): BatchOrder {
  const videoOrder = createGroupOrder(videos, seed);
  const imageOrder = images.length > 0 ? createGroupOrder(images, seed) : undefined;
  const batchesPerEpoch = videos.reduce((sum, { clips, batchSize }) => sum + Math.ceil(clips / batchSize), 0);
  if (!imageOrder || share === 0) return { batchesPerEpoch, at: step => ({ kind: 'video', ...videoOrder(step) }) };

  /** Pictures in all blocks before `block`. */
  const before = (block: number): number => Math.floor(block * BLOCK * share + 1e-9);
  let known: { block: number; isImage: boolean[] } | undefined;
  return {
    batchesPerEpoch,
    at(step) {
      const block = Math.floor(step / BLOCK);
      if (known?.block !== block) {
        const order = permutation(BLOCK, seed, PURPOSE.imageSteps, block);
        known = { block, isImage: Array.from(order, rank => rank < before(block + 1) - before(block)) };
      }
      const place = step - block * BLOCK;
      const pictures = before(block) + known.isImage.slice(0, place).filter(Boolean).length;
      return known.isImage[place]
        ? { kind: 'image', ...imageOrder(pictures) }
        : { kind: 'video', ...videoOrder(step - pictures) };
    },
  };
}

/** Sample j of a group of n clips is at place j mod n of pass ⌊j/n⌋. */
export function placeOf(j: number, clips: number): Place {
  const epoch = Math.floor(j / clips);
  return { epoch, place: j - epoch * clips };
}
