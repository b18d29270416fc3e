/** The config of a whole CLIP, as transformers writes it: `text_config`, `vision_config` and what joins them. */
import { InputError } from '../../errors.js';
import {
  type ClipEncoderConfig,
  type ClipTextConfig,
  clipSection,
  parseClipTextConfig,
  readClipEncoder,
} from '../text/clip-config.js';
import { ConfigReader } from '../unet3d/config-reader.js';
import type { JsonObject } from '../weights/pretrained.js';

export interface ClipVisionConfig extends ClipEncoderConfig {
  numChannels: number;
  /** Height and width of the images. */
  imageSize: number;
  /** Height and width of a patch; what is left of the image at the right and bottom is not seen. */
  patchSize: number;
  /** Deviation of the first embeddings. */
  initializerRange: number;
}

export interface ClipConfig {
  text: ClipTextConfig;
  vision: ClipVisionConfig;
  /** Width of the space that texts and images share. */
  projectionDim: number;
  /** First value of the logarithm of the logits' scale. */
  logitScaleInit: number;
}

/** Reads transformers' `CLIPVisionConfig`, or the vision part of a `CLIPConfig`. @throws InputError as `parseClipConfig` */
export function parseClipVisionConfig(json: JsonObject, source = 'the CLIP vision config'): ClipVisionConfig {
  const options = new ConfigReader(clipSection(json, 'vision', source), source, 'CLIP vision encoder');
  const encoder = readClipEncoder(options, { hiddenSize: 768, intermediateSize: 3072, numHeads: 12 });
  const imageSize = options.count('image_size', 224);
  const patchSize = options.count('patch_size', 32);
  if (patchSize > imageSize) {
    throw new InputError(`${source}: patch_size is ${patchSize}; at most image_size (${imageSize}) is allowed.`, {
      code: 'clip.config',
      key: 'patch_size',
      value: patchSize,
    });
  }
  const numChannels = options.count('num_channels', 3);
  return { ...encoder, numChannels, imageSize, patchSize, initializerRange: options.number('initializer_range', 0.02) };
}

/**
 * Reads transformers' `CLIPConfig`; absent keys have transformers' defaults.
 * @param source where it is from, for messages
 * @throws InputError naming the key that is wrong
 */
export function parseClipConfig(json: JsonObject, source = 'the CLIP config'): ClipConfig {
  const type = json.model_type ?? 'clip';
  if (type !== 'clip') {
    const hint = type === 'clip_text_model' ? ' CLIPTextModel loads a text encoder alone.' : '';
    throw new InputError(`${source}: model_type is ${JSON.stringify(type)}; allowed: "clip".${hint}`, {
      code: 'clip.config',
      key: 'model_type',
      value: type,
    });
  }
  const whole = { ...json, model_type: 'clip' };
  const options = new ConfigReader(json, source, 'CLIP');
  return {
    text: parseClipTextConfig(whole, `${source}, text_config`),
    vision: parseClipVisionConfig(whole, `${source}, vision_config`),
    projectionDim: options.count('projection_dim', 512),
    logitScaleInit: options.number('logit_scale_init_value', 2.6592),
  };
}
