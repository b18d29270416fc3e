/**
 * One run of Python's diffusers 0.19.3 without Python: the folder `golden/ddim` as it was written by
 *
 *     python test/reference/diffusers_folder.py test/interop/golden --golden && npx biome format --write test/interop/golden
 *
 * but with names and shapes (parameters.json) for weights, which follow from them.
 */
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { Show1Pipeline } from '../../src/infer/cascade.js';
import { CLIPTextModel } from '../../src/models/text/index.js';
import { UNet3DConditionModel } from '../../src/models/unet3d/index.js';
import { AutoencoderKL } from '../../src/models/vae/index.js';
import { type TensorEntry, writeSafetensors } from '../../src/models/weights/safetensors.js';
import { hashWeight } from '../helpers/hash-weights.js';
import { tempFolder } from '../models/weights/files.js';
import { readReport, readTensors } from './python.js';
import { replayVideo, sampleVideo, tokensOf } from './replay.js';

vi.setConfig({ testTimeout: 600_000 }); // seconds, but for a machine that does much else

const GOLDEN = join(import.meta.dirname, 'golden');
type Parameters = Record<string, { file: string; tensors: Record<string, number[]> }>;
const PARAMETERS = JSON.parse(readFileSync(join(GOLDEN, 'ddim', 'parameters.json'), 'utf8')) as Parameters;
const report = readReport(GOLDEN);
const recorded = readTensors(join(GOLDEN, 'ddim.safetensors'));

/** The folder with its weights. @param change another value for a tensor, or null for its own */
async function folder(change: (part: string, name: string) => Float32Array | null = () => null): Promise<string> {
  const dir = join(tempFolder(), 'ddim');
  cpSync(join(GOLDEN, 'ddim'), dir, { recursive: true });
  rmSync(join(dir, 'parameters.json'));
  for (const [part, { file, tensors }] of Object.entries(PARAMETERS)) {
    const entries = Object.entries(tensors).map(([name, shape]): TensorEntry => {
      const own = `${report.seed}.${name.replace(/^text_model\./, '')}`;
      return { name, shape, data: () => change(part, name) ?? hashWeight(own, shape) };
    });
    await writeSafetensors(join(dir, part, file), entries);
  }
  return dir;
}

describe('a folder of diffusers 0.19.3', () => {
  it('gives the tokens, embeddings, latents of every step and video that Python recorded', async () => {
    const dir = await folder();
    const ids = recorded.get('in.input_ids')!;
    const texts = [report.prompt, report.negative];
    expect(tokensOf(join(dir, 'tokenizer'), texts, ids.shape[1]!)).toEqual(Array.from(ids.data));
    const { misses, errors } = await replayVideo(dir, recorded, report.cases.ddim, report);
    expect(misses).toEqual([]);
    expect(Object.keys(errors)).toEqual([
      'out.first_unet_input',
      'out.negative_prompt_embeds',
      'out.prompt_embeds',
      'out.steps',
      'out.unet_outputs',
      'out.video',
    ]);
  });

  it('is what Show1Pipeline samples from', async () => {
    const dir = await folder();
    const { steps, guidance, strength } = report.cases.ddim;
    const [, frames, height, width] = recorded.get('in.video')!.shape as [number, number, number, number];
    const sizes = { input: { frames, height, width, fps: 8 }, finalHeight: 16, finalWidth: 24 };
    const options = { models: [dir], stages: ['sr2'] as const, steps, guidance, strength, ...sizes };
    const pipeline = await Show1Pipeline.open(options);
    expect(pipeline.plan[0]!.settings.negative).toBe(report.negative); // Show-1's own
    const data = Float32Array.from(recorded.get('in.video')!.data);
    const input = [{ shape: [frames, height, width, 3] as [number, number, number, number], data }];
    const { videos } = await pipeline.generate({ prompts: [report.prompt], seeds: [5], input });
    expect(videos[0]!.shape).toEqual([frames, 16, 24, 3]);
    const largest = (a: ArrayLike<number>, b: ArrayLike<number>) =>
      Array.from(a).reduce((most, x, k) => Math.max(most, Math.abs(x - b[k]!)), 0);
    const [same, other] = [
      await sampleVideo(dir, recorded, report.cases.ddim, report, 5),
      await sampleVideo(dir, recorded, report.cases.ddim, report, 6),
    ];
    expect(same.data).toHaveLength(videos[0]!.data.length);
    expect(largest(videos[0]!.data, same.data)).toBeLessThan(1e-4);
    expect(largest(videos[0]!.data, other.data)).toBeGreaterThan(0.1);
  });

  it.each([
    ['unet', 'up_blocks.1.temp_convs.1.conv4.3.bias', ['out.steps', 'out.unet_outputs', 'out.video']],
    ['vae', 'decoder.mid_block.attentions.0.to_q.weight', ['out.video']],
    ['text_encoder', 'text_model.encoder.layers.1.mlp.fc2.bias', ['out.prompt_embeds', 'out.video']],
  ])('%s: a wrong %s is noticed', async (part, name, outputs) => {
    const size = PARAMETERS[part]!.tensors[name]!.reduce((product, n) => product * n, 1);
    const dir = await folder((p, n) => (p === part && n === name ? new Float32Array(size) : null));
    const { misses } = await replayVideo(dir, recorded, report.cases.ddim, report);
    for (const output of outputs)
      expect(
        misses.some(miss => miss.startsWith(`${output}:`)),
        output,
      ).toBe(true);
  });

  it('has the names and shapes of the models here, no more and no fewer', () => {
    const json = (part: string) => JSON.parse(readFileSync(join(GOLDEN, 'ddim', part, 'config.json'), 'utf8'));
    const models = {
      unet: new UNet3DConditionModel(json('unet')),
      vae: new AutoencoderKL(json('vae')),
      text_encoder: new CLIPTextModel(json('text_encoder')),
    };
    for (const [part, model] of Object.entries(models)) {
      const shapes = [...model.parameters()].map(([name, p]) => [name, p.torchShape]);
      expect(Object.fromEntries(shapes)).toEqual(PARAMETERS[part]!.tensors);
    }
  });
});
