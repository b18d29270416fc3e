/**
 * Turns the hues of some clips, and the colour that their captions name with them: a red square in a loop is then also a blue square
 * in a loop. What a clip teaches is its motion in the colour that is asked for; with one colour alone, the motion would bring its
 * colour along.
 */
import { PURPOSE, randomStream } from '../data/random.js';

/** Colours a sixth of a turn apart. */
const CIRCLE = ['red', 'yellow', 'green', 'cyan', 'blue', 'purple'] as const;
const TURNS = CIRCLE.length;
const SYNONYMS: Record<string, (typeof CIRCLE)[number]> = { magenta: 'purple', violet: 'purple' };
/** Colours between those: a caption that names one has no words for its turned hues. */
const BETWEEN = [
  'orange',
  'pink',
  'brown',
  'gold',
  'golden',
  'turquoise',
  'teal',
  'beige',
  'crimson',
  'maroon',
  'navy',
];

const NAMED = new RegExp(`\\b(${[...CIRCLE, ...Object.keys(SYNONYMS)].join('|')})\\b`, 'gi');
const UNNAMEABLE = new RegExp(`\\b(${BETWEEN.join('|')})\\b`, 'i');

/** The caption of a clip whose hues went `turns` sixths round; undefined where it names no colour of the circle, or another one. */
export function turnCaption(caption: string, turns: number): string | undefined {
  if (UNNAMEABLE.test(caption) || caption.search(NAMED) < 0) return undefined;
  return caption.replace(NAMED, word => {
    const name = word.toLowerCase();
    const at = CIRCLE.indexOf(SYNONYMS[name] ?? (name as (typeof CIRCLE)[number]));
    const turned = turns % TURNS === 0 ? name : CIRCLE[(at + turns) % TURNS]!;
    return word[0] === name[0] ? turned : turned[0]!.toUpperCase() + turned.slice(1);
  });
}

/** Every caption that training may ask for: those given, and their turns. */
export function turnedCaptions(captions: readonly string[]): string[] {
  const all = captions.flatMap(caption => Array.from({ length: TURNS }, (_, turns) => turnCaption(caption, turns)));
  return [...new Set([...captions, ...all.filter(caption => caption !== undefined)])];
}

/**
 * Changes `videos` in place; a pure function of (seed, microStep). Pictures, and clips whose caption names no colour, stay.
 * @param videos [B, F, H, W, 3] of any range that is the same for all channels
 * @param share of the clips that get one of the six turns by lot
 * @returns the captions, changed with the clips
 */
export function turnHues(
  videos: Float32Array,
  [B, F]: readonly number[],
  captions: readonly string[],
  { share, seed, microStep }: { share: number; seed: number; microStep: number },
): string[] {
  if (share === 0 || F === 1) return [...captions];
  const random = randomStream(seed, PURPOSE.colours, microStep);
  const size = videos.length / B!;
  return captions.map((caption, b) => {
    const [drawn, turns] = [random.uniform(), random.int(TURNS)];
    const turned = drawn < share ? turnCaption(caption, turns) : undefined;
    if (turned !== undefined && turns > 0) turnPixels(videos.subarray(b * size, (b + 1) * size), turns);
    return turned ?? caption;
  });
}

/** HSV's hue, `turns` sixths on; value and saturation stay, so greys do not change. */
function turnPixels(pixels: Float32Array, turns: number): void {
  for (let i = 0; i < pixels.length; i += 3) {
    const [r, g, b] = [pixels[i]!, pixels[i + 1]!, pixels[i + 2]!];
    const most = Math.max(r, g, b);
    const chroma = most - Math.min(r, g, b);
    if (chroma === 0) continue;
    const sector = most === r ? (g - b) / chroma : most === g ? 2 + (b - r) / chroma : 4 + (r - g) / chroma;
    const hue = sector + turns + TURNS;
    const channel = (offset: number) => {
      const k = (offset + hue) % TURNS;
      return most - chroma * Math.max(0, Math.min(k, 4 - k, 1));
    };
    pixels[i] = channel(5);
    pixels[i + 1] = channel(3);
    pixels[i + 2] = channel(1);
  }
}
