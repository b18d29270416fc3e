import { InputError } from '../errors.js';

/** Colours as sRGB. Plain names, far apart in hue, so that a 16x16 clip leaves no doubt. */
export const COLOURS = {
  red: [222, 44, 44],
  green: [48, 190, 70],
  blue: [52, 88, 230],
  yellow: [236, 212, 44],
  purple: [160, 60, 214],
  cyan: [60, 206, 214],
  orange: [242, 138, 32],
  white: [242, 242, 242],
} as const satisfies Record<string, readonly [number, number, number]>;
export type Colour = keyof typeof COLOURS;

export const SHAPES = ['square', 'circle', 'triangle', 'diamond'] as const;
export type Shape = (typeof SHAPES)[number];

/** Unit vector in the picture (y goes down) and the words of the caption. */
export const DIRECTIONS = {
  left: { x: -1, y: 0, words: 'to the left' },
  right: { x: 1, y: 0, words: 'to the right' },
  up: { x: 0, y: -1, words: 'up' },
  down: { x: 0, y: 1, words: 'down' },
} as const;
export type Direction = keyof typeof DIRECTIONS;

/** Movements that are no straight line (`shapes-path.ts`); datasets hold them only where they are asked for. */
export const CURVES = {
  loop: { words: 'in a loop' },
  zigzag: { words: 'in a zigzag' },
} as const;
export type Curve = keyof typeof CURVES;
export type Motion = Direction | Curve;

/** What a clip shows and its caption says. */
export interface Combination {
  colour: Colour;
  shape: Shape;
  direction: Motion;
}

export const COLOUR_NAMES = Object.keys(COLOURS) as Colour[];
export const DIRECTION_NAMES = Object.keys(DIRECTIONS) as Direction[];
export const CURVE_NAMES = Object.keys(CURVES) as Curve[];
export const MOTION_NAMES: readonly Motion[] = [...DIRECTION_NAMES, ...CURVE_NAMES];

export const isCurve = (motion: Motion): motion is Curve => motion in CURVES;

/** e.g. "a red square moves to the left", "an orange circle moves up", "a blue square moves in a loop". */
export function captionOf({ colour, shape, direction }: Combination): string {
  const article = /^[aeiou]/.test(colour) ? 'an' : 'a';
  return `${article} ${colour} ${shape} moves ${{ ...DIRECTIONS, ...CURVES }[direction].words}`;
}

/** Colour, shape and direction named in a prompt; each undefined where the prompt names none, or more than one. */
export function readPrompt(prompt: string): Partial<Combination> {
  const words: readonly string[] = prompt.toLowerCase().match(/[a-z]+/g) ?? [];
  const only = <T extends string>(names: readonly T[]): T | undefined => {
    const found = names.filter(name => words.includes(name));
    return found.length === 1 ? found[0] : undefined;
  };
  return { colour: only(COLOUR_NAMES), shape: only(SHAPES), direction: only(MOTION_NAMES) };
}

/** All combinations, colours first. */
export function combinations(
  colours: readonly Colour[],
  shapes: readonly Shape[],
  directions: readonly Motion[] = DIRECTION_NAMES,
): Combination[] {
  return colours.flatMap(colour =>
    shapes.flatMap(shape => directions.map(direction => ({ colour, shape, direction }))),
  );
}

/**
 * Names checked against what there is.
 * @throws InputError `shapes.name` for an unknown or repeated name, or for none at all
 */
export function checkNames<T extends string>(kind: string, names: readonly string[], known: readonly T[]): T[] {
  for (const [i, name] of names.entries()) {
    const problem = !known.includes(name as T) ? 'unknown' : names.indexOf(name) < i ? 'repeated' : undefined;
    if (problem) {
      throw new InputError(`${problem} ${kind} "${name}"; there are ${known.join(', ')}`, {
        code: 'shapes.name',
        kind,
        name,
      });
    }
  }
  if (names.length === 0) {
    throw new InputError(`at least one ${kind} is needed, of ${known.join(', ')}`, { code: 'shapes.name', kind });
  }
  return names as T[];
}
