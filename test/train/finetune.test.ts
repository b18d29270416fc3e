/** Fine-tuning through the command line: what trains, what stays, the delta, and what is refused. */
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { changedTensors } from '../../experiments/motion/frozen.js';
import { findDelta } from '../../src/infer/deltas.js';
import { UNet3DConditionModel } from '../../src/models/unet3d/index.js';
import { applyDelta, openDelta } from '../../src/models/weights/delta.js';
import { openSafetensors, writeSafetensors } from '../../src/models/weights/safetensors.js';
import { train } from '../../src/train/loop.js';
import { capture } from '../cli/capture.js';
import { filesOf, STAGE_CHANGES, tinyConfig, tinyData } from '../helpers/tiny-run.js';

vi.setConfig({ testTimeout: 400_000, hookTimeout: 400_000 }); // minutes where the cores are shared

let root: string;
const at = (...parts: string[]) => path.join(root, ...parts);
const PROMPT = 'a red square moves in a loop';
let clip: string;

const finetune = (out: string, ...extra: string[]) => {
  const given = extra.includes('--base') ? [] : ['--base', at('base')];
  const args = ['finetune', '--mode', 'motion', ...given, '--out', at(out), ...extra];
  return capture(extra.includes('--mode') ? args.filter((_, i) => i !== 1 && i !== 2) : args);
};
const motion = (out: string, ...extra: string[]) => {
  const defaults = { '--steps': '4', '--prior': '2' };
  const rest = Object.entries(defaults).flatMap(entry => (extra.includes(entry[0]) ? [] : entry));
  return finetune(out, '--video', clip, '--prompt', PROMPT, '--json', ...rest, ...extra);
};
const sample = (out: string, ...extra: string[]) =>
  capture(['sample', '--prompt', PROMPT, '--out', at(out), '--steps', '2', '--quiet', ...extra]);
const delta = (run: string, step = 4) => at(run, 'checkpoints', `step-${step}`, 'delta.safetensors');

beforeAll(async () => {
  root = await tinyData();
  const prompts = ['a red square moves to the left', 'a blue circle moves up'];
  const validate = { prompts, sampler: { steps: 2, guidanceScale: 3, scheduler: 'ddim' } };
  await train(tinyConfig(root, 'base', { validate, train: { steps: 2, batchSize: 2 } }), { print: () => {} });
  const rows = await readFile(at('shapes', 'train', 'metadata.jsonl'), 'utf8');
  clip = at('shapes', 'train', (JSON.parse(rows.split('\n')[0]!) as { path: string }).path);
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe('finetune --mode motion', () => {
  it('trains temporal attention alone, on the clip and on frames of the base’s own videos', async () => {
    const before = await filesOf(at('base'));
    const { code, stdout, stderr } = await motion('tuned');
    expect(stderr).toContain('prior preservation: 2 videos of the base');
    expect(code, stderr).toBe(0);
    const summary = JSON.parse(stdout) as Record<string, unknown>;
    expect(summary).toMatchObject({ steps: 4, priorVideos: 2, delta: delta('tuned') });

    const { names } = JSON.parse(await readFile(at('tuned', 'trainable.json'), 'utf8')) as { names: string[] };
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) expect(name).toMatch(/\.temp_attentions\./);
    expect((await changedTensors(at('base'), at('tuned'), names)).changed).toEqual([]);
    expect(await filesOf(at('base'))).toEqual(before);

    // Every step writes the held-out loss of the clip; samples are drawn; the optimizer knows what trains alone.
    const optimizer = openSafetensors(at('tuned', 'checkpoints', 'step-4', 'optimizer.safetensors'));
    expect(new Set(optimizer.names().map(name => name.replace(/^(exp_avg|exp_avg_sq|ema)\./, '')))).toEqual(
      new Set(names),
    );
    optimizer.close();
    expect(await readFile(at('tuned', 'stats.jsonl'), 'utf8')).toContain('heldOut/loss');
    expect([...(await filesOf(at('tuned', 'samples', 'step-4'))).keys()]).toContain('sheet.png');
  });

  it('leaves a delta of the trained tensors that makes the base the fine-tuned model, bit for bit', async () => {
    const opened = openDelta(await findDelta(at('tuned')));
    const unet = await UNet3DConditionModel.fromPretrained(at('base', 'checkpoints', 'step-2', 'ema'));
    const { names } = JSON.parse(await readFile(at('tuned', 'trainable.json'), 'utf8')) as { names: string[] };
    expect([...opened.reader.names()].sort()).toEqual([...names].sort());
    expect(opened.about).toMatchObject({ stage: 'base', step: '4', note: `motion: ${PROMPT}`, guidance: '1.5' });
    expect(await applyDelta(unet, opened)).toBe(names.length);
    const tuned = openSafetensors(at('tuned', 'checkpoints', 'step-4', 'ema'));
    for (const [name, { data }] of Object.entries(unet.stateDict())) expect(data, name).toEqual(tuned.readSync(name));
    tuned.close();
    opened.reader.close();
    unet.dispose();

    expect((await sample('by-run', '--model', at('tuned'))).code).toBe(0);
    const byDelta = await sample('by-delta', '--model', at('base'), '--delta', at('tuned'));
    expect(byDelta.stderr).not.toContain('other weights');
    expect(byDelta.code).toBe(0);
    const video = async (dir: string) => (await filesOf(at(dir))).get('00-a-red-square-moves-in-a-loop.gif');
    expect(await video('by-delta')).toEqual(await video('by-run'));

    // Guidance is the delta's, a quarter of what the base's goes beyond 1.
    await sample('plain', '--model', at('base'), '--guidance', '1.5');
    await sample('scale-0', '--model', at('base'), '--delta', delta('tuned'), '--delta-scale', '0');
    expect(await video('scale-0')).toEqual(await video('plain'));
    expect(await video('plain')).not.toEqual(await video('by-run'));
  });

  it('refuses to write over a run, and goes on with --resume: the same weights as without a stop', async () => {
    const again = await motion('tuned');
    expect(again.code).toBe(2);
    expect(again.stderr).toContain('already holds a run at step 4. Add --resume');
    // A schedule over the same number of steps; stopped in the middle by a copy of an earlier checkpoint.
    const set = ['--set', 'checkpoint.everySteps=2', '--set', 'checkpoint.keepLast=5'];
    expect((await motion('whole', ...set)).code).toBe(0);
    await cp(at('whole'), at('halved'), { recursive: true });
    await rm(at('halved', 'checkpoints', 'step-4'), { recursive: true });
    expect((await motion('halved', ...set, '--resume')).code).toBe(0);
    const weights = (run: string) => readFile(delta(run));
    expect(await weights('halved')).toEqual(await weights('whole'));
  });

  it('starts from a fine-tuning too: the text encoder is the first base’s', async () => {
    const { code, stderr } = await motion('second', '--base', at('tuned'), '--prior', '0', '--steps', '1');
    expect(code, stderr).toBe(0);
    expect((await sample('by-second', '--model', at('second'))).code).toBe(0);
  });

  it('takes prompts from files beside the clips, and a clip shorter than the base’s videos faster', async () => {
    await mkdir(at('clips'));
    await cp(clip, at('clips', 'one.mp4'));
    await writeFile(at('clips', 'one.txt'), `${PROMPT}\n`);
    const set = ['--set', 'data.frames=4', '--set', 'validate.everySteps=0'];
    const { code, stderr } = await finetune(
      'beside',
      '--video',
      at('clips', 'one.mp4'),
      '--steps',
      '1',
      '--prior',
      '0',
      ...set,
    );
    expect(code, stderr).toBe(0);
    expect(await readFile(at('beside', 'clips.jsonl'), 'utf8')).toContain(PROMPT);
  });
});

describe('finetune --mode style', () => {
  it('learns from clips and from pictures', async () => {
    await mkdir(at('pictures'));
    for (const [name, background] of Object.entries({ a: '#f0e0c0', b: '#e0f0d0' })) {
      const picture = sharp({ create: { width: 20, height: 16, channels: 3, background } });
      await picture.png().toFile(at('pictures', `${name}.png`));
      await writeFile(at('pictures', `${name}.txt`), 'a red square, on paper');
    }
    const style = ['--mode', 'style', '--images', at('pictures'), '--steps', '3', '--set', 'validate.everySteps=0'];
    const both = await finetune('style', ...style, '--video', clip, '--prompt', 'a red square moves up, on paper');
    expect(both.code, both.stderr).toBe(0);
    expect(both.stderr).toContain(`${at('pictures')}: 2 clips`);
    const alone = await finetune('style-2', ...style);
    expect(alone.code, alone.stderr).toBe(0);
  });
});

describe('what is refused, before anything is trained', () => {
  const failing = async (expected: RegExp, ...extra: string[]) => {
    const { code, stderr } = await finetune('refused', ...extra);
    expect(stderr).toMatch(expected);
    expect(code).toBe(2);
  };

  it('clips, prompts and pictures that do not fit together', async () => {
    await failing(/finetune needs a clip that shows the motion: --video FILE/);
    await failing(/nowhere\.mp4: there is no such file/, '--video', at('nowhere.mp4'), '--prompt', 'x');
    await failing(/has no prompt: say what it shows with --prompt "…", or in .*\.txt beside it/, '--video', clip);
    await failing(/2 prompts for 1 clips/, '--video', clip, '--prompt', 'a', '--prompt', 'b');
    await failing(/pictures show no motion/, '--images', root);
  });

  it('a prior without prompts, or of a stage that has none', async () => {
    await train(tinyConfig(root, 'dumb', { train: { steps: 1 } }), { print: () => {} });
    const one = ['--video', clip, '--prompt', PROMPT];
    await failing(/--prior 3: the base says no prompts that it knows/, ...one, '--base', at('dumb'), '--prior', '3');
    await failing(/--prior is -1; it must be a number of videos/, ...one, '--prior', '-1');
    await train(tinyConfig(root, 'interp', { train: { steps: 1 } }, STAGE_CHANGES.interp), { print: () => {} });
    await failing(/stage interp makes no videos from prompts alone/, ...one, '--base', at('interp'), '--prior', '1');
    const other = await finetune('interp-tuned', ...one, '--base', at('interp'), '--steps', '1');
    expect(other.code, other.stderr).toBe(0);
  });

  it('a folder that is the base’s, whose config stays as it is', async () => {
    const config = await readFile(at('base', 'config.yaml'), 'utf8');
    const one = ['--video', clip, '--prompt', PROMPT];
    const { code, stderr } = await finetune('base', ...one, '--resume');
    expect([code, stderr]).toEqual([2, expect.stringMatching(/--out .*base is the base itself/)]);
    const changed = at('changed.yaml');
    await writeFile(changed, config.replace(/^seed: .*/m, 'seed: 99'));
    const resumed = await capture(['train', changed, '--resume', '--set', `output=${at('base')}`]);
    expect([resumed.code, resumed.stderr]).toEqual([2, expect.stringMatching(/cannot resume .*seed was 5, is now 99/)]);
    expect(await readFile(at('base', 'config.yaml'), 'utf8')).toBe(config);
  });

  it('a base that is none, and a config value that is none', async () => {
    const one = ['--video', clip, '--prompt', PROMPT];
    await failing(/holds neither a run|there is no such folder|lacks base/, ...one, '--base', at('shapes'));
    await failing(/train\.nothing/, ...one, '--set', 'train.nothing=1');
  });
});

describe('deltas that do not belong', () => {
  const refused = async (expected: RegExp, ...extra: string[]) => {
    const { code, stderr } = await sample('refused', '--model', at('base'), ...extra);
    expect(stderr).toMatch(expected);
    expect(code).toBe(2);
  };

  it('are refused before anything is loaded', async () => {
    await refused(/--delta .*none: there is no such file/, '--delta', at('none'));
    await refused(/no delta\.safetensors in it/, '--delta', at('base'));
    const weights = at('base', 'checkpoints', 'step-2', 'unet', 'diffusion_pytorch_model.safetensors');
    await refused(/is no delta of show1 \(its header says null/, '--delta', weights);
    await refused(/is for stage interp, but the stages that run are base/, '--delta', at('interp-tuned'));
    await refused(/is one already/, '--delta', at('tuned'), '--delta', delta('whole'));
    const about = { format: 'pt', show1: 'show1 delta 1', stage: 'base', base: 'x', step: '1', note: '' };
    const file = at('foreign.safetensors');
    await writeSafetensors(file, [{ name: 'a.weight', shape: [1], data: new Float32Array(1) }], about);
    await refused(
      /belongs to another model: 1 of its tensors are not in the model, e\.g\. "a\.weight"/,
      '--delta',
      file,
    );
    const name = openSafetensors(delta('tuned')).names()[0]!;
    await writeSafetensors(file, [{ name, shape: [1], data: new Float32Array(1) }], about);
    await refused(/belongs to another model: ".*" is \[1\], the model's is/, '--delta', file);
  });

  it('of another base fit, and say so', async () => {
    const { code, stderr } = await capture([
      ...['sample', '--model', at('dumb'), '--delta', at('tuned'), '--prompt', PROMPT, '--out', at('other')],
      ...['--steps', '2'],
    ]);
    expect(stderr).toContain('was trained on other weights than');
    expect(code).toBe(0);
  });
});
