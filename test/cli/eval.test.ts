import { existsSync, readdirSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeShapes } from '../../src/data/index.js';
import { makeClip, temporaryFolder } from '../data/helpers.js';
import { runShow1 } from '../helpers/process.js';
import { type TinyKind, writeTinyNetwork } from '../helpers/tiny-metrics.js';
import { capture } from './capture.js';

const root = temporaryFolder();
const real = join(root, 'shapes', 'train');
const generated = join(root, 'shapes', 'heldout');
const net = (kind: TinyKind) => join(root, 'nets', kind);
const fvd = (cache: string, ...more: string[]) => [
  ...['eval', 'fvd', '--real', real, '--generated', generated, '--weights', net('i3d')],
  ...['--cache', join(root, cache), '--allow-few', '--workers', '2', ...more],
];

beforeAll(async () => {
  await writeShapes(join(root, 'shapes'), { clips: 32, frames: 16 });
  for (const kind of ['i3d', 'clip'] as const) await writeTinyNetwork(join(root, 'nets'), kind);
});

/** Whether a file of features is there. */
const hasFeatures = (cache: string): boolean =>
  existsSync(cache) && readdirSync(cache, { recursive: true }).some(name => String(name).endsWith('.safetensors'));

/** Runs show1 and sends a signal as soon as the first features are on the disk. */
async function stopped(args: string[], cache: string, signal: NodeJS.Signals) {
  let watcher: NodeJS.Timeout | undefined;
  const outcome = await runShow1(args, (_, child) => {
    watcher ??= setInterval(() => {
      if (!hasFeatures(cache)) return;
      clearInterval(watcher);
      child.kill(signal);
    }, 5);
  });
  clearInterval(watcher);
  return outcome;
}

/** The fast one: CLIP of 32 pixels. */
const clipsim = (cache: string, ...more: string[]) => [
  ...['eval', 'clipsim', '--generated', real, '--weights', net('clip'), '--cache', join(root, cache), '--workers', '2'],
  ...more,
];

const newOnes = (stderr: string): number =>
  [...stderr.matchAll(/(\d+) of them new/g)].reduce((sum, match) => sum + Number(match[1]), 0);

describe('show1 eval', () => {
  it('refuses a place for the result that cannot take it, before anything is measured', async () => {
    for (const [out, why] of [
      [root, 'it is a folder; give the name of a JSON file'],
      [join(real, 'metadata.jsonl', 'x.json'), 'cannot be written: '],
    ] as const) {
      const { code, stderr } = await capture(fvd('one', '--samples', '3', '--out', out));
      expect(code).toBe(2);
      expect(stderr).toContain(`--out ${out} cannot be written: `);
      expect(stderr).toContain(why);
      expect(stderr).not.toContain('features of');
    }
  });

  it('prints the figure and how it came about; --json and --out hold the same', async () => {
    const out = join(root, 'fvd.json');
    const shown = await capture(fvd('one', '--samples', '3', '--clip', 'real=random,generated=start', '--out', out));
    expect(shown.stderr).toContain('features of 3 videos, 3 of them new');
    expect(shown.code).toBe(0);
    expect(shown.stdout).toMatch(/^FVD \d/);
    expect(shown.stdout).toContain(`real: 3 videos of ${real} (16 frames, random, native rate, resolution none)`);
    expect(shown.stdout).toContain('too few (allowed): FVD is measured on 2,048 videos in papers');
    const json = await capture(fvd('one', '--samples', '3', '--clip', 'real=random,generated=start', '--json'));
    const result = JSON.parse(json.stdout);
    expect(JSON.parse(await readFile(out, 'utf8'))).toEqual(result);
    expect(result.protocol.sides).toMatchObject({ real: { clip: 'random' }, generated: { clip: 'start' } });
    expect(newOnes(json.stderr)).toBe(0);
  });
  it('killed at any moment, goes on and gives the same figure bit for bit', async () => {
    const whole = await capture(clipsim('whole', '--json'));
    expect(newOnes(whole.stderr)).toBe(24);
    const killed = await stopped(clipsim('killed', '--json'), join(root, 'killed'), 'SIGKILL');
    expect(killed.signal).toBe('SIGKILL');
    const interrupted = await stopped(clipsim('interrupted', '--json'), join(root, 'interrupted'), 'SIGINT');
    expect(interrupted.code).toBe(130);
    expect(JSON.parse(interrupted.stdout)).toMatchObject({ error: { code: 'eval.interrupted' } });
    for (const cache of ['killed', 'interrupted']) {
      const rest = await capture(clipsim(cache, '--json'));
      expect(newOnes(rest.stderr)).toBeLessThan(24);
      expect(newOnes(rest.stderr)).toBeGreaterThan(0);
      expect(rest.stdout).toBe(whole.stdout);
    }
  });
  it('is shared by processes', async () => {
    const part = async (text: string) =>
      JSON.parse((await capture(clipsim('shared', '--shard', text, '--json'))).stdout);
    expect(await part('2/2')).toEqual({ shard: '2/2', computed: 12, videos: { generated: 12 } });
    const early = await capture(clipsim('shared', '--merge'));
    expect(early.code).toBe(2);
    expect(early.stderr).toContain(`12 of 24 videos of ${real} have no features yet: finish the shards`);
    expect((await part('1/2')).computed).toBe(12);
    const whole = await capture(clipsim('whole', '--json'));
    await capture(clipsim('shared')); // prompts are left to the run that scores
    expect((await capture(clipsim('shared', '--merge', '--json'))).stdout).toBe(whole.stdout);
  });
  it('says whether two figures compare', async () => {
    const files = [join(root, 'a.json'), join(root, 'b.json'), join(root, 'c.json')];
    await capture(fvd('one', '--samples', '3', '--out', files[0]!));
    await capture(fvd('one', '--samples', 'real=3,generated=2', '--out', files[1]!));
    const other = await capture(['eval', 'compare', files[0]!, files[1]!]);
    expect(other.stdout).toContain('measured differently');
    expect(other.stdout).toMatch(/sides\.generated\.videos +3 +2/);
    const moved = fvd('one', '--samples', '3', '--out', files[2]!).map(one => (one === real ? `${real}/` : one));
    await capture(moved);
    expect((await capture(['eval', 'compare', files[0]!, files[2]!])).stdout).toContain('they compare');
    await writeFile(files[2]!, '{}');
    expect((await capture(['eval', 'compare', files[0]!, files[2]!])).stderr).toContain('is no result of show1 eval');
  });
  it.each([
    [() => ['--samples', 'four'], '--samples four: "four" is not a number'],
    [() => ['--clip', 'middle'], '"middle" is not one of central, random, start, uniform'],
    [() => ['--resolution', 'square'], '"square" is no step'],
    [() => ['--shard', '3/2'], '--shard is 3/2; allowed: K/N'],
    [() => ['--shard', '1/2', '--merge'], 'give one of them'],
    [() => ['--preprocess', 'tf'], '--preprocess is "tf"; allowed: "stylegan-v", "videogpt"'],
  ])('refuses %o', async (args, message) => {
    const { code, stderr } = await capture(fvd('wrong', ...args()));
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
  it('refuses wrong sets and weights', async () => {
    const prompted = (folder: string, ...more: string[]) =>
      capture(clipsim('wrong', ...more).map(one => (one === real ? join(root, folder) : one)));
    await makeClip(join(root, 'bare', 'a.mp4'), 4);
    await writeFile(join(root, 'two.txt'), 'one\ntwo\n');
    const cases = [
      [
        await capture(fvd('wrong').map(one => (one === net('i3d') ? net('clip') : one))),
        'holds clip, where i3d is needed',
      ],
      [await prompted('nets'), 'holds no videos'],
      [await prompted('bare'), '1 no caption'],
      [await prompted('bare', '--prompts', join(root, 'two.txt')), '2 prompts for 1 videos'],
      [
        await capture(['eval', 'is', '--generated', generated, '--weights', join(root, 'none')]),
        'there are 8 generated',
      ],
      [await capture(['eval']), 'eval needs a command: fvd, fid-vid, is, clipsim, benchmark or compare'],
    ] as const;
    for (const [{ code, stderr }, message] of cases) {
      expect(stderr).toContain(message);
      expect(code).toBe(2);
    }
  });
});
