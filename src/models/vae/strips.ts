/** A large image held as horizontal strips, so that a layer can take it piece by piece and free what it has used. */
import { type Tensor, tf } from '../../engine/index.js';

/**
 * Strips belong to the `tf.tidy` around the code that makes them, which also frees them when something throws; dispose of
 * them sooner to save memory.
 */
export class Strips {
  private readonly strips: { from: number; to: number; tensor: Tensor | null }[] = [];

  private constructor(
    /** Rows of the image. */
    readonly height: number,
  ) {}

  /** Makes an image strip by strip: `make(from, to)` gives its rows [from, to) as [N, to - from, W, C]. */
  static build(height: number, rows: number, make: (from: number, to: number) => Tensor): Strips {
    return Strips.buildSeveral(height, rows, (from, to) => [make(from, to)])[0]!;
  }

  /** Makes several images of one height side by side. */
  static buildSeveral(height: number, rows: number, make: (from: number, to: number) => Tensor[]): Strips[] {
    const images: Strips[] = [];
    for (let from = 0; from < height; from += rows) {
      const to = Math.min(height, from + rows);
      for (const [i, tensor] of tf.tidy(() => make(from, to)).entries()) {
        images[i] ??= new Strips(height);
        images[i].strips.push({ from, to, tensor });
      }
    }
    return images;
  }

  /** Rows [from, to) as one tensor. @throws Error when some were released */
  rows(from: number, to: number): Tensor {
    return tf.tidy(() => {
      const wanted = this.strips.filter(strip => strip.from < to && strip.to > from);
      const parts = wanted.map(strip => {
        const [first, last] = [Math.max(from, strip.from), Math.min(to, strip.to)];
        if (first === strip.from && last === strip.to) return held(strip).clone();
        return held(strip).slice([0, first - strip.from, 0, 0], [-1, last - first, -1, -1]);
      });
      return parts.length === 1 ? parts[0]! : tf.concat(parts, 1);
    });
  }

  /** The strips in order. */
  tensors(): Tensor[] {
    return this.strips.map(held);
  }

  /** Frees the strips that end at or above `row`: nobody asks for them again. */
  releaseAbove(row: number): void {
    for (const strip of this.strips) {
      if (strip.to > row) continue;
      strip.tensor?.dispose();
      strip.tensor = null;
    }
  }

  /** The whole image [N, H, W, C]; the strips are freed. */
  join(): Tensor {
    const whole = this.rows(0, this.height);
    this.dispose();
    return whole;
  }

  dispose(): void {
    this.releaseAbove(this.height);
  }
}

function held({ from, to, tensor }: { from: number; to: number; tensor: Tensor | null }): Tensor {
  if (!tensor) throw new Error(`rows ${from} to ${to} of the image were released`);
  return tensor;
}
