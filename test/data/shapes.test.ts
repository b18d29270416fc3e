import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decode, probe } from '../../src/data/ffmpeg.js';
import { openManifest } from '../../src/data/manifest.js';
import { writeShapes } from '../../src/data/shapes.js';
import { centreAt } from '../../src/data/shapes-path.js';
import { BACKGROUNDS, describeClip, renderClip, type ShapeClip } from '../../src/data/shapes-render.js';
import { splitCombinations } from '../../src/data/shapes-split.js';
import {
  COLOUR_NAMES,
  COLOURS,
  type Combination,
  captionOf,
  combinations,
  DIRECTION_NAMES,
  DIRECTIONS,
  type Direction,
  type Motion,
  readPrompt,
  SHAPES,
} from '../../src/data/shapes-vocabulary.js';
import { failure, temporaryFolder } from './helpers.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const SIZE = { width: 16, height: 16, frames: 8 };
const ALL = combinations(COLOUR_NAMES, SHAPES);
const QUICKSTART = combinations(COLOUR_NAMES.slice(0, 4), SHAPES.slice(0, 2));
const pairs = ({ colour, shape, direction }: Combination): string[] => [
  `${colour} ${shape}`,
  `${colour} ${direction}`,
  `${shape} ${direction}`,
];

describe('captions', () => {
  it('name what is shown', () => {
    expect(captionOf({ colour: 'red', shape: 'square', direction: 'left' })).toBe('a red square moves to the left');
    expect(captionOf({ colour: 'orange', shape: 'circle', direction: 'up' })).toBe('an orange circle moves up');
  });

  it('can be read back, all of them', () => {
    for (const one of ALL) expect(readPrompt(captionOf(one))).toEqual(one);
    expect(new Set(ALL.map(captionOf)).size).toBe(8 * 4 * 4);
    expect(readPrompt('A RED square, moving Down.')).toEqual({ colour: 'red', shape: 'square', direction: 'down' });
    expect(readPrompt('a red and blue leftover squared')).toEqual({});
  });
});

describe('splitCombinations', () => {
  it.each([8, 16])('holds out %i of 32 and keeps every pair of them in training, evenly', count => {
    for (let seed = 0; seed < 20; seed++) {
      const { train, heldout } = splitCombinations(QUICKSTART, count, seed);
      expect([train.length, heldout.length]).toEqual([32 - count, count]);
      expect(new Set([...train, ...heldout])).toEqual(new Set(QUICKSTART));
      const seen = new Set(train.flatMap(pairs));
      for (const pair of heldout.flatMap(pairs)) expect(seen).toContain(pair);
      for (const direction of DIRECTION_NAMES) {
        expect(heldout.filter(one => one.direction === direction)).toHaveLength(count / 4);
      }
    }
  });

  it('follows the seed', () => {
    const names = (seed: number) => splitCombinations(QUICKSTART, 8, seed).heldout.map(captionOf).join();
    expect(names(3)).toBe(names(3));
    expect(new Set([0, 1, 2, 3, 4].map(names)).size).toBeGreaterThan(1);
  });

  it('refuses to hold out too much, and by itself holds out what it can', () => {
    expect(() => splitCombinations(QUICKSTART, 17, 0)).toThrow(
      /hold-out 17 is too much for 32 combinations.*at most 16/,
    );
    expect(() => splitCombinations(QUICKSTART, -1, 0)).toThrow(/hold-out must be an integer from 0/);
    const squares = combinations(['red', 'blue'], ['square']);
    expect(splitCombinations(squares, undefined, 0).heldout).toEqual([]);
    expect(splitCombinations(QUICKSTART, undefined, 0).heldout).toHaveLength(8);
  });
});

describe('a clip', () => {
  const clips = Array.from({ length: 400 }, (_, i) => describeClip(ALL[i % ALL.length]!, SIZE, 11, i));

  it('moves at least 40 % of the frame in its direction, in view all the time', () => {
    for (const clip of [...clips, describeClip(ALL[0]!, { width: 64, height: 40, frames: 8 }, 3, 1)]) {
      const { x, y } = DIRECTIONS[clip.direction as Direction];
      const [dx, dy] = [(clip.to.x - clip.from.x) / clip.width, (clip.to.y - clip.from.y) / clip.height];
      expect(x === 0 ? Math.abs(dx) : Math.abs(dy)).toBe(0);
      expect(dx * x + dy * y).toBeGreaterThanOrEqual(0.4);
      for (const place of [clip.from, clip.to]) {
        expect(place.x - clip.radius).toBeGreaterThanOrEqual(-1e-9);
        expect(place.y - clip.radius).toBeGreaterThanOrEqual(-1e-9);
        expect(place.x + clip.radius).toBeLessThanOrEqual(clip.width + 1e-9);
        expect(place.y + clip.radius).toBeLessThanOrEqual(clip.height + 1e-9);
      }
    }
  });

  it('comes in many sizes, speeds, places and backgrounds', () => {
    const range = (of: (clip: ShapeClip) => number): number => Math.max(...clips.map(of)) - Math.min(...clips.map(of));
    expect(range(clip => clip.radius)).toBeGreaterThan(1);
    expect(range(clip => clip.travel)).toBeGreaterThan(0.15);
    expect(range(clip => clip.background.tone)).toBeGreaterThan(0.3);
    for (const kind of BACKGROUNDS)
      expect(clips.filter(clip => clip.background.kind === kind).length).toBeGreaterThan(90);
  });

  it('has the size that is asked for, and keeps its path in view', () => {
    const radius = [0.2, 0.27] as const;
    const directions = [...Object.keys(DIRECTIONS), 'loop', 'zigzag'] as Motion[];
    for (let i = 0; i < 120; i++) {
      const combination = { ...ALL[0]!, direction: directions[i % directions.length]! };
      const clip = describeClip(combination, { ...SIZE, radius }, 11, i);
      expect(clip.radius).toBeGreaterThanOrEqual(0.2 * 16);
      expect(clip.radius).toBeLessThanOrEqual(0.27 * 16);
      for (let f = 0; f < 8; f++) {
        const { x, y } = centreAt(clip, f / 7);
        for (const place of [x, y]) {
          expect(place).toBeGreaterThanOrEqual(clip.radius - 1e-9);
          expect(place).toBeLessThanOrEqual(16 - clip.radius + 1e-9);
        }
      }
    }
  });

  it('follows from seed and index', () => {
    expect(renderClip(describeClip(ALL[5]!, SIZE, 11, 5))).toEqual(renderClip(clips[5]!));
    expect(describeClip(ALL[5]!, SIZE, 12, 5)).not.toEqual(clips[5]);
    expect(describeClip(ALL[5]!, SIZE, 11, 6)).not.toEqual(clips[5]);
  });

  it('shows its colour at its centre in every frame, on a background that stands still', () => {
    for (const clip of clips.slice(0, 128)) {
      const video = renderClip(clip);
      for (let f = 0; f < 8; f++) {
        const at = (from: number, to: number): number => Math.floor(from + ((to - from) * f) / 7);
        const pixel = (f * 16 + at(clip.from.y, clip.to.y)) * 16 + at(clip.from.x, clip.to.x);
        COLOURS[clip.colour].forEach((value, c) => {
          expect(Math.abs(video.data[pixel * 3 + c]! - Math.min(255, value * clip.shade))).toBeLessThan(40);
        });
      }
    }
  });

  it('is drawn with soft edges at sub-pixel places', () => {
    const still = { tone: 0, slope: 0, angle: 0, grain: 0, seed: 0, kind: 'flat' as const };
    const clip: ShapeClip = {
      ...{ colour: 'white', shape: 'square', direction: 'right', ...SIZE, frames: 2, radius: 5, shade: 1, travel: 0 },
      ...{ from: { x: 8, y: 8 }, to: { x: 8.25, y: 8 }, background: still },
    };
    const { data } = renderClip(clip); // the square covers 9 pixels: from 3.5 to 12.5
    const row = (f: number): number[] => Array.from({ length: 16 }, (_, x) => data[((f * 16 + 8) * 16 + x) * 3]!);
    expect(row(0).slice(2, 5)).toEqual([0, 121, 242]);
    expect(row(0).slice(11, 14)).toEqual([242, 121, 0]);
    expect(row(1).slice(2, 5)).toEqual([0, Math.round(242 / 4), 242]);
    expect(row(1).slice(11, 14)).toEqual([242, Math.round((242 * 3) / 4), 0]);
  });

  it('of every shape differs from the others', () => {
    const area = SHAPES.map(shape => {
      const { data } = renderClip({
        ...clips[0]!,
        shape,
        colour: 'white',
        width: 64,
        height: 64,
        radius: 12,
        from: { x: 30, y: 30 },
        to: { x: 30, y: 30 },
      });
      return data.filter(value => value > 180).length / data.length;
    });
    expect(new Set(area.map(value => value.toFixed(3))).size).toBe(SHAPES.length);
  });
});

describe('a dataset', () => {
  it('is captioned mp4 clips in train/ and heldout/', async () => {
    const progress: [number, number][] = [];
    const made = await writeShapes(at('set'), {
      clips: 40,
      seed: 5,
      onProgress: (done, total) => progress.push([done, total]),
    });
    expect([made.train.clips, made.heldout.clips, made.reused]).toEqual([32, 8, false]); // 40 = 32 combinations and 8 more
    expect(progress.map(([done]) => done)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    expect(progress.every(([, total]) => total === 40)).toBe(true);
    expect(readdirSync(at('set')).sort()).toEqual(['heldout', 'split.json', 'train']);

    const train = await openManifest(at('set'));
    const heldout = await openManifest(at('set'), { split: 'heldout' });
    expect([train.entries.length, heldout.entries.length]).toEqual([32, 8]);
    expect([train.counts, heldout.counts]).toEqual([{}, {}]);
    const split = JSON.parse(readFileSync(at('set/split.json'), 'utf8'));
    for (const { caption } of train.entries) expect(split.train).toContain(caption);
    for (const { caption } of heldout.entries) {
      expect(split.heldout).toContain(caption);
      expect(split.train).not.toContain(caption);
    }
    const first = train.entries[0]!;
    expect(first.info).toEqual(await probe(first.path));
    expect(first.info).toMatchObject({ width: 16, height: 16, fps: 8, frames: 8, codec: 'h264' });
    expect((await decode(first.path)).frames).toBe(8);
  });

  it('is the same for the same seed, and left as it is when it is there already', async () => {
    const options = {
      clips: 6,
      seed: 9,
      width: 20,
      height: 16,
      frames: 5,
      fps: 4,
      shapes: ['triangle', 'diamond'],
      colours: ['cyan', 'purple'],
    };
    await writeShapes(at('one'), options);
    await writeShapes(at('two'), options);
    const files = readdirSync(at('one'), { recursive: true, withFileTypes: true }).filter(file => file.isFile());
    expect(files).toHaveLength(6 + 3);
    for (const file of files) {
      const path = join(file.parentPath, file.name);
      expect(readFileSync(path).equals(readFileSync(path.replace(at('one'), at('two'))))).toBe(true);
    }
    const before = statSync(at('one/split.json')).mtimeMs;
    expect((await writeShapes(at('one'), options)).reused).toBe(true);
    expect(statSync(at('one/split.json')).mtimeMs).toBe(before);
  });

  it('that was interrupted is written again', async () => {
    await writeShapes(at('cut'), { clips: 3 });
    rmSync(at('cut/split.json'));
    const victim = readdirSync(at('cut/train')).find(name => name.endsWith('.mp4'))!;
    writeFileSync(at(`cut/train/${victim}`), 'half');
    writeFileSync(at(`cut/train/${victim}.partial-17`), 'half');
    expect((await writeShapes(at('cut'), { clips: 3 })).reused).toBe(false);
    expect((await decode(at(`cut/train/${victim}`))).frames).toBe(8);
    expect(readdirSync(at('cut/train')).filter(name => name.includes('partial'))).toEqual([]);
  });

  it('never takes the place of something else unless told to', async () => {
    mkdirSync(at('mine/train'), { recursive: true });
    writeFileSync(at('mine/train/holiday.mp4'), 'precious');
    const error = await failure(() => writeShapes(at('mine'), { clips: 1 }));
    expect([error.code, error.exitCode]).toEqual(['shapes.folder', 2]);
    expect(error.message).toContain('holiday.mp4');
    expect(existsSync(at('mine/train/holiday.mp4'))).toBe(true);

    await writeShapes(at('other'), { clips: 2 });
    expect((await failure(() => writeShapes(at('other'), { clips: 3 }))).message).toMatch(
      /a shapes dataset of another recipe/,
    );
    expect((await writeShapes(at('other'), { clips: 3, force: true })).train.clips).toBe(3);
    expect(readdirSync(at('other/train')).filter(name => name.endsWith('.mp4'))).toHaveLength(3);
  });

  it.each([
    [{ clips: 0 }, /clips must be an integer from 1, got 0/],
    [{ clips: 4, width: 17 }, /width must be an even integer \(H.264 needs it\) from 16, got 17/],
    [{ clips: 4, frames: 2 }, /frames must be an integer from 4, got 2/],
    [{ clips: 4, colours: ['red', 'pink'] }, /unknown colour "pink"; there are red, green/],
    [{ clips: 4, shapes: ['circle', 'circle'] }, /repeated shape "circle"/],
    [{ clips: 4, directions: [] }, /at least one direction is needed, of left/],
    [{ clips: 4, radius: [0.2, 0.1] as const }, /radius must be two shares .* from 0.05 to 0.27, got 0.2,0.1/],
    [{ clips: 4, radius: [0.2, 0.3] as const }, /radius must be .*, got 0.2,0.3/],
  ])('%o is refused', async (options, message) => {
    expect((await failure(() => writeShapes(at('none'), options))).message).toMatch(message);
    expect(existsSync(at('none'))).toBe(false);
  });
});

describe('a motion along a curve', () => {
  const size = { width: 16, height: 24, frames: 8 };
  const path = (direction: Motion, index: number) => {
    const clip = describeClip({ colour: 'red', shape: 'square', direction }, size, 5, index);
    return { clip, places: Array.from({ length: 8 }, (_, f) => centreAt(clip, f / 7)) };
  };

  it.each(['loop', 'zigzag'] as const)('%s stays in view, at every place and size', motion => {
    for (let index = 0; index < 200; index++) {
      const { clip, places } = path(motion, index);
      for (const { x, y } of places) {
        expect(x).toBeGreaterThanOrEqual(clip.radius - 1e-9);
        expect(x).toBeLessThanOrEqual(16 - clip.radius + 1e-9);
        expect(y).toBeGreaterThanOrEqual(clip.radius - 1e-9);
        expect(y).toBeLessThanOrEqual(24 - clip.radius + 1e-9);
      }
    }
  });

  it('a loop goes round once, clockwise, from its top', () => {
    const { clip, places } = path('loop', 1);
    const centre = { x: clip.from.x, y: clip.from.y + (clip.travel * 16) / 2 };
    for (const { x, y } of places)
      expect(Math.hypot(x - centre.x, y - centre.y)).toBeCloseTo((clip.travel * 16) / 2, 9);
    expect(places[0]).toEqual(clip.from);
    expect(places[7]!.x).toBeCloseTo(clip.from.x, 9);
    expect(places[2]!.x).toBeGreaterThan(centre.x); // y points down: right after the top is clockwise
    expect(places[5]!.x).toBeLessThan(centre.x);
  });

  it('a zigzag runs to the right at an even speed, up and down between', () => {
    const { places } = path('zigzag', 2);
    const steps = places.slice(1).map(({ x }, i) => x - places[i]!.x);
    for (const step of steps) expect(step).toBeCloseTo(steps[0]!, 9);
    const heights = places.map(({ y }) => Math.round(100 * (places[0]!.y - y)));
    const top = heights[1]!;
    expect(top).toBeGreaterThan(0);
    expect(heights.map(y => Math.round(y / top) + 0)).toEqual([0, 1, 0, -1, 0, 1, 0, -1]);
  });

  it('is captioned, read back, and made only on request', async () => {
    const loops = combinations(['red', 'blue'], ['circle'], ['loop', 'zigzag']);
    expect(loops.map(captionOf)).toContain('a blue circle moves in a zigzag');
    for (const one of loops) expect(readPrompt(captionOf(one))).toEqual(one);
    const made = await writeShapes(at('loops'), { clips: 4, holdOut: 0, directions: ['loop'], colours: ['red'] });
    expect(made.recipe.directions).toEqual(['loop']);
    await expect(writeShapes(at('spirals'), { clips: 4, directions: ['spiral'] })).rejects.toThrow(
      /unknown direction "spiral"; there are left, right, up, down, loop, zigzag/,
    );
  });
});
