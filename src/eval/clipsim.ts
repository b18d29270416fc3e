/**
 * CLIPSIM (Wu et al. 2021, GODIVA): the cosine of a prompt's and a frame's CLIP embeddings, averaged over frames, then over pairs of video
 * and prompt. Consistency: the cosine of neighbouring frames, and of each frame to the first one, averaged over videos.
 */
import type { Features } from './feature-store.js';

/** Rows scaled to unit length, float64. */
export function unitRows({ rows, values }: Features): Float64Array[] {
  const dim = values.length / rows;
  return Array.from({ length: rows }, (_, r) => {
    const row = Float64Array.from(values.subarray(r * dim, (r + 1) * dim));
    const norm = Math.sqrt(row.reduce((sum, x) => sum + x * x, 0));
    return row.map(x => x / norm);
  });
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;

/** Mean cosine of a video's frames [F, P] and a text. Both of unit length. */
export const similarity = (frames: readonly Float64Array[], text: Float64Array): number =>
  mean(frames.map(frame => dot(frame, text)));

/** Of one video; undefined for a single frame. Rows of unit length. */
export function consistency(frames: readonly Float64Array[]): { neighbours: number; toFirst: number } | undefined {
  if (frames.length < 2) return undefined;
  return {
    neighbours: mean(frames.slice(1).map((frame, f) => dot(frame, frames[f]!))),
    toFirst: mean(frames.slice(1).map(frame => dot(frame, frames[0]!))),
  };
}

export interface ClipsimScore {
  /** ×1, as Show-1 reports it. */
  value: number;
  /** ×100, as others do. */
  x100: number;
  /** Of the mean over pairs. */
  standardError: number;
  pairs: number;
  videos: number;
  consistency: { neighbours: number | null; toFirst: number | null; videos: number };
}

/** Adds up videos one by one. */
export class ClipsimSum {
  private readonly scores: number[] = [];
  private readonly consistencies: { neighbours: number; toFirst: number }[] = [];
  private videos = 0;

  /** @param texts embeddings of the video's prompts, each of unit length */
  add(frames: readonly Float64Array[], texts: readonly Float64Array[]): void {
    this.videos++;
    for (const text of texts) this.scores.push(similarity(frames, text));
    const own = consistency(frames);
    if (own) this.consistencies.push(own);
  }

  score(): ClipsimScore {
    const value = mean(this.scores);
    const n = this.scores.length;
    const variance = this.scores.reduce((sum, x) => sum + (x - value) ** 2, 0) / (n - 1);
    const list = this.consistencies;
    return {
      value,
      x100: 100 * value,
      standardError: n > 1 ? Math.sqrt(variance / n) : Number.NaN,
      pairs: n,
      videos: this.videos,
      consistency: {
        neighbours: list.length > 0 ? mean(list.map(one => one.neighbours)) : null,
        toFirst: list.length > 0 ? mean(list.map(one => one.toFirst)) : null,
        videos: list.length,
      },
    };
  }
}
