/** What each metric measures, with the papers' numbers as defaults. */
import type { Position } from './clip-sampling.js';
import type { Side } from './set-options.js';

export const METRICS = ['fvd', 'fid-vid', 'is', 'clipsim'] as const;
export type MetricName = (typeof METRICS)[number];
export type NetworkKind = 'i3d' | 'c3d' | 'inception-v3' | 'clip';

export interface MetricDefinition {
  title: string;
  network: NetworkKind;
  sides: readonly Side[];
  /** Videos that papers measure; fewer make another, higher or noisier figure. 0: a mean, of any number. */
  papers: number;
  /** Compares means and covariances, which need more rows than features. */
  frechet: boolean;
  /** Preprocessing; the first one is the default. */
  preprocess: readonly string[];
  frames: number | 'all';
  position: Position;
  /** The network takes clips, not single frames. */
  takesClips: boolean;
  /** Fewest frames that the network takes, and the only number where that is fixed. */
  leastFrames: number;
  onlyFrames?: number;
  /** Clips, or frames, that go through the network together. */
  batch: number;
}

export const DEFINITIONS: Record<MetricName, MetricDefinition> = {
  fvd: {
    title: 'FVD',
    network: 'i3d',
    sides: ['real', 'generated'],
    papers: 2048,
    frechet: true,
    preprocess: ['stylegan-v', 'videogpt'],
    frames: 16,
    position: 'central',
    takesClips: true,
    leastFrames: 10, // as the public scripts assert
    batch: 1,
  },
  'fid-vid': {
    title: 'FID-vid',
    network: 'inception-v3',
    sides: ['real', 'generated'],
    papers: 2048,
    frechet: true,
    preprocess: ['clean', 'legacy-pytorch'],
    frames: 16,
    position: 'uniform',
    takesClips: false,
    leastFrames: 1,
    batch: 16,
  },
  is: {
    title: 'video IS',
    network: 'c3d',
    sides: ['generated'],
    papers: 10_000,
    frechet: false,
    preprocess: ['tgan2'],
    frames: 16,
    position: 'central',
    takesClips: true,
    leastFrames: 16,
    onlyFrames: 16,
    batch: 1,
  },
  clipsim: {
    title: 'CLIPSIM',
    network: 'clip',
    sides: ['generated'],
    papers: 0,
    frechet: false,
    preprocess: ['openai'],
    frames: 'all',
    position: 'central',
    takesClips: false,
    leastFrames: 1,
    batch: 16,
  },
};
