import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig, parseConfig } from '../../src/config/index.js';
import { imageShapes, largestShape, videoShapes } from '../../src/config/shapes.js';
import { folderWith, inputError } from './helpers.js';

const HEAD = 'output: o\nmodel: {pretrained: p}\n';
const BUCKETS = [
  { width: 64, height: 40, frames: 8 },
  { width: 40, height: 64, frames: 5, batchSize: 3 },
  { width: 64, height: 40, frames: 16, batchSize: 1 },
];
const config = (data: object) =>
  parseConfig({
    ...{ stage: 'base', output: 'o', model: { pretrained: 'p' }, train: { batchSize: 2 } },
    data: { source: 's', ...data },
  } as never).config;

describe('the shapes of a config', () => {
  it('are that of data, or its buckets', () => {
    expect(videoShapes(config({}))).toEqual([{ path: ['data'], batchSize: 2, frames: 8, height: 40, width: 64 }]);
    expect(videoShapes(config({ buckets: BUCKETS })).map(({ path, batchSize }) => [path.join('.'), batchSize])).toEqual(
      [
        ['data.buckets.0', 2],
        ['data.buckets.1', 3],
        ['data.buckets.2', 1],
      ],
    );
  });

  it('of pictures are the sizes of the videos', () => {
    expect(imageShapes(config({}))).toEqual([]);
    const images = { source: 'i', batchSize: 7 };
    expect(
      imageShapes(config({ buckets: BUCKETS, images })).map(shape => [shape.width, shape.frames, shape.batchSize]),
    ).toEqual([
      [64, 1, 7],
      [40, 1, 7],
    ]);
    expect(imageShapes(config({ images: { source: 'i' } }))).toMatchObject([{ frames: 1, batchSize: 2, width: 64 }]);
  });

  it('need memory for the largest', () => {
    expect(largestShape(config({ buckets: BUCKETS }))).toMatchObject({ path: ['data', 'buckets', '0'] });
    expect(largestShape(config({ images: { source: 'i', batchSize: 20 } }))).toMatchObject({
      frames: 1,
      batchSize: 20,
    });
  });
});

describe('what does not fit together is named with its bucket and line', () => {
  const problem = (text: string): string => {
    const folder = folderWith({ 'a.yaml': `${HEAD}${text}` });
    return inputError(() => loadConfig(path.join(folder, 'a.yaml'), {})).message;
  };
  const buckets = (list: string, width = 64, height = 40, frames = 8) =>
    `data:\n  source: s\n  width: ${width}\n  height: ${height}\n  frames: ${frames}\n  buckets:\n${list}\n`;
  const item = (width: number, height: number, frames: number) =>
    `    - width: ${width}\n      height: ${height}\n      frames: ${frames}`;

  it.each([
    [
      'too few frames for interp',
      `stage: interp\n${buckets(`${item(64, 40, 5)}\n${item(40, 64, 2)}`, 64, 40, 5)}`,
      /a\.yaml:15:15: data\.buckets\.1\.frames is 2; stage interp fills the frames between .* 3 or more \(Show-1: 5\)/,
    ],
    [
      'too few frames for sr1',
      `stage: sr1\n${buckets(`${item(64, 40, 8)}\n${item(64, 40, 1)}`)}`,
      /data\.buckets\.1\.frames is 1; stage sr1 continues .* 2 or more/,
    ],
    [
      'a side that does not shrink evenly',
      `stage: sr1\n${buckets(`${item(64, 40, 8)}\n${item(42, 64, 8)}`)}`,
      /data\.buckets\.1\.width is 42; allowed: a multiple of conditioning\.scale, 4, for stage sr1/,
    ],
    [
      'a crop larger than the smallest bucket',
      `stage: sr1\nconditioning: {crop: 40}\n${buckets(`${item(64, 40, 8)}\n${item(64, 32, 8)}`)}`,
      /conditioning\.crop is 40; allowed: 0, or a multiple of conditioning\.scale, 4, up to 32/,
    ],
    [
      'a validation shape that is no bucket',
      `stage: base\n${buckets(item(64, 40, 16))}`,
      /data\.width x data\.height x data\.frames is 64x40x8, which is what validation samples; allowed: one of data\.buckets, 64x40x16/,
    ],
    [
      'one bucket twice',
      `stage: base\n${buckets(`${item(64, 40, 8)}\n${item(64, 40, 8)}`)}`,
      /data\.buckets\.1 is 64x40x8, as data\.buckets\.0 is/,
    ],
    [
      'an unknown key',
      `stage: base\n${buckets(`${item(64, 40, 8)}\n      frame: 3`)}`,
      /data\.buckets\.0\.frame.*frames/s,
    ],
    ['no bucket', 'stage: base\ndata: {source: s, buckets: []}\n', /data\.buckets/],
    [
      'pictures for interp',
      'stage: interp\ndata: {source: s, images: {source: i}}\n',
      /data\.images is given, but stage interp fills frames between two others/,
    ],
    [
      'pictures for sr1',
      'stage: sr1\ndata: {source: s, images: {source: i}}\n',
      /data\.images is given, but stage sr1 continues from a first frame/,
    ],
    ['a share of all', 'stage: base\ndata: {source: s, images: {source: i, share: 1}}\n', /data\.images\.share is 1/],
    [
      'cached latents of other shapes',
      `stage: sr2\n${buckets(item(64, 40, 8))}  cached: {latents: l}\n`,
      /data\.cached\.latents holds clips of one shape, but data\.buckets is given/,
    ],
  ])('%s', (_, text, message) => {
    expect(problem(text)).toMatch(message);
  });
});
