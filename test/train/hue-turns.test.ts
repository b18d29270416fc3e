import { describe, expect, it } from 'vitest';
import { COLOURS, type Colour } from '../../src/data/shapes-vocabulary.js';
import { turnCaption, turnedCaptions, turnHues } from '../../src/train/hue-turns.js';

const CIRCLE = ['red', 'yellow', 'green', 'cyan', 'blue', 'purple'];
const GREY = [0.3, 0.3, 0.3];
/** Clips of two frames of two pixels: the shapes dataset's red, in [-1, 1], and a grey. */
const RED = COLOURS.red.map(value => value / 127.5 - 1);
const SHAPE = [4, 2, 1, 2, 3];
const videos = () => Float32Array.from(Array.from({ length: 8 }, () => [...RED, ...GREY]).flat());
const CAPTIONS = Array<string>(4).fill('a red square moves in a loop');

function turned(share: number, microStep: number, captions = CAPTIONS, shape = SHAPE) {
  const data = videos();
  const said = turnHues(data, shape, captions, { share, seed: 3, microStep });
  return { data, said };
}

/** The shapes' colour that is nearest in hue to a pixel in [-1, 1]. */
function nameOf(pixel: number[]): string {
  const direction = (rgb: readonly number[]) => {
    const mean = (rgb[0]! + rgb[1]! + rgb[2]!) / 3;
    const away = rgb.map(value => value - mean);
    const length = Math.hypot(...away) || 1;
    return away.map(value => value / length);
  };
  const at = direction(pixel);
  const like = (name: string) => direction(COLOURS[name as Colour]).reduce((sum, value, c) => sum + value * at[c]!, 0);
  return CIRCLE.reduce((best, name) => (like(name) > like(best) ? name : best));
}

describe('turnHues', () => {
  it('gives a clip one colour in all its frames, names it in the caption, and leaves greys', () => {
    const seen = new Set<string>();
    for (let step = 0; step < 40; step++) {
      const { data, said } = turned(1, step);
      for (const [b, caption] of said.entries()) {
        const pixels = [0, 1, 2, 3].map(p => [...data.slice((b * 4 + p) * 3, (b * 4 + p) * 3 + 3)]);
        expect(pixels[2]).toEqual(pixels[0]);
        for (const grey of [pixels[1]!, pixels[3]!]) expect(grey).toEqual([...Float32Array.from(GREY)]);
        expect(Math.max(...pixels[0]!)).toBeCloseTo(Math.max(...RED), 6);
        expect(Math.min(...pixels[0]!)).toBeCloseTo(Math.min(...RED), 6);
        expect(caption).toBe(`a ${nameOf(pixels[0]!)} square moves in a loop`);
        seen.add(nameOf(pixels[0]!));
      }
    }
    expect([...seen].sort()).toEqual([...CIRCLE].sort());
  });

  it('is a function of seed and step, leaves the others of a share alone, and pictures', () => {
    expect(turned(1, 7)).toEqual(turned(1, 7));
    expect(turned(1, 7)).not.toEqual(turned(1, 8));
    expect(turned(0, 7)).toEqual({ data: videos(), said: CAPTIONS });
    const pictures = turned(1, 7, [...CAPTIONS, ...CAPTIONS], [8, 1, 1, 2, 3]);
    expect(pictures.data).toEqual(videos());
    const changed = Array.from({ length: 60 }, (_, step) => turned(0.5, step).said).flat();
    const share = changed.filter(caption => caption !== CAPTIONS[0]).length / changed.length; // one turn of six is no change
    expect(Math.abs(share - 0.5 * (5 / 6))).toBeLessThan(0.1);
  });

  it('leaves clips whose caption cannot follow', () => {
    const captions = ['a panda dances', 'an orange and a red ball', 'a white dog', 'red'];
    for (let step = 0; step < 12; step++) {
      const { data, said } = turned(1, step, captions);
      expect(said.slice(0, 3)).toEqual(captions.slice(0, 3));
      expect(data.slice(0, 36)).toEqual(videos().slice(0, 36));
    }
  });
});

describe('turnCaption', () => {
  it.each([
    ['A red car and a Blue one', 2, 'A green car and a Red one'],
    ['a magenta kite over reddish hills', 1, 'a red kite over reddish hills'],
    ['a magenta kite', 0, 'a magenta kite'],
    ['Yellow, yellow', 5, 'Red, red'],
  ])('%s, %i sixths on', (caption, turns, expected) => {
    expect(turnCaption(caption, turns)).toBe(expected);
  });

  it('lists every caption that training may ask for', () => {
    expect(turnedCaptions(['a red ball', 'a dog'])).toEqual([
      'a red ball',
      'a dog',
      ...['yellow', 'green', 'cyan', 'blue', 'purple'].map(colour => `a ${colour} ball`),
    ]);
  });
});
