import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readStats, StatsWriter } from '../../../src/train/logging/index.js';
import { folderWith } from '../../config/helpers.js';

const fresh = () => path.join(folderWith({}), 'run', 'stats.jsonl');
const steps = (file: string) => readStats(file).map(line => line.step);

describe('StatsWriter', () => {
  it('appends one object a line, at once', () => {
    const file = fresh();
    const writer = new StatsWriter(file);
    writer.append(1, { loss: 0.5, 'heldOut/loss': 0.25 }, 100);
    expect(readFileSync(file, 'utf8')).toBe('{"step":1,"time":100,"loss":0.5,"heldOut/loss":0.25}\n');
    writer.append(2, { loss: Number.NaN }, 101);
    writer.close();
    writer.close();
    expect(readStats(file)[1]).toEqual({ step: 2, time: 101, loss: null });
    expect(() => writer.append(3, {})).toThrow('is closed');
  });
  it('drops later steps on resume and keeps what came before, untouched', () => {
    const file = fresh();
    const writer = new StatsWriter(file);
    for (let step = 1; step <= 6; step++) writer.append(step, { loss: step / 7 });
    writer.close();
    const before = readFileSync(file, 'utf8').split('\n').slice(0, 4).join('\n');
    const resumed = new StatsWriter(file, 4);
    expect(readFileSync(file, 'utf8')).toBe(`${before}\n`);
    resumed.append(5, { loss: 9 });
    resumed.close();
    expect(steps(file)).toEqual([1, 2, 3, 4, 5]);
    expect(readdirSync(path.dirname(file))).toEqual(['stats.jsonl']);
  });
  it('drops a line cut short by a kill, so that the next one stands alone', () => {
    const file = fresh();
    const writer = new StatsWriter(file);
    writer.append(1, { loss: 1 });
    writer.close();
    appendFileSync(file, '{"step":2,"ti');
    const resumed = new StatsWriter(file, 2);
    resumed.append(2, { loss: 2 });
    resumed.close();
    expect(steps(file)).toEqual([1, 2]);
  });
  it('starts again from nothing without a step to resume from', () => {
    const file = fresh();
    for (let run = 0; run < 2; run++) {
      const writer = new StatsWriter(file);
      writer.append(1, { loss: run });
      writer.close();
    }
    expect(readStats(file)).toMatchObject([{ step: 1, loss: 1 }]);
  });
  it('reads a missing file as empty', () => {
    const file = fresh();
    expect(existsSync(file)).toBe(false);
    expect(readStats(file)).toEqual([]);
  });
});
