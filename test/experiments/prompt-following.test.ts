import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkSamples, formatReport } from '../../experiments/prompt-following/check.js';
import { checkVideo, measureVideo } from '../../experiments/prompt-following/check-video.js';
import { decode, encode } from '../../src/data/ffmpeg.js';
import type { Frames } from '../../src/data/frames.js';
import { PURPOSE, permutation, randomStream } from '../../src/data/random.js';
import { type ClipSize, describeClip, renderClip } from '../../src/data/shapes-render.js';
import {
  COLOUR_NAMES,
  type Combination,
  captionOf,
  combinations,
  type Direction,
  SHAPES,
} from '../../src/data/shapes-vocabulary.js';
import { failure, temporaryFolder } from '../data/helpers.js';

const folder = temporaryFolder();
const SIZE: ClipSize = { width: 16, height: 16, frames: 8 };
const EVERY = combinations(COLOUR_NAMES, SHAPES);
const BASIC = combinations(COLOUR_NAMES.slice(0, 4), SHAPES.slice(0, 2));
const right = (video: Frames, caption: string): boolean => {
  const check = checkVideo(video, caption);
  return check.colourRight && check.directionRight;
};
const rendered = (combination: Combination, index: number, size = SIZE): Frames =>
  renderClip(describeClip(combination, size, 21, index));
/** Share of clips that are found right after a change to their pixels. */
function accuracy(clips: number, change: (video: Frames, index: number) => Frames): number {
  let found = 0;
  for (let i = 0; i < clips; i++) {
    const combination = BASIC[i % BASIC.length]!;
    if (right(change(rendered(combination, i), i), captionOf(combination))) found++;
  }
  return found / clips;
}

describe('real clips', () => {
  it.each([SIZE, { width: 32, height: 20, frames: 5 }, { width: 40, height: 40, frames: 8 }])(
    'are all found right: every colour, shape, direction, background, size and speed, at %o',
    size => {
      const wrong: string[] = [];
      for (let i = 0; i < 4 * EVERY.length; i++) {
        const combination = EVERY[i % EVERY.length]!;
        if (!right(rendered(combination, i, size), captionOf(combination))) wrong.push(captionOf(combination));
      }
      expect(wrong).toEqual([]);
    },
  );

  it('are found right after mp4, enlarged or not', async () => {
    for (let i = 0; i < 32; i++) {
      const combination = EVERY[(i * 5) % EVERY.length]!;
      const path = join(folder, 'clip.mp4');
      await encode(path, rendered(combination, i), { fps: 8, scale: i % 2 === 0 ? 1 : 8 });
      expect(checkVideo(await decode(path), captionOf(combination))).toMatchObject({
        colourRight: true,
        directionRight: true,
      });
    }
  });

  it('are found right through noise and blur', () => {
    const noisy = (sigma: number) => (video: Frames, index: number) => {
      const random = randomStream(index, PURPOSE.noise);
      return { ...video, data: video.data.map(value => Math.min(255, Math.max(0, value + sigma * random.normal()))) };
    };
    expect(accuracy(160, noisy(10))).toBe(1);
    expect(accuracy(160, noisy(25))).toBeGreaterThan(0.97);
    expect(accuracy(160, blur)).toBe(1);
  });
});

describe('chance', () => {
  it('is all that shuffled captions reach', () => {
    const n = 800;
    const order = permutation(n, 3, PURPOSE.split);
    let [colour, direction, both] = [0, 0, 0];
    for (let i = 0; i < n; i++) {
      const check = checkVideo(rendered(BASIC[i % 32]!, i), captionOf(BASIC[order[i]! % 32]!));
      if (check.colourRight) colour++;
      if (check.directionRight) direction++;
      if (check.colourRight && check.directionRight) both++;
    }
    expect(Math.abs(colour / n - 1 / 4)).toBeLessThan(0.05);
    expect(Math.abs(direction / n - 1 / 4)).toBeLessThan(0.05);
    expect(Math.abs(both / n - 1 / 16)).toBeLessThan(0.03);
  });
});

describe('videos that do not follow', () => {
  it('a still object has no direction', () => {
    for (let i = 0; i < 64; i++) {
      const video = rendered(BASIC[i % 32]!, i);
      const size = 16 * 16 * 3;
      const still = { ...video, data: Uint8Array.from(video.data, (_, at) => video.data[at % size]!) };
      expect(checkVideo(still, captionOf(BASIC[i % 32]!))).toMatchObject({ colourRight: true, directionRight: false });
      expect(measureVideo(still).direction).toBeUndefined();
    }
  });

  it('an object that hardly moves has none either', () => {
    const clip = describeClip(BASIC[0]!, SIZE, 1, 1);
    const little = { ...clip, to: { x: clip.from.x - 0.1 * 16, y: clip.from.y } };
    expect(measureVideo(renderClip(little)).direction).toBeUndefined();
  });

  it('a blank or noisy screen has neither colour nor direction', () => {
    for (const level of [0, 100, 255]) {
      const blank = { data: new Uint8Array(8 * 16 * 16 * 3).fill(level), frames: 8, height: 16, width: 16 };
      expect(checkVideo(blank, 'a red square moves up')).toMatchObject({
        colourRight: false,
        directionRight: false,
        area: 0,
      });
    }
    let found = 0;
    for (let i = 0; i < 200; i++) {
      const random = randomStream(i, PURPOSE.noise);
      const data = Uint8Array.from({ length: 8 * 16 * 16 * 3 }, () => random.int(256));
      if (right({ data, frames: 8, height: 16, width: 16 }, captionOf(BASIC[i % 32]!))) found++;
    }
    expect(found).toBeLessThanOrEqual(2);
  });

  it('another colour or another direction is wrong', () => {
    for (const [i, shown] of EVERY.entries()) {
      const video = rendered(shown, i);
      for (const asked of EVERY.filter(one => one.shape === shown.shape)) {
        expect(checkVideo(video, captionOf(asked))).toMatchObject({
          colourRight: asked.colour === shown.colour,
          directionRight: asked.direction === shown.direction,
        });
      }
    }
  });

  it('a clip played backwards goes the other way', () => {
    const opposite = { left: 'right', right: 'left', up: 'down', down: 'up' } as const;
    for (const [i, shown] of BASIC.entries()) {
      const video = rendered(shown, i);
      const size = 16 * 16 * 3;
      const data = new Uint8Array(video.data.length);
      for (let f = 0; f < 8; f++) data.set(video.data.subarray(f * size, (f + 1) * size), (7 - f) * size);
      expect(measureVideo({ ...video, data }).direction).toBe(opposite[shown.direction as Direction]);
    }
  });

  it('two objects of different colours have no dominant one', () => {
    const base = {
      ...describeClip({ ...BASIC[0]!, colour: 'red', shape: 'square' }, SIZE, 2, 0),
      radius: 2.5,
      travel: 0.3,
    };
    const place = (x: number) => ({ from: { x, y: 4 }, to: { x, y: 12 } });
    const one = renderClip({ ...base, ...place(3) });
    for (const [colour, x] of [
      ['green', 8],
      ['blue', 13],
    ] as const) {
      const other = renderClip({ ...base, colour, ...place(x) });
      for (let i = 0; i < one.data.length; i += 3) {
        if (Math.floor(i / 3) % 16 > x - 3) one.data.set(other.data.subarray(i, i + 3), i);
      }
    }
    expect(measureVideo(one).colour).toBeUndefined();
  });

  it('a prompt must name a colour and a direction', () => {
    expect(() => checkVideo(rendered(BASIC[0]!, 0), 'a rabbit in a meadow')).toThrow(
      /must name one colour and one direction/,
    );
  });
});

describe('a folder of samples', () => {
  it('is scored as a whole and by group', async () => {
    const sample = async (name: string, shown: Combination, asked: Combination, heldOut: boolean) => {
      await encode(join(folder, name), rendered(shown, 1), { fps: 8, scale: 8 });
      return { prompt: captionOf(asked), path: name, heldOut };
    };
    const red = { colour: 'red', shape: 'square', direction: 'left' } as const;
    const turned = { ...red, direction: 'up' } as const;
    const blue = { ...red, colour: 'blue' } as const;
    const samples = [
      await sample('0.mp4', red, red, false),
      await sample('1.mp4', turned, red, false),
      await sample('2.mp4', blue, blue, true),
      await sample('3.gif', red, blue, true),
    ];
    writeFileSync(join(folder, 'samples.json'), JSON.stringify(samples));
    const result = await checkSamples(folder);
    expect(result).toMatchObject({
      ...{ n: 4, colour: 0.75, direction: 0.75, both: 0.5 },
      byGroup: {
        trained: { n: 2, colour: 1, direction: 0.5, both: 0.5 },
        heldOut: { n: 2, colour: 0.5, direction: 1, both: 0.5 },
      },
    });
    expect(formatReport(result)).toMatch(/held out {2}n {3}2 {2}colour 50% {2}direction 100% {2}both 50%/);
  });

  it('needs its list', async () => {
    expect((await failure(() => checkSamples(join(folder, 'none')))).message).toMatch(
      /samples.json cannot be read.*expected \[/,
    );
    writeFileSync(join(folder, 'samples.json'), '[{"prompt": "a red square moves up"}]');
    expect((await failure(() => checkSamples(folder))).code).toBe('samples.form');
  });
});

/** Mean over 3x3 pixels. */
function blur(video: Frames): Frames {
  const { height, width } = video;
  const data = new Uint8Array(video.data.length);
  const clamp = (value: number, most: number): number => Math.min(most, Math.max(0, value));
  for (let i = 0; i < data.length; i++) {
    const c = i % 3;
    const x = Math.floor(i / 3) % width;
    const y = Math.floor(i / 3 / width) % height;
    const f = Math.floor(i / 3 / width / height);
    let sum = 0;
    for (let n = 0; n < 9; n++) {
      const [row, column] = [clamp(y + Math.floor(n / 3) - 1, height - 1), clamp(x + (n % 3) - 1, width - 1)];
      sum += video.data[((f * height + row) * width + column) * 3 + c]!;
    }
    data[i] = sum / 9;
  }
  return { ...video, data };
}
