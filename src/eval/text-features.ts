/** CLIP's embeddings of prompts, kept in the store as those of videos are. */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import path from 'node:path';
import { compile, tf } from '../engine/index.js';
import { InputError } from '../errors.js';
import type { CLIPModel } from '../models/clip/index.js';
import { isTokenizerFolder, Tokenizer, tokenizerFiles } from '../models/text/index.js';
import { hashFile } from '../train/cache/file-hashes.js';
import { checkAbort } from './extract.js';
import { FeatureStore, type Features } from './feature-store.js';

/** Prompts that go through the network together; always as many. */
export const TEXT_BATCH = 16;

export interface OpenTokenizer {
  tokenizer: Tokenizer;
  /** One hash of its files. */
  sha256: string;
}

/**
 * The tokenizer in a CLIP folder, in its `tokenizer/` or beside it.
 * @param weights the folder, or the safetensors file inside it
 * @throws InputError `eval.no-tokenizer`
 */
export async function openTokenizer(weights: string): Promise<OpenTokenizer> {
  const folder = statSync(weights).isDirectory() ? weights : path.dirname(weights);
  const looked = [folder, path.join(folder, 'tokenizer'), path.join(folder, '..', 'tokenizer')];
  const dir = looked.find(isTokenizerFolder);
  if (dir === undefined) {
    throw new InputError(
      `CLIPSIM needs the tokenizer of ${folder}: no tokenizer.json, or vocab.json with merges.txt, in ${looked.join(', ')}. ` +
        'Copy it there from the model that the weights are from',
      { code: 'eval.no-tokenizer', folder },
    );
  }
  const hash = createHash('sha256');
  for (const file of tokenizerFiles(dir)) hash.update(await hashFile(file));
  return { tokenizer: Tokenizer.fromPretrained(dir), sha256: hash.digest('hex') };
}

export interface TextEncoder {
  /** At most {@link TEXT_BATCH} prompts; embeddings not of unit length, [1, P] each. */
  run(texts: readonly string[]): Promise<Features[]>;
  dispose(): void;
}

/** Prompts to embeddings; every call runs as many rows, so that a prompt's numbers do not depend on how many others there are. */
export function createTextEncoder(model: CLIPModel, tokenizer: Tokenizer): TextEncoder {
  const maxLength = model.maxLength;
  const forward = compile(ids => [model.encodeText(ids)], { name: 'eval_clip_text' });
  return {
    async run(texts) {
      const filled = Array.from({ length: TEXT_BATCH }, (_, i) => texts[Math.min(i, texts.length - 1)]!);
      const { inputIds, shape } = tokenizer.encode(filled, { maxLength });
      const ids = tf.tensor2d(inputIds, shape, 'int32');
      const [y] = forward(ids);
      const values = (await y!.data()) as Float32Array; // [16, P]
      tf.dispose([ids, y!]);
      const dim = values.length / TEXT_BATCH;
      return texts.map((_, i) => ({ rows: 1, values: values.slice(i * dim, (i + 1) * dim) }));
    },
    dispose: () => forward.dispose(),
  };
}

export interface TextFeatures {
  /** Embedding of a prompt, not of unit length: [1, P]. */
  of(text: string): Promise<Features>;
  /** Prompts that were cut to the network's length. */
  truncated: number;
  computed: number;
}

export interface TextRequest {
  texts: readonly string[];
  model: CLIPModel;
  open: OpenTokenizer;
  cache: string;
  /** sha256 of the network's weights. */
  network: string;
  storedOnly?: boolean;
  signal?: AbortSignal;
  print?: (line: string) => void;
  onProgress?: (done: number, total: number) => void;
}

/** Embeds what is not in the store yet. Close the store that comes with it. */
export async function embedTexts(request: TextRequest): Promise<{ features: TextFeatures; store: FeatureStore }> {
  const { model, open, signal, onProgress = () => {} } = request;
  const { tokenizer } = open;
  const maxLength = model.maxLength;
  const spec = { version: 1, kind: 'clip text', network: request.network, tokenizer: open.sha256, maxLength };
  const store = await FeatureStore.open(request.cache, spec, { print: request.print });
  const nameOf = (text: string) => createHash('sha256').update(text).digest('hex');
  const texts = [...new Map(request.texts.map(text => [nameOf(text), text]))].sort(([a], [b]) => (a < b ? -1 : 1));
  const encoder = createTextEncoder(model, tokenizer);
  let computed = 0;
  try {
    for (let at = 0; at < texts.length; at += TEXT_BATCH) {
      const batch = texts.slice(at, at + TEXT_BATCH);
      if (batch.every(([name]) => store.has(name))) continue;
      checkAbort(signal);
      if (request.storedOnly) {
        throw new InputError('some prompts have no features yet: leave out --merge once to compute them', {
          code: 'eval.not-extracted',
        });
      }
      const rows = await encoder.run(batch.map(([, text]) => text));
      await store.add(new Map(batch.map(([name], i) => [name, rows[i]!])));
      computed += batch.length;
      onProgress(at + batch.length, texts.length);
    }
  } finally {
    await store.flush();
    encoder.dispose();
  }
  const truncated = request.texts.filter(text => tokenizer.ids(text).length > maxLength).length;
  return { features: { of: text => store.read(nameOf(text)), truncated, computed }, store };
}
