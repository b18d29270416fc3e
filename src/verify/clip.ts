/** Fixtures of kinds `clip_text` and `clip`: every recorded output of each case (`in.*` -> `out.*`, `in2.*` -> `out2.*`, …). */
import { type Tensor, tf } from '../engine/index.js';
import { InputError } from '../errors.js';
import { CLIPModel } from '../models/clip/clip.js';
import type { Model } from '../models/layers/index.js';
import { CLIPTextModel } from '../models/text/clip-text.js';
import { hostValue, readTensor, toChannelsLast } from './tensors.js';
import { type Check, type CheckResult, type Fixture, type TensorValue, unconsumedBy } from './types.js';

/** Reads an input of one case; null where the fixture has none of that name. */
type Read = (name: string) => Tensor | null;

/** @throws InputError when the fixture lacks weights or input ids */
export function verifyClipText(fixture: Fixture): Promise<CheckResult> {
  return verifyClipModel(fixture, CLIPTextModel, (model, read) => {
    const [ids, mask] = [read('input_ids')!, read('attention_mask')];
    const { lastHiddenState, pooled } = model.forward(ids, mask);
    return {
      last_hidden_state: lastHiddenState,
      pooler_output: pooled,
      penultimate_hidden_state: model.hiddenStates(ids, mask).at(-2)!,
    };
  });
}

/** @throws InputError when the fixture lacks weights, input ids or pixels */
export function verifyClip(fixture: Fixture): Promise<CheckResult> {
  return verifyClipModel(fixture, CLIPModel, (model, read) => {
    const [ids, mask] = [read('input_ids')!, read('attention_mask')];
    const pixels = toChannelsLast(read('pixel_values') ?? readTensor(fixture.io, 'in.pixel_values'));
    const { textEmbeds, imageEmbeds, logitsPerText, logitsPerImage } = model.forward(ids, pixels, mask);
    return {
      text_embeds: textEmbeds,
      image_embeds: imageEmbeds,
      logits_per_text: logitsPerText,
      logits_per_image: logitsPerImage,
      text_features_unnormalized: model.encodeText(ids, mask),
      image_features_unnormalized: model.encodeImage(pixels),
    };
  });
}

async function verifyClipModel<M extends Model>(
  fixture: Fixture,
  make: new (config: Record<string, unknown>, options: { source: string }) => M,
  run: (model: M, read: Read) => Record<string, Tensor>,
): Promise<CheckResult> {
  const { weights, io, config, name } = fixture;
  const cases = [...io.keys()].flatMap(key => /^in(\d*)\.input_ids$/.exec(key)?.[1] ?? []);
  if (!weights || cases.length === 0) {
    throw new InputError(`${name}: a CLIP fixture needs weights.safetensors, and in.input_ids in io.safetensors.`, {
      code: 'verify.input-missing',
      name,
    });
  }
  const model = new make(config, { source: `fixture ${name}` });
  try {
    await model.loadStateDict(weights);
    const checks = cases.flatMap(suffix => {
      const read: Read = input => (io.has(`in${suffix}.${input}`) ? readTensor(io, `in${suffix}.${input}`) : null);
      const computed = tf.tidy(() => {
        const outputs = Object.entries(run(model, read)).map(([output, x]) => [`out${suffix}.${output}`, hostValue(x)]);
        return outputs as never;
      }) as [string, TensorValue][];
      return computed.flatMap(([output, actual]): Check[] => {
        const expected = io.get(output);
        return expected ? [{ name: output, actual, expected, kind: 'output' }] : [];
      });
    });
    return { checks, unconsumed: unconsumedBy(checks, fixture) };
  } finally {
    model.dispose();
  }
}
