import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tf } from '../../../src/engine/index.js';
import { InputError } from '../../../src/errors.js';
import { AutoencoderKL } from '../../../src/models/vae/index.js';
import { readModelConfig } from '../../../src/models/weights/pretrained.js';
import { openSafetensors } from '../../../src/models/weights/safetensors.js';
import { memorySource, type WeightArray } from '../../../src/models/weights/source.js';
import { verify } from '../../../src/verify/index.js';
import { noise, PLAIN, randomVae, worst } from './configs.js';

type State = Record<string, { shape: number[]; data: WeightArray }>;

// Made by test/reference/vae.py with diffusers.
const reference = resolve(import.meta.dirname, 'reference');
const shared = resolve(import.meta.dirname, '../../../../shared/fixtures');

describe('against diffusers', () => {
  it('encodes, samples, decodes and differentiates as diffusers does, and frees everything', async () => {
    const before = tf.memory().numTensors;
    const results = await verify(reference);
    expect(results.map(r => [r.name, r.status, r.message])).toEqual([
      ['attention', 'passed', undefined],
      ['odd', 'passed', undefined],
      ['single', 'passed', undefined],
    ]);
    expect(results[0]!.gradients).toBeGreaterThan(200);
    for (const { maxAbsError } of results) expect(maxAbsError).toBeLessThan(3e-5);
    expect(results[0]!.maxGradientError).toBeLessThan(2e-4);
    expect(tf.memory().numTensors).toBe(before);
  });

  it.runIf(existsSync(shared))('passes the shared fixture', async () => {
    const [result] = await verify(shared, { only: 'vae' });
    expect(result).toMatchObject({ status: 'passed', outputs: 5 });
  });

  it("has diffusers' names, in PyTorch's order", () => {
    const file = openSafetensors(resolve(reference, 'attention', 'weights.safetensors'));
    const names = file.names();
    file.close();
    const vae = new AutoencoderKL(readModelConfig(resolve(reference, 'attention')));
    expect([...vae.parameters().keys()].sort()).toEqual(names.sort());
    expect([...vae.parameters().keys()].filter(name => name.startsWith('encoder.mid_block.attentions'))).toEqual(
      ['group_norm', 'to_q', 'to_k', 'to_v', 'to_out.0'].flatMap(part =>
        ['weight', 'bias'].map(kind => `encoder.mid_block.attentions.0.${part}.${kind}`),
      ),
    );
  });
});

describe('other spellings of the attention', () => {
  const OLD = { to_q: 'query', to_k: 'key', to_v: 'value', 'to_out.0': 'proj_attn' };

  /** The state dict with each name of an attention projection changed by `rename`, and its weight's shape by `shape`. */
  const respell = (state: State, rename: (part: keyof typeof OLD) => string, shape = (s: number[]) => s): State =>
    Object.fromEntries(
      Object.entries(state).map(([name, tensor]) => {
        const match = /^(.*attentions\.\d+\.)(to_q|to_k|to_v|to_out\.0)\.(weight|bias)$/.exec(name);
        if (!match) return [name, tensor];
        const isWeight = match[3] === 'weight';
        const { data } = tensor;
        const renamed = `${match[1]}${rename(match[2] as keyof typeof OLD)}.${match[3]}`;
        return [renamed, { data, shape: isWeight ? shape(tensor.shape) : tensor.shape }];
      }),
    );

  it.each<[string, (state: State) => State]>([
    ['query, key, value, proj_attn', state => respell(state, part => OLD[part])],
    [
      'old names as 1x1 convolutions',
      state =>
        respell(
          state,
          part => OLD[part],
          s => [...s, 1, 1],
        ),
    ],
    [
      'new names as 1x1 convolutions',
      state =>
        respell(
          state,
          part => part,
          s => [...s, 1, 1],
        ),
    ],
  ])('%s', async (_, change) => {
    const vae = randomVae();
    const state = change(vae.stateDict());
    const loaded = new AutoencoderKL(PLAIN);
    expect(await loaded.loadStateDict(memorySource(state))).toEqual({ missing: [], unexpected: [] });
    const x = noise([1, 6, 8, 3]);
    const [a, b] = [vae.forward(x), loaded.forward(x)];
    expect(worst(a, b)).toBe(0);
    tf.dispose([x, a, b]);
    vae.dispose();
    loaded.dispose();
  });

  it('refuses both spellings of one weight', async () => {
    const vae = randomVae();
    const state = vae.stateDict();
    const name = 'encoder.mid_block.attentions.0.query.weight';
    const both = { ...state, [name]: state['encoder.mid_block.attentions.0.to_q.weight']! };
    const loading = new AutoencoderKL(PLAIN).loadStateDict(memorySource(both));
    await expect(loading).rejects.toThrow(InputError);
    await expect(loading).rejects.toThrow(`1 unexpected:\n  ${name}`);
    vae.dispose();
  });
});
