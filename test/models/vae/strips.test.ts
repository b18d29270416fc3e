import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { compile, tf } from '../../../src/engine/index.js';
import { Strips } from '../../../src/models/vae/strips.js';
import { ATTENTION, noise, PLAIN, randomVae, worst } from './configs.js';

const SEAM = 1 / 255;

describe('Strips', () => {
  it('gives rows across strips, releases what is used and says when it is gone', () => {
    tf.tidy(() => {
      const image = noise([2, 7, 3, 2]);
      const cut = (from: number, to: number) => image.slice([0, from, 0, 0], [-1, to - from, -1, -1]);
      const strips = Strips.build(7, 3, cut);
      expect(strips.tensors().map(t => t.shape[1])).toEqual([3, 3, 1]);
      for (const [from, to] of [
        [0, 7],
        [2, 4],
        [3, 6],
        [6, 7],
        [1, 7],
      ] as const) {
        expect(worst(strips.rows(from, to), cut(from, to))).toBe(0);
      }
      strips.releaseAbove(5);
      expect(worst(strips.rows(3, 7), cut(3, 7))).toBe(0);
      expect(() => strips.rows(2, 4)).toThrow(/rows 0 to 3 of the image were released/);
      expect(() => strips.tensors()).toThrow(/released/);
    });
  });
});

describe('in strips as a whole', () => {
  // Sides that are multiples of the strips and that are not, strips of one row, and one strip for all.
  const SIZES: [height: number, width: number, rows: number][] = [
    [32, 24, 8],
    [36, 20, 8],
    [52, 12, 5],
    [8, 40, 1],
    [20, 16, 3],
    [16, 16, 100],
    [37, 22, 4],
  ];

  it.each(SIZES)('%i x %i, %i rows', (height, width, rows) => {
    for (const [seed, json, spread] of [
      [1, PLAIN, 0.3],
      [2, ATTENTION, 0.3],
      [3, ATTENTION, 2], // far from trained weights
      [4, PLAIN, 0],
    ] as const) {
      const vae = randomVae(json, { seed, spread });
      const before = tf.memory().numTensors;
      const x = noise([2, height, width, 3], seed);
      const [a, b] = [vae.encode(x), vae.encode(x, { stripRows: rows })];
      // Rounding grows with the numbers behind the clamp, of which the means' size tells.
      const rounding = 1e-3 * SEAM * (1 + size(a.mean));
      expect(worst(a.mean, b.mean)).toBeLessThan(rounding);
      expect(worst(a.logvar, b.logvar)).toBeLessThan(rounding);
      const [c, d] = [vae.decode(a.mean), vae.decode(a.mean, { stripRows: rows })];
      expect(worst(c, d)).toBeLessThan(0.05 * SEAM);
      tf.dispose([x, c, d, ...[a, b].flatMap(l => [l.mean, l.logvar, l.std])]);
      expect(tf.memory().numTensors).toBe(before);
      vae.dispose();
    }
  });

  it('uses the statistics of the whole image, also when its halves differ much', () => {
    const vae = randomVae(PLAIN);
    tf.tidy(() => {
      const z = tf.concat([noise([1, 10, 8, 4]), noise([1, 10, 8, 4], 1).mul(0.01).add(30)], 1);
      const whole = vae.decode(z);
      expect(worst(whole, vae.decode(z, { stripRows: 4 }))).toBeLessThan(0.05 * SEAM);
      // What tiles by themselves would give differs by far more: the comparison can fail.
      const alone = tf.concat([vae.decode(z.slice([0, 0], [-1, 10])), vae.decode(z.slice([0, 10], [-1, 10]))], 1);
      expect(worst(whole, alone)).toBeGreaterThan(10 * SEAM);
    });
    vae.dispose();
  });

  it('works inside a compiled function', () => {
    const vae = randomVae(ATTENTION);
    const z = noise([1, 5, 4, 4]);
    const fn = compile(latents => [vae.decode(latents!, { stripRows: 6 })], { name: 'strips' });
    const [whole, [strips]] = [vae.decode(z), fn(z)];
    expect(worst(whole, strips!)).toBeLessThan(0.05 * SEAM);
    fn.dispose();
    tf.dispose([z, whole, strips!]);
    vae.dispose();
  });
});

const size = (x: ReturnType<typeof noise>) => tf.tidy(() => x.abs().max().dataSync()[0]!);

describe('memory', () => {
  const child = resolve(import.meta.dirname, 'memory-child.ts');
  const grown = async (direction: string, way: string) => {
    const args = ['--import', 'tsx', child, direction, way, '704', '32,64,64', '8'];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    const { beforeMiB, peakMiB } = JSON.parse(stdout) as { beforeMiB: number; peakMiB: number };
    return peakMiB - beforeMiB;
  };

  // Strips hold two images of the highest resolution; the whole passes hold three (encoder) and more (decoder).
  it.each([
    ['encode', 0.9],
    ['decode', 0.7],
  ] as const)('a large frame takes less of it: %s', { timeout: 600_000 }, async (direction, share) => {
    const whole = await grown(direction, 'whole');
    const strips = await grown(direction, 'tiled');
    expect(strips).toBeLessThan(share * whole);
  });
});
