/** Networks of evaluation with few channels and random weights, as folders. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CLIPModel } from '../../src/models/clip/index.js';
import type { Model } from '../../src/models/layers/model.js';
import { C3D, InceptionI3d, InceptionV3 } from '../../src/models/metrics/index.js';

const TOKENIZER = path.join(import.meta.dirname, '..', 'models', 'text', 'fixtures', 'clip');

const TINY = { hidden_size: 16, intermediate_size: 16, num_hidden_layers: 1, num_attention_heads: 2 };

export type TinyKind = 'i3d' | 'c3d' | 'inception-v3' | 'clip';

/** Writes `root/KIND`; the same seed gives the same weights. */
export async function writeTinyNetwork(root: string, kind: TinyKind, { seed = 1, features = 6 } = {}): Promise<string> {
  const dir = path.join(root, kind);
  const vocab = JSON.parse(await readFile(path.join(TOKENIZER, 'vocab.json'), 'utf8')) as Record<string, number>;
  const vocabSize = Math.max(...Object.values(vocab)) + 1;
  const make: Record<TinyKind, () => Model & { initialize(seed: number): void }> = {
    i3d: () => new InceptionI3d({ width: 0.02, num_classes: features }),
    c3d: () => new C3D({ width: 0.02, num_classes: features }),
    'inception-v3': () => new InceptionV3({ width: 0.05, features: 32 }), // at 0.02 hardly a unit lives
    clip: () =>
      new CLIPModel({
        model_type: 'clip',
        projection_dim: features,
        text_config: {
          ...TINY,
          model_type: 'clip_text_model',
          vocab_size: vocabSize,
          max_position_embeddings: 16,
          eos_token_id: 2,
        },
        vision_config: { ...TINY, model_type: 'clip_vision_model', image_size: 32, patch_size: 16 },
      }),
  };
  const model = make[kind]();
  model.initialize(seed);
  await model.savePretrained(dir);
  model.dispose();
  if (kind !== 'clip') return dir;
  for (const name of ['vocab.json', 'merges.txt']) {
    await writeFile(path.join(dir, name), await readFile(path.join(TOKENIZER, name)));
  }
  return dir;
}
