import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { main } from '../../src/cli/index.js';
import { makeClip, temporaryFolder } from '../data/helpers.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
afterEach(() => {
  vi.restoreAllMocks();
});

/** Runs the command line and keeps what it prints. */
async function show1(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  vi.spyOn(process.stdout, 'write').mockImplementation(text => {
    out += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation(text => {
    err += String(text);
    return true;
  });
  const code = await main(args);
  vi.restoreAllMocks();
  return { code, out, err };
}

describe('show1 data shapes', () => {
  it('writes a dataset and says where', async () => {
    const { code, out, err } = await show1(
      'data',
      'shapes',
      at('set'),
      '--clips',
      '34',
      '--size',
      '20x16',
      '--seed',
      '3',
    );
    expect([code, existsSync(at('set/split.json'))]).toEqual([0, true]);
    expect(out).toMatch(
      /wrote 34 clips to .*set\n {2}train {4}26 clips, 24 combinations.*\n {2}heldout {2}8 clips, 8 combinations/,
    );
    expect(err).toMatch(/writing clips {2}34\/34 {2}100%/);
    const again = await show1('data', 'shapes', at('set'), '--clips', '34', '--size', '20x16', '--seed', '3', '--json');
    expect(JSON.parse(again.out)).toMatchObject({
      reused: true,
      train: { clips: 26 },
      recipe: { width: 20, height: 16, seed: 3 },
    });
  });

  it.each([
    [['--clips', '3', '--size', 'big'], /--size is "big"; allowed: SIDE or WIDTHxHEIGHT/],
    [['--clips', '3', '--colours', 'red,pink'], /unknown colour "pink"/],
    [['--clips', 'many'], /--clips is not a number/],
    [[], /missing required argument: clips/i],
    [['--clips', '3', '--hold-out', '30'], /hold-out 30 is too much for 32 combinations/],
  ])('refuses %j', async (args, message) => {
    const { code, out, err } = await show1('data', 'shapes', at('none'), ...args);
    expect([code, out, existsSync(at('none'))]).toEqual([2, '', false]);
    expect(err).toMatch(message);
  });
});

describe('show1 data prepare', () => {
  it('filters, says what was kept and what not, and where it is listed', async () => {
    mkdirSync(at('raw'));
    for (const name of ['a', 'b']) await makeClip(at(`raw/${name}.mp4`), name === 'a' ? 24 : 16);
    writeFileSync(at('raw/c.mp4'), '<html></html>');
    writeFileSync(at('raw/captions.txt'), 'a.mp4 a cat\nb.mp4 a dog\nc.mp4 a cow\n');
    const args = ['data', 'prepare', at('raw'), '--out', at('prepared')];
    const { code, out, err } = await show1(...args, '--min-seconds', '2.5');
    expect(code).toBe(0);
    expect(out).toMatch(/raw \(folder\): 3 listed, 3 looked at\n/);
    expect(out).toMatch(
      /kept +1 clips of 1 videos, 3\S* ?s: .*prepared.manifest\.jsonl\n {2}rejected +2: .*rejected\.jsonl/,
    );
    expect(out).toMatch(/1 +not a video\n +1 +too short\n/);
    expect(out).toMatch(/seconds +3-5: 1\n {2}frames +16-32: 1\n/);
    expect(err).toMatch(/looking at clips {2}3\/3 {2}100%.*1 broken/);

    const again = await show1(...args, '--json', '--quiet');
    expect(again.err).toBe('');
    expect(JSON.parse(again.out)).toMatchObject({ clips: 2, scanned: 0, rejected: { 'not a video': 1 } });
    const inspected = await show1('data', 'inspect', at('prepared'), '--no-sheet', '--json');
    expect(JSON.parse(inspected.out)).toMatchObject({ kind: 'prepared', clips: 2, skipped: {} });
  });

  it('fails with exit code 2 where nothing is left or a filter makes no sense', async () => {
    const args = ['data', 'prepare', at('raw'), '--out', at('prepared')];
    const empty = await show1(...args, '--min-width', '4000');
    expect([empty.code, empty.err]).toEqual([
      2,
      expect.stringMatching(/nothing of .*raw is of use: 2 too narrow, 1 not a video/),
    ]);
    expect(await show1(...args, '--cuts', 'some')).toMatchObject({ code: 2, err: expect.stringMatching(/cuts/) });
    expect((await show1(...args, '--min-words', 'x')).err).toMatch(/--min-words is not a number/);
    expect((await show1('data', 'prepare', at('raw'))).err).toMatch(/missing required argument: out/i);
  });
});

describe('show1 data inspect', () => {
  it('prints what there is and writes a contact sheet', async () => {
    mkdirSync(at('videos'));
    await makeClip(at('videos/a.mp4'), 8);
    writeFileSync(at('videos/b.mp4'), '');
    writeFileSync(at('videos/captions.txt'), 'a.mp4 a cat\nb.mp4 a dog\n');
    const { code, out } = await show1('data', 'inspect', at('videos'), '--sheet', at('sheet.png'), '--quiet');
    expect(code).toBe(0);
    expect(out).toMatch(/videos: 1 captioned clips \(folder\), 1 opened/);
    expect(out).toMatch(/frames\/s +8 +8 +8/);
    expect(out).toMatch(/sizes: 32x32 \(1\)/);
    expect(out).toMatch(/skipped: 1 zero-byte file\n +zero-byte file: .*b\.mp4: has zero bytes/);
    expect((await sharp(at('sheet.png')).metadata()).width).toBeGreaterThan(400);

    const json = await show1('data', 'inspect', at('videos'), '--no-sheet', '--json');
    expect(JSON.parse(json.out)).toMatchObject({ clips: 1, skipped: { 'zero-byte file': 1 }, sheet: null });
  });

  it('fails with exit code 2 on a source without anything usable', async () => {
    mkdirSync(at('empty'));
    const { code, err } = await show1('data', 'inspect', at('empty'), '--no-sheet');
    expect([code, err]).toEqual([
      2,
      expect.stringMatching(/error: data source .*empty holds no videos\. A source is a folder/),
    ]);
  });

  it('needs a subcommand that exists', async () => {
    expect((await show1('data')).err).toMatch(/data needs a command: shapes, prepare, inspect or cache/);
    expect(await show1('data', 'inspct', 'x')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/did you mean inspect\?/),
    });
  });
});
