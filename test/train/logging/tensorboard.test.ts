import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { EventWriter } from '../../../src/train/logging/index.js';
import { folderWith } from '../../config/helpers.js';
import { readEvents, readRecords } from './events-reader.js';

const GIF = Buffer.from(
  'R0lGODlhAQABAIAAAP8AAAAAACH/C05FVFNDQVBFMi4wAwEAAAAh+QQAZAAAACwAAAAAAQABAAACAkQBADs=',
  'base64',
);

describe('EventWriter', () => {
  it('writes scalars, histograms, images and text that an independent parser reads', () => {
    const writer = new EventWriter(folderWith({}), { now: () => 1_700_000_000.25 });
    writer.scalars(0, { 'train/loss': 0.5, 'train/lr': 1e-4 });
    writer.scalars(2 ** 40, { 'train/loss': -1.25 });
    writer.histogram(3, 'weights/a', [1, 2, 2, -4]);
    writer.image(4, 'samples/0', GIF, 12, 34);
    writer.text(5, 'config', 'stage: **base** é');
    writer.close();
    writer.close();
    const [head, first, far, histogram, image, text, ...rest] = readEvents(writer.file);
    expect(rest).toEqual([]);
    expect(head).toMatchObject({ version: 'brain.Event:2', wallTime: 1_700_000_000.25, values: [] });
    expect(first).toMatchObject({ step: 0, wallTime: 1_700_000_000.25 });
    expect(first!.values.map(value => [value.tag, value.scalar])).toEqual([
      ['train/loss', 0.5],
      ['train/lr', Math.fround(1e-4)],
    ]);
    expect(far).toMatchObject({ step: 2 ** 40, values: [{ scalar: -1.25 }] });
    expect(histogram).toMatchObject({
      step: 3,
      values: [{ tag: 'weights/a', histogram: { min: -4, max: 2, num: 4, sum: 1, sumSquares: 25 } }],
    });
    expect(image).toMatchObject({ step: 4, values: [{ tag: 'samples/0', image: { width: 12, height: 34 } }] });
    expect(image!.values[0]!.image!.data.equals(GIF)).toBe(true);
    expect(text).toMatchObject({
      step: 5,
      values: [{ tag: 'config/text_summary', plugin: 'text', text: 'stage: **base** é' }],
    });
  });
  it('writes nothing for no scalars and for a histogram without finite values', () => {
    const writer = new EventWriter(folderWith({}));
    writer.scalars(1, {});
    writer.histogram(1, 'a', [Number.NaN, Number.POSITIVE_INFINITY]);
    writer.close();
    expect(readRecords(writer.file)).toHaveLength(1);
  });
  it('buffers until flush', () => {
    const writer = new EventWriter(folderWith({}));
    writer.scalars(1, { a: 1 });
    expect(readRecords(writer.file)).toHaveLength(1);
    writer.flush();
    expect(readRecords(writer.file)).toHaveLength(2);
    for (let i = 0; i < 3; i++) writer.image(i, 'big', new Uint8Array(600_000), 1, 1);
    expect(readRecords(writer.file)).toHaveLength(4);
    writer.close();
    expect(readRecords(writer.file)).toHaveLength(5);
    expect(() => writer.scalars(2, { a: 1 })).toThrow('is closed');
  });
  it('opens a later file on resume and marks where the earlier one ends', () => {
    const folder = folderWith({});
    const now = () => 1_700_000_000;
    const names = [0, 10, 0].map(resumeStep => {
      const writer = new EventWriter(folder, { now, resumeStep });
      writer.close();
      return path.basename(writer.file);
    });
    expect(new Set(names).size).toBe(3);
    expect(readdirSync(folder).sort()).toEqual(names);
    expect(readEvents(path.join(folder, names[0]!)).map(event => event.sessionStatus)).toEqual([undefined]);
    expect(readEvents(path.join(folder, names[1]!))[1]).toMatchObject({ sessionStatus: 1, step: 11 });
  });
  it('is not misled by a clock that went back', () => {
    const folder = folderWith({ 'events.out.tfevents.1800000000.host.1': '' });
    const writer = new EventWriter(folder, { now: () => 1_700_000_000 });
    writer.close();
    expect(readdirSync(folder).sort()[1]).toBe(path.basename(writer.file));
  });
  it('the reader used here notices damage', () => {
    const writer = new EventWriter(folderWith({}));
    writer.scalars(1, { a: 1 });
    writer.close();
    const data = readFileSync(writer.file);
    data[data.length - 6]! ^= 1;
    writeFileSync(writer.file, data);
    expect(() => readRecords(writer.file)).toThrow('data checksum');
    truncateSync(writer.file, data.length - 10);
    expect(() => readRecords(writer.file)).toThrow();
  });
});
