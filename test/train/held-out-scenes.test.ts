import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openData } from '../../src/train/data.js';
import { makeClip, temporaryFolder } from '../data/helpers.js';
import { tinyConfig } from '../helpers/tiny-run.js';

it('a held-out share has all scenes of a video or none; a name that only looks like a scene stands for itself', async () => {
  const folder = temporaryFolder();
  await makeClip(join(folder, 'a.mp4'), 16);
  const scene = (id: string, s: number) => {
    const segment = { start: s / 2, seconds: 0.5 };
    return { id: `${id}@${s + 1}`, path: 'a.mp4', caption: id, segment, width: 32, height: 32, fps: 8, frames: 4 };
  };
  const scenes = Array.from({ length: 40 }, (_, v) => [0, 1, 2].map(s => scene(`video${v}`, s))).flat();
  const whole = Array.from({ length: 40 }, (_, v) => ({ id: `clip@${v}`, path: 'a.mp4', caption: 'whole' }));
  const source = join(folder, 'list.jsonl');
  writeFileSync(source, [...scenes, ...whole].map(row => `${JSON.stringify(row)}\n`).join(''));
  const config = tinyConfig(folder, 'run', { data: { source, heldOut: { fraction: 0.3 } } });
  const { train, heldOut } = await openData(config, () => {});

  const counts = new Map<string, number>();
  for (const { caption } of heldOut) counts.set(caption, (counts.get(caption) ?? 0) + 1);
  const { whole: wholes = 0, ...videos } = Object.fromEntries(counts);
  expect(new Set(Object.values(videos))).toEqual(new Set([3]));
  expect(Object.keys(videos).length).toBeGreaterThan(3);
  expect(wholes).toBeGreaterThan(3);
  expect(wholes).toBeLessThan(40);
  expect(train.length + heldOut.length).toBe(160);
});
