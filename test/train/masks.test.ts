import { describe, expect, it } from 'vitest';
import { selectTrainable } from '../../src/train/masks.js';

const parameters = [
  'conv_in.weight',
  'down_blocks.0.resnets.0.conv1.weight',
  'down_blocks.0.temp_convs.0.conv1.2.weight',
  'down_blocks.0.temp_attentions.0.norm.weight',
  'down_blocks.0.temp_attentions.0.transformer_blocks.0.attn1.to_q.weight',
  'transformer_in.norm.weight',
].map((name, i) => ({ name, size: 10 ** i }));
const none = { include: [], exclude: [] };

describe('selectTrainable', () => {
  it('trains everything by default', () => {
    expect(selectTrainable(parameters, none)).toMatchObject({ trainable: 111111, total: 111111 });
  });
  it("temporal-attention is the paper's mask", () => {
    expect(selectTrainable(parameters, { ...none, preset: 'temporal-attention' })).toMatchObject({
      names: parameters.slice(3).map(p => p.name),
      trainable: 111000,
    });
  });
  it('temporal adds the temporal convolutions', () => {
    expect(selectTrainable(parameters, { ...none, preset: 'temporal' }).names).toHaveLength(4);
  });
  it('a star is one part of a name, two stars any number; exclude wins', () => {
    expect(selectTrainable(parameters, { include: ['*.weight'], exclude: [] }).names).toEqual(['conv_in.weight']);
    expect(selectTrainable(parameters, { include: ['**.weight'], exclude: ['**.norm.*'] }).names).toHaveLength(4);
  });
  it('a preset need not find all its places, but a glob of yours must match', () => {
    const withoutEntry = parameters.slice(0, -1);
    expect(selectTrainable(withoutEntry, { ...none, preset: 'temporal-attention' }).names).toHaveLength(2);
    expect(() => selectTrainable(parameters, { include: ['**.temporal_attention.**'], exclude: [] })).toThrow(
      /"\*\*\.temporal_attention\.\*\*" matches none of the model's 6 parameters/,
    );
    expect(() => selectTrainable(parameters, { include: [], exclude: ['nope'] })).toThrow(/exclude: the glob "nope"/);
  });
  it('refuses to train nothing', () => {
    expect(() => selectTrainable(parameters, { include: ['conv_in.*'], exclude: ['**'] })).toThrow(
      /leaves nothing to train/,
    );
    expect(() => selectTrainable(parameters.slice(0, 2), { ...none, preset: 'temporal' })).toThrow(
      /leaves nothing to train/,
    );
  });
});
