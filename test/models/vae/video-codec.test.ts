import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tf } from '../../../src/engine/index.js';
import { InputError } from '../../../src/errors.js';
import { type AutoencoderKL, sampleLatents, VideoCodec } from '../../../src/models/vae/index.js';
import { ATTENTION, noise, randomVae, worst } from './configs.js';

let vae: AutoencoderKL;
beforeAll(() => {
  vae = randomVae(ATTENTION); // factor 4, 4 latent channels, scaling factor 0.3
});
afterAll(() => void vae.dispose());

const VIDEO = [2, 3, 12, 16, 3];
const LATENTS = [2, 3, 3, 4, 4];

/** All frames at once, without the codec. */
const expectedLatents = () =>
  tf.tidy(() => {
    const [video, e] = [noise(VIDEO), noise(LATENTS)];
    const latents = vae.encode(video.reshape([6, 12, 16, 3]));
    return sampleLatents(latents, e.reshape([6, 3, 4, 4]))
      .mul(0.3)
      .reshape(LATENTS);
  });

describe('VideoCodec', () => {
  it.each([
    { slice: 1 },
    { slice: 4 },
    { slice: 100 },
    { slice: 2, compile: false },
    { slice: 2, tile: { above: 12, rows: 2 } },
  ])('in slices as all at once: %o', async options => {
    const codec = new VideoCodec({ vae, ...options });
    const [video, e, expected] = [noise(VIDEO), noise(LATENTS), expectedLatents()];
    const expectedVideo = tf.tidy(() => vae.decode(expected.div(0.3).reshape([6, 3, 4, 4])).reshape(VIDEO));
    const held = tf.memory().numTensors;
    for (let round = 0; round < 2; round++) {
      const seen: number[][] = [];
      const onFrame = (done: number, total: number) => seen.push([done, total]);
      const latents = await codec.encode(video, e, { onFrame });
      expect(latents.shape).toEqual(LATENTS);
      expect(worst(latents, expected)).toBeLessThan(2e-5);
      expect(seen.at(-1)).toEqual([6, 6]);
      expect(seen.length).toBe(Math.ceil(6 / options.slice));
      const decoded = await codec.decode(latents, { onFrame });
      expect(decoded.shape).toEqual(VIDEO);
      expect(worst(decoded, expectedVideo)).toBeLessThan(1e-4);
      tf.dispose([latents, decoded]);
      expect(tf.memory().numTensors).toBe(held);
    }
    tf.dispose([video, e, expected, expectedVideo]);
    codec.dispose();
  });

  it('comes near in bfloat16, whole and tiled', async () => {
    const [video, e, expected] = [noise(VIDEO), noise(LATENTS), expectedLatents()];
    for (const tile of [false, { above: 1, rows: 5 }] as const) {
      const codec = new VideoCodec({ vae, precision: 'bf16', tile });
      const latents = await codec.encode(video, e);
      const error = worst(latents, expected);
      expect(error).toBeGreaterThan(1e-5);
      expect(error).toBeLessThan(0.15);
      latents.dispose();
      codec.dispose();
    }
    tf.dispose([video, e, expected]);
  });

  it('tiles only frames above the size, and never when told so', async () => {
    const video = noise([1, 1, 8, 20, 3]);
    const e = noise([1, 1, 2, 5, 4]);
    const calls: (number | undefined)[] = [];
    const encode = vae.encode.bind(vae);
    vae.encode = (x, options) => {
      calls.push(options?.stripRows);
      return encode(x, options);
    };
    try {
      for (const tile of [{ above: 19, rows: 3 }, { above: 20, rows: 3 }, {}, undefined, false] as const) {
        const codec = new VideoCodec({ vae, tile, compile: false });
        (await codec.encode(video, e)).dispose();
        codec.dispose();
      }
    } finally {
      vae.encode = encode;
    }
    expect(calls).toEqual([3, undefined, undefined, undefined, undefined]);
    tf.dispose([video, e]);
  });

  it('stops when onFrame throws, and frees what it had', async () => {
    const codec = new VideoCodec({ vae });
    const [video, e] = [noise(VIDEO), noise(LATENTS)];
    const before = tf.memory().numTensors;
    const onFrame = (done: number) => {
      if (done === 2) throw new Error('enough');
    };
    await expect(codec.encode(video, e, { onFrame })).rejects.toThrow('enough');
    expect(tf.memory().numTensors).toBe(before);
    codec.dispose();
    tf.dispose([video, e]);
  });

  it('refuses sizes and shapes that do not fit', async () => {
    const codec = new VideoCodec({ vae });
    const fails = async (work: Promise<unknown>, message: RegExp) => {
      const error = await work.then(
        () => null,
        (e: unknown) => e,
      );
      expect(error).toBeInstanceOf(InputError);
      expect(String(error)).toMatch(message);
    };
    const inputs = [noise([1, 2, 10, 16, 3]), noise([1, 2, 8, 8, 3]), noise([1, 2, 2, 3, 4]), noise([2, 2, 2, 4])];
    const [odd, square, wide, flat] = inputs as [
      (typeof inputs)[0],
      (typeof inputs)[0],
      (typeof inputs)[0],
      (typeof inputs)[0],
    ];
    await fails(codec.encode(odd, wide), /frames of 16x10 pixels: width and height must be multiples of 4/);
    await fails(codec.encode(square, wide), /the noise is \[1,2,2,3,4\]; a video \[1,2,8,8,3\] needs \[1,2,2,2,4\]/);
    await fails(codec.encode(flat, wide), /video is \[2,2,2,4\]; it must be \[B, F, H, W, 3\]/);
    await fails(codec.decode(square), /latents is \[1,2,8,8,3\]; it must be \[B, F, H, W, 4\]/);
    expect(() => new VideoCodec({ vae, slice: 0 })).toThrow(/slice is 0; a whole number from 1/);
    expect(() => new VideoCodec({ vae, tile: { rows: 1.5 } })).toThrow(/rows is 1.5/);
    tf.dispose(inputs);
    codec.dispose();
  });
});
