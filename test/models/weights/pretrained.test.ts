import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openPretrained, readModelConfig, savePretrainedFolder } from '../../../src/models/weights/pretrained.js';
import { memorySource } from '../../../src/models/weights/source.js';
import { tempFolder } from './files.js';

describe('model folders', () => {
  it('saves and opens config and weights', async () => {
    const dir = join(tempFolder(), 'unet');
    const entries = [
      { name: 'w', shape: [2], data: Float32Array.of(1, 2) },
      { name: 'ids', shape: [1], data: Int32Array.of(3) },
    ];
    await savePretrainedFolder(dir, 'diffusion_pytorch_model', { _class_name: 'X', eps: 1e-5 }, entries, {
      dtype: 'F16',
    });
    const { config, weights } = openPretrained(dir);
    expect(config).toEqual({ _class_name: 'X', eps: 1e-5 });
    expect(weights.info('w').dtype).toBe('F16');
    expect(weights.info('ids').dtype).toBe('I32');
    expect(await weights.read('w')).toEqual(Float32Array.of(1, 2));
    weights.close();
  });

  it('tells apart a missing folder, a missing config, a broken config and a pipeline', () => {
    const dir = tempFolder();
    expect(() => readModelConfig(join(dir, 'gone'))).toThrow(/no model folder .*gone/);
    expect(() => readModelConfig(dir)).toThrow(/model's config .*config\.json: there is no such file/);
    writeFileSync(join(dir, 'config.json'), '{"a": 1,}');
    expect(() => readModelConfig(dir)).toThrow(/config\.json is not valid JSON/);
    writeFileSync(join(dir, 'config.json'), '[]');
    expect(() => readModelConfig(dir)).toThrow(/must hold a JSON object/);

    const pipeline = tempFolder();
    mkdirSync(join(pipeline, 'unet'));
    writeFileSync(join(pipeline, 'unet', 'config.json'), '{}');
    writeFileSync(join(pipeline, 'model_index.json'), '{"_class_name": "P", "unet": ["diffusers", "U"]}');
    expect(() => readModelConfig(pipeline)).toThrow(/whole pipeline.*unet/);
  });
});

describe('memorySource', () => {
  it('reads like a file', async () => {
    const source = memorySource({ a: { shape: [2], data: Float32Array.of(1, 2) } }, 'test');
    expect(source.names()).toEqual(['a']);
    expect(source.info('a')).toEqual({ dtype: 'F32', shape: [2], file: 'test' });
    expect(await source.read('a')).toEqual(Float32Array.of(1, 2));
    expect(() => source.info('b')).toThrow(/test has no tensor "b"/);
  });
});
