/** What a loader may read in place of frames: something that was computed from them before, one array a frame. */
import type { ManifestEntry } from './manifest.js';

export interface FeatureRequest {
  /** Frames between the first and the last one of a sample, both counted. */
  count: number;
  /** Every how many-th of them is taken. */
  each: number;
  /** Most frames that any sample of the loader spans; shorter clips are refused. */
  frames: number;
  /** Called with the number of possible offsets n ≥ 1, returns one of 0 … n-1. */
  chooseOffset: (offsets: number) => number;
  /** Whether a loader of pixels would decode a clip of so many frames and seconds whole: then its frames are counted, not stated. */
  isWhole: (total: number, seconds: number) => boolean;
  signal: AbortSignal;
}

export interface FeatureReader {
  /** [h, w, c] of a frame. */
  readonly shape: readonly [number, number, number];
  /**
   * The very frames that a loader of pixels would read.
   * @returns the bytes of float32 [⌈count / each⌉, h, w, c], and the number of the first frame
   * @throws InputError about this clip, as a loader of pixels would
   */
  read(entry: ManifestEntry, request: FeatureRequest): Promise<{ data: Uint8Array; offset: number }>;
}
