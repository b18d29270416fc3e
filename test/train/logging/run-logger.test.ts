import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { RunLogger, readStats, STATS_FILE } from '../../../src/train/logging/index.js';
import { folderWith } from '../../config/helpers.js';
import { readEvents } from './events-reader.js';

const tick = (step: number) => ({
  step,
  loss: 0.5,
  learningRate: 1e-4,
  gradNorm: 2,
  secondsPerStep: 1,
  clipsPerSecond: 4,
  memoryBytes: 2 ** 30,
  etaSeconds: 90,
});
const eventFiles = (folder: string) => readdirSync(folder).filter(name => name.startsWith('events'));

describe('RunLogger', () => {
  it('gives a tick to the status line, the stats and TensorBoard', () => {
    const folder = path.join(folderWith({}), 'run');
    const lines: string[] = [];
    const logger = new RunLogger({ folder, totalSteps: 10, print: line => lines.push(line) });
    logger.tick(tick(3));
    logger.scalars(3, { 'heldOut/loss': 0.25 });
    logger.histogram(3, 'weights/x', [1, 2]);
    logger.image(3, 'samples/0', new Uint8Array([71, 73, 70]), 2, 2);
    logger.text(0, 'config', 'x');
    logger.close();
    logger.close();
    expect(lines).toEqual(['step  3/10  loss 0.5  lr 1e-4  grad 2  1 s/step  4 clips/s  1 GiB  ETA 1m30s']);
    const stats = readStats(path.join(folder, STATS_FILE));
    expect(stats).toMatchObject([tick(3), { step: 3, 'heldOut/loss': 0.25 }]);
    const values = readEvents(path.join(folder, eventFiles(folder)[0]!)).flatMap(event => event.values);
    const tags = values.map(value => value.tag);
    expect(tags).toContain('train/loss');
    expect(tags).not.toContain('train/step');
    expect(values.find(value => value.tag === 'heldOut/loss')?.scalar).toBe(0.25);
    expect(tags.slice(-3)).toEqual(['weights/x', 'samples/0', 'config/text_summary']);
  });
  it('continues a run, and can do without TensorBoard', () => {
    const folder = folderWith({});
    const print = () => {};
    const first = new RunLogger({ folder, totalSteps: 10, print });
    for (const step of [1, 2, 3]) first.tick(tick(step));
    first.close();
    const second = new RunLogger({ folder, totalSteps: 10, resumeStep: 2, tensorboard: false, print });
    second.tick(tick(3));
    second.close();
    expect(readStats(path.join(folder, STATS_FILE)).map(line => line.step)).toEqual([1, 2, 3]);
    expect(eventFiles(folder)).toHaveLength(1);
  });
});
